// A budget that cannot be met is refused in the words of the option that was given, with the smallest value that works
// and with what stands in the way.
#include "pipeline/choose/refusal.h"

#include <gtest/gtest.h>

#include <regex>

#include "pipeline/choose/runtime_memory.h"
#include "pipeline/choose/tiny_plans.h"

namespace strata::pipeline {
namespace refusal_test {

class Refusal : public ::testing::Test {
 protected:
  PlanResult planned(const char* target = "vllm") const {
    return make_plan({model_, target_by_name(target), request_, made_up_costs(model_)});
  }
  std::string refusal(const char* target = "vllm") const {
    const std::string planning = ::strata::fixtures::error_of([&] { planned(target); });
    EXPECT_EQ(::strata::fixtures::error_of([&] { check_request(model_, target_by_name(target), request_); }), planning)
        << "before and after scoring";
    return planning;
  }
  static std::string value_after(const std::string& text, const std::string& words) {
    std::smatch match;
    const std::regex pattern(words + " ([0-9.]+[A-Za-z]*)");
    EXPECT_TRUE(std::regex_search(text, match, pattern)) << text;
    return match.empty() ? "" : match[1].str();
  }
  static bool holds(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

  /// The golden model without the files that only its tests read, which would go along with it.
  model::Model copied() const {
    for (const auto& entry :
         std::filesystem::directory_iterator(strata::fixtures::golden_model("llama_untied_sharded")))
      if (entry.path().extension() != ".f32" && entry.path().filename() != "golden.json")
        std::filesystem::copy(entry.path(), folder_.path());
    return model::Model::open(folder_.path());
  }

  strata::fixtures::TemporaryFolder folder_;
  model::Model model_ = copied();
  PlanRequest request_;
};

TEST_F(Refusal, OfBitsNamesTheFewestThatWork) {
  request_.budget = BitsBudget{3};
  const std::string text = refusal("vllm:marlin");
  EXPECT_TRUE(text.starts_with("--bits 3 ")) << text;
  const double least = std::stod(value_after(text, "give --bits"));
  request_.budget = BitsBudget{least};
  EXPECT_LE(planned("vllm:marlin").plan.bits(), least);
  request_.budget = BitsBudget{least - 0.001};
  EXPECT_NE(refusal("vllm:marlin"), "");
}

TEST_F(Refusal, OfASizeAnswersInBytesThatWork) {
  request_.budget = SizeBudget{25000};
  const std::string text = refusal();
  EXPECT_TRUE(text.starts_with("--size 25KB ")) << text;
  EXPECT_FALSE(holds(text, "bits")) << text;
  const std::uint64_t least = std::stoull(value_after(text, "give --size"));
  request_.budget = SizeBudget{least};
  EXPECT_LE(planned().output_bytes, least);
  request_.budget = SizeBudget{least - 1};
  EXPECT_NE(refusal(), "");
}

TEST_F(Refusal, OfMemoryAnswersInMemoryThatWorks) {
  const MemoryNeeds needs = memory_beside_weights(model_.architecture(), target_by_name("vllm:cpu"), {0, 16, 1});
  request_.budget = MemoryBudget{needs.total() + 25000, 16, 1};
  const std::string text = refusal("vllm:cpu");
  EXPECT_TRUE(holds(text, "with cache and runtime")) << text;
  request_.budget = MemoryBudget{std::stoull(value_after(text, "give --fit")), 16, 1};
  EXPECT_NO_THROW(planned("vllm:cpu"));
}

TEST_F(Refusal, BlamesFloorsAndPinsNotTheRuntime) {
  request_.budget = BitsBudget{8};
  request_.assign = {{"self_attn", "int8_channel"}};
  request_.at_least = {{"mlp", "int8_channel"}};
  const std::string text = refusal();
  EXPECT_TRUE(holds(text, "--assign and --at-least")) << text;
  EXPECT_FALSE(holds(text, "possible with")) << text;
  request_.budget = BitsBudget{3};
  const std::string of_marlin = refusal("vllm:marlin");
  EXPECT_TRUE(holds(of_marlin, "possible with --for vllm ")) << "they are not what is in the way";
  EXPECT_TRUE(holds(of_marlin, "--for transformers")) << of_marlin;
}

TEST_F(Refusal, ThreeTiersSpeakOfTheirBudgetToo) {
  request_.preset = "three-tier";
  request_.budget = BitsBudget{5};
  EXPECT_TRUE(refusal().starts_with("--bits 5 ")) << refusal();
  request_.budget = {};
  EXPECT_TRUE(refusal().starts_with("the 8 bits of preset three-tier ")) << refusal();
}

TEST_F(Refusal, APinnedHeadIsOutsideOfTheBudget) {
  for (const char* preset : {"best", "prior"}) {
    request_ = {};
    request_.preset = preset;
    request_.budget = BitsBudget{8};
    request_.keep = {"lm_head"};
    const Plan kept = planned().plan;
    EXPECT_EQ(kept.groups.back().codec->name, "keep");
    EXPECT_LE(kept.bits(), 8);
    request_.keep.clear();
    request_.at_least = {{"lm_head", "fp8_channel"}};
    const Plan raised = planned().plan;
    EXPECT_GE(8 * raised.groups.back().bytes, 8 * raised.groups.back().weights) << preset;
    EXPECT_LE(raised.bits(), 8);
  }
}

TEST_F(Refusal, AHeadThatNeedsMoreThanItsShareTakesItFromTheBlocks) {
  request_.codecs = {"int4_g32", "int2_g32"};
  request_.assign = {{"down_proj", "int2_g32"}};
  request_.budget = BitsBudget{4.4};
  const Plan plan = planned("transformers").plan;
  EXPECT_LE(8.0 * static_cast<double>(plan.bytes()), 4.4 * static_cast<double>(plan.weights()));
}

TEST_F(Refusal, ThePriorGivesTheHeadThatItRanksFirstMoreThanTheRest) {
  request_.preset = "prior";
  request_.budget = BitsBudget{8};
  const Plan plan = planned().plan;
  EXPECT_GE(8 * plan.groups.back().bytes, 8 * plan.groups.back().weights);
  EXPECT_LE(8 * plan.bytes(), 8 * plan.weights()) << "the whole is within the budget too";
}

}  // namespace refusal_test
}  // namespace strata::pipeline
