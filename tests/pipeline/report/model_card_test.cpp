// A model card tells what was measured and nothing else, and takes over from a hostile card only what is plain.
#include "pipeline/report/model_card.h"

#include <gtest/gtest.h>

#include "pipeline/output/card_file.h"
#include "support/tiny_model.h"

namespace strata::pipeline {
namespace model_card_test {

using strata::fixtures::TinyModel;

class ModelCard : public ::testing::Test {
 protected:
  ModelCard() : tiny_("llama_tied") {
    tiny_.add("visual.weight", "F32", {1}, "1234");
    write_text_file(tiny_.path() / "README.md",
                    "---\nlicense: mit\ntags:\n- chat\nlanguage:\n- en\n- fr\n---\n# A model\n");
    model_.emplace(model::Model::open(tiny_.path()));
    plan_.groups.resize(2);
    plan_.groups[0].codec = &codec::by_name("int4_g32");
    plan_.groups[0].weights = 750;
    plan_.groups[1].codec = &codec::by_name("keep");
    plan_.groups[1].weights = 250;
    for (PlannedGroup& group : plan_.groups) group.bytes = 500;
    measured_.tokens = 1000;
    measured_.text = eval::EvaluatedText{"wiki.txt", false};
    measured_.perplexity = 10.5;
    measured_.ref_perplexity = 10.0;
    measured_.kl_divergence = eval::KlDivergence{.mean = 0.02, .standard_error = 0.001};
    measured_.top1_agreement = 0.9612;
  }
  std::string card(const std::string& command, bool measured, const char* target = "vllm") const {
    return model_card({.model = *model_,
                       .plan = plan_,
                       .target = target_by_name(target),
                       .method = "gptq",
                       .command = command,
                       .bytes = 123456,
                       .measured = measured ? &measured_ : nullptr});
  }

  TinyModel tiny_;
  std::optional<model::Model> model_;
  Plan plan_;
  eval::Evaluation measured_;
};

TEST_F(ModelCard, TellsWhatWasMeasured) {
  const std::string text = card("strata quantize m -o out", true);
  EXPECT_TRUE(
      text.starts_with("---\nlibrary_name: transformers\nlicense: mit\nlanguage:\n- en\n- fr\ntags:\n- strata\n"))
      << text;
  for (const char* part :
       {"```\nstrata quantize m -o out\n```", "8.000", "123456 bytes", "int4_g32 75.0 %, keep 25.0 %", "gptq",
        "0.02000 nats a token, 95 % interval 0.01804 to 0.02196", "96.12 %", "10.500 (original: 10.000)", "wiki.txt",
        "vllm serve", "It needs vLLM 0.24 or newer.", "visual (1 tensor, 4 bytes)", "README.base.md"})
    EXPECT_NE(text.find(part), std::string::npos) << part << " in:\n" << text;
  EXPECT_EQ(text.find("base_model:"), std::string::npos) << "the folder does not say where it is from";
  EXPECT_NE(card("x", true, "transformers").find("from_pretrained"), std::string::npos);
}

TEST_F(ModelCard, SaysWhenNothingWasMeasured) {
  const std::string text = card("x", false);
  EXPECT_NE(text.find("was not measured"), std::string::npos);
  EXPECT_EQ(text.find("nats"), std::string::npos);
}

TEST_F(ModelCard, HasRoomForAnyCommand) {
  const std::string text = card("begin " + std::string(100000, 'x'), true);
  EXPECT_LE(text.size(), most_card_text());
  EXPECT_NE(text.find("begin xxx"), std::string::npos);
  EXPECT_NE(text.find("x ...\n```"), std::string::npos);
  EXPECT_NE(text.find("README.base.md"), std::string::npos) << "what follows the command is there";
  EXPECT_EQ(card_file(text).size(), kCardBytes);
}

TEST(KeptHead, LeavesOutWhatIsNoShortPlainText) {
  EXPECT_EQ(kept_head("no head"), "");
  EXPECT_EQ(kept_head("---\nlicense: mit\n"), "") << "the head does not end";
  EXPECT_EQ(kept_head("---\r\nlicense: mit\r\nbase_model: a/b\r\n---\r\n"), "license: mit\n");
  EXPECT_EQ(kept_head("---\nlicense: " + std::string(1000, 'x') + "\nlicense_link: LICENSE\n---\n"),
            "license_link: LICENSE\n");
  EXPECT_EQ(kept_head("---\nlanguage:\n- \x01\nlicense: mit\n---\n"), "license: mit\n");
}

}  // namespace model_card_test
}  // namespace strata::pipeline
