// Names of the text model within a wrapper's files, dense and quantized.
#include "model/find_names.h"

#include <gtest/gtest.h>

namespace strata::model {
namespace find_names_test {

const json kConfig = {{"model_type", "llama"},   {"hidden_size", 32},           {"num_hidden_layers", 1},
                      {"intermediate_size", 64}, {"num_attention_heads", 2},    {"num_key_value_heads", 2},
                      {"vocab_size", 48},        {"tie_word_embeddings", false}};

TEST(FindNames, AQuantizedHeadIsFoundByTheNameOfItsParts) {
  for (const ExpectedTensor& head : {ExpectedTensor{"language_model.lm_head.weight", {48, 32}},
                                     ExpectedTensor{"language_model.lm_head.weight_packed", {48, 4}},
                                     ExpectedTensor{"language_model.lm_head.weight_scale", {48, 1}}}) {
    Architecture a = parse_architecture(kConfig, "config.json");
    find_names(a,
               std::vector<ExpectedTensor>{
                   {"language_model.model.embed_tokens.weight", {48, 32}}, head, {"vision.lm_head.other", {48, 32}}});
    EXPECT_EQ(a.names.root, "language_model.model.") << head.name;
    EXPECT_EQ(a.linears[a.lm_head()].module, "language_model.lm_head") << head.name;
  }
}

}  // namespace find_names_test
}  // namespace strata::model
