// Tests where a wrapper's config.json speaks of its text model, and what it leaves to the wrapper's class.
#include "model/text_configuration.h"

#include <gtest/gtest.h>

#include "model/model.h"
#include "support/tiny_model.h"

namespace strata::model {
namespace text_configuration_test {

TEST(TextConfiguration, TheTextPartCountsWithWhatTheWrapperSaysOfIt) {
  const json text = {{"model_type", "llama"}, {"hidden_size", 8}};
  for (const char* key : {"text_config", "llm_config", "language_config"}) {
    const json config = {{"model_type", "llava"}, {"tie_word_embeddings", true}, {key, text}};
    EXPECT_TRUE(is_wrapper(config));
    EXPECT_EQ(text_configuration(config, "c"),
              (json{{"model_type", "llama"}, {"hidden_size", 8}, {"tie_word_embeddings", true}}));
  }
  EXPECT_FALSE(is_wrapper(text));
  EXPECT_EQ(text_configuration(text, "c"), text);
  const json nameless = {{"model_type", "llava"}, {"text_config", {{"hidden_size", 8}}}};
  EXPECT_EQ(text_configuration(nameless, "c")["model_type"], "llava");
}

TEST(TextConfiguration, OnlyAClassThatMakesTextHasADefaultForTies) {
  json config = {{"model_type", "internvl"},
                 {"architectures", {"InternVLForConditionalGeneration"}},
                 {"text_config", {{"model_type", "qwen2"}}}};
  const auto leaves = [&] { return leaves_ties_to_class(config, text_configuration(config, "c")); };
  EXPECT_TRUE(leaves());
  config["tie_word_embeddings"] = false;
  EXPECT_FALSE(leaves());
  config.erase("tie_word_embeddings");
  for (const json& classes : {json{"InternVLModel"}, json{"LlavaForSequenceClassification"}, json::array(), json(3)}) {
    config["architectures"] = classes;
    EXPECT_FALSE(leaves()) << classes;
  }
  EXPECT_FALSE(leaves_ties_to_class({{"architectures", {"LlamaForCausalLM"}}}, json::object()));
}

TEST(TextConfiguration, FilesWithoutAHeadTieWhatTheWrapperLeavesToItsClass) {
  fixtures::TinyModel tiny("internvl");
  EXPECT_TRUE(Model::open(tiny.path()).architecture().tied);
  const Architecture a = Model::open(tiny.path()).architecture();
  tiny.add("language_model.lm_head.weight", "BF16", {a.vocab, a.hidden}, std::string(2 * a.vocab * a.hidden, 'h'));
  EXPECT_FALSE(Model::open(tiny.path()).architecture().tied);
}

}  // namespace text_configuration_test
}  // namespace strata::model
