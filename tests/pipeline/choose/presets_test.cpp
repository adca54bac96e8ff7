// Tests the table of presets: their names, what they need, and llama.cpp's own mix as a plan.
#include "pipeline/choose/presets.h"

#include <gtest/gtest.h>

#include "format/ggml_types.h"
#include "pipeline/choose/costs.h"
#include "pipeline/choose/stock_mix.h"
#include "pipeline/choose/tiny_plans.h"

namespace strata::pipeline {
namespace presets_test {

using ::strata::fixtures::error_of;

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

TEST(Presets, AreKnownByNameAndCodec) {
  EXPECT_EQ(preset_named("best").needs, Needs::linear_costs);
  EXPECT_EQ(preset_named("uniform:int4_g64").name, "uniform");
  EXPECT_THROW(preset_named("uniform"), UsageError);
  EXPECT_THROW(preset_named("uniform:"), UsageError);
  EXPECT_THROW(preset_named("best:int4_g64"), UsageError);
  const std::string text = error_of([] { preset_named("bset"); });
  EXPECT_TRUE(holds(text, "did you mean best?")) << text;
  EXPECT_TRUE(holds(text, preset_usages())) << text;
}

TEST(Presets, BestRefusesScoresWithoutCosts) {
  const model::Model model = tiny();
  PlanRequest request;
  request.budget = BitsBudget{5};
  Costs costs;
  costs.blocks["lim"] = {0.0, 1.0};
  const std::string text = error_of([&] { make_plan({model, target_by_name("vllm"), request, costs}); });
  for (const char* part : {"they hold lim", "act_mse", "alpha_int", "strata score "})
    EXPECT_TRUE(holds(text, part)) << text;
}

TEST(Presets, BestRefusesScoresOfOtherCodecs) {
  const model::Model model = tiny();
  PlanRequest request;
  request.budget = BitsBudget{16};
  Costs costs = made_up_costs(model);
  for (auto& row : costs.linears)
    std::erase_if(row, [](const auto& entry) { return entry.first->name != "int4_g32" && entry.first->has_codes(); });
  request.codecs = {"nvfp4", "keep"};
  EXPECT_TRUE(holds(error_of([&] { make_plan({model, target_by_name("vllm"), request, costs}); }), "--codecs nvfp4"));
  request.codecs = {"nvfp4", "int4_g32", "keep"};
  EXPECT_TRUE(holds(error_of([&] {
                      make_plan({model, target_by_name("vllm"), request, costs});
                    }),
                    "no costs for nvfp4, which --codecs names"));
  request.codecs.clear();
  const PlanResult result = make_plan({model, target_by_name("vllm"), request, costs});
  EXPECT_TRUE(std::ranges::any_of(result.left_out, [](const LeftOut& item) {
    return item.codec == "fp8_channel" && holds(item.reason, "no costs");
  })) << "what has no costs is said";
}

TEST(Presets, AStockMixIsABudgetOfPriorAndUniformToo) {
  const TinyForGguf tiny("llama_untied_sharded");
  const Target& target = target_by_name("llama.cpp");
  PlanRequest request;
  request.budget = StockBudget{"Q8_0"};
  request.preset = "prior";
  std::uint64_t stock = 0;
  for (const StockTensor& tensor : stock_mix((*tiny).architecture(), "Q8_0")) stock += tensor.bytes;
  EXPECT_LE(make_plan({*tiny, target, request, {}}).plan.bytes(), stock);
  request.preset = "uniform:q4_0";
  EXPECT_LE(make_plan({*tiny, target, request, {}}).plan.bytes(), stock);
  request.budget = StockBudget{"Q4_0"};
  request.preset = "uniform:q8_0";
  EXPECT_TRUE(error_of([&] { make_plan({*tiny, target, request, {}}); }).starts_with("--like Q4_0 "));
  request.preset = "lwq";
  EXPECT_TRUE(holds(error_of([&] { make_plan({*tiny, target, request, {}}); }), "lwq"));
}

TEST(Presets, StockMakesTheMixItself) {
  const TinyForGguf tiny("llama_untied_sharded");
  const model::Architecture& a = (*tiny).architecture();
  PlanRequest request;
  request.preset = "stock";
  request.budget = StockBudget{"Q4_K_M"};
  const Plan plan = make_plan({*tiny, target_by_name("llama.cpp"), request, {}}).plan;
  const std::vector<StockTensor> mix = stock_mix(a, "Q4_K_M");
  for (std::size_t g = 0; g < a.groups.size(); ++g) {
    const StockTensor& tensor = mix[a.groups[g].linears.front()];
    EXPECT_EQ(plan.groups[g].bytes, tensor.bytes);
    if (const codec::Codec* codec = format::codec_of_ggml_type(tensor.type)) {
      EXPECT_EQ(plan.groups[g].codec, codec);
    }
  }
  request.budget = {};
  EXPECT_TRUE(holds(error_of([&] { make_plan({*tiny, target_by_name("llama.cpp"), request, {}}); }), "--like"));
}

}  // namespace presets_test
}  // namespace strata::pipeline
