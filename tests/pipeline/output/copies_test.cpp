// What a person is told of a model's parts that the output holds otherwise, or not at all.
#include "pipeline/output/copies.h"

#include <gtest/gtest.h>

#include "support/tiny_model.h"

namespace strata::pipeline {
namespace copies_test {

std::string note(const std::string& golden, const char* target) {
  return carried_note(model::Model::open(::strata::fixtures::golden_model(golden)), target_by_name(target));
}

TEST(CarriedNote, SaysWhichWindowAGgufFileLeavesOut) {
  EXPECT_NE(note("mistral_sliding", "llama.cpp").find("sliding window of 8 tokens is left out"), std::string::npos);
  EXPECT_EQ(note("mistral_sliding", "vllm"), "") << "config.json has the window";
  EXPECT_EQ(note("gemma2", "llama.cpp"), "") << "llama.cpp's gemma2 has windows";
  EXPECT_EQ(note("llama_tied", "llama.cpp"), "");
}

}  // namespace copies_test
}  // namespace strata::pipeline
