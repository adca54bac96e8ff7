// A token without a row in the embedding is named, with the file that lists it.
#include "model/token_rows.h"

#include <gtest/gtest.h>

#include "support/tiny_model.h"

namespace strata::model {
namespace token_rows_test {

using strata::fixtures::TinyModel;

TEST(TokenRows, TheTokenAndTheFileThatListsItAreNamed) {
  const TinyModel tiny("llama_tied");
  const Model model = Model::open(tiny.path());
  const std::string bare = error_of([&] { fail_without_row(model, 80); });
  EXPECT_NE(bare.find(": the token 80 is in the text, but the embedding has 80 rows"), std::string::npos) << bare;

  json vocabulary = json::object();
  for (int id = 0; id < 80; ++id) vocabulary["t" + std::to_string(id)] = id;
  json tokenizer = {{"version", "1.0"},
                    {"added_tokens", json::array()},
                    {"model", {{"type", "WordLevel"}, {"vocab", vocabulary}, {"unk_token", "t0"}}}};
  write_text_file(tiny.path() / "tokenizer.json", tokenizer.dump());
  write_text_file(tiny.path() / "added_tokens.json", R"({"[PAD]": 80})");
  const std::string named = error_of([&] { fail_without_row(model, 80); });
  EXPECT_NE(named.find("the token '[PAD]' is in the text and has the id 80"), std::string::npos) << named;
  EXPECT_NE(named.find("; added_tokens.json lists a token that the model has not learned"), std::string::npos) << named;
}

}  // namespace token_rows_test
}  // namespace strata::model
