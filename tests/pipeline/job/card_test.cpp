// The command on a model card makes the same result wherever it is typed.
#include "pipeline/job/card.h"

#include <gtest/gtest.h>

#include "support/set_options.h"

namespace strata::pipeline {
namespace card_test {

std::string command(std::map<std::string, OptionWords> words) {
  QuantizeRequest request;
  SetOptions setter(std::move(words));
  visit(request, setter);
  return command_of(request);
}

TEST(CardCommand, HasTheOptionsThatTheResultDependsOn) {
  EXPECT_EQ(command({}), "strata quantize MODEL -o OUT");
  EXPECT_EQ(command({{"MODEL", {{"/home/me/m"}}}, {"--output", {{"x"}}}, {"--verify-samples", {{"3"}}}}),
            "strata quantize MODEL -o OUT");
  EXPECT_EQ(command({{"--bits", {{"4.5"}}}, {"--for", {{"transformers"}}}, {"--method", {{"gptq"}}}}),
            "strata quantize MODEL -o OUT --for transformers --bits 4.5 --method gptq");
  EXPECT_EQ(command({{"--codecs", {{"int4_g64,keep"}}}, {"--imatrix", {{"/home/me/i m.gguf"}}}}),
            "strata quantize MODEL -o OUT --codecs int4_g64,keep --imatrix 'i m.gguf'");
  EXPECT_EQ(command({{"--assign", {{"down_proj=int8_channel", "q=keep"}}}}),
            "strata quantize MODEL -o OUT --assign down_proj=int8_channel q=keep");
  EXPECT_EQ(command({{"--calib", {{"/a/b.txt", "c.txt"}, {"d.txt"}}}}),
            "strata quantize MODEL -o OUT --calib b.txt c.txt --calib d.txt");
}

}  // namespace card_test
}  // namespace strata::pipeline
