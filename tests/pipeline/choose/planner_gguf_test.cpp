// Plans for GGUF: every matrix is a choice, the embedding too, and the bytes of a mix or of a file are a budget.
// The models are tiny and their costs are made up.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "pipeline/choose/planner.h"
#include "pipeline/choose/stock_mix.h"
#include "pipeline/choose/tiny_plans.h"
#include "pipeline/output/linear_encoder.h"
#include "pipeline/output/output.h"

namespace strata::pipeline {
namespace planner_gguf_test {

TEST(PlannerForGguf, EveryMatrixIsAChoiceOfItsOwn) {
  const TinyForGguf tiny;
  const model::Model& model = *tiny;
  PlanRequest request;
  request.budget = BitsBudget{5.0};
  const Plan plan = make_plan({model, target_by_name("llama.cpp"), request, made_up_costs(model)}).plan;
  ASSERT_EQ(plan.groups.size(), 2u * 7 + 1);
  EXPECT_EQ(plan.groups[1].linears, std::vector<std::string>{"model.layers.0.self_attn.k_proj"});
  EXPECT_EQ(plan.groups.back().name, "model.embed_tokens");
  EXPECT_LE(plan.bits(), 5.0);
  for (const PlannedGroup& group : plan.groups) {
    EXPECT_NE(std::ranges::find(group.choices, "q8_0"), group.choices.end());
    EXPECT_EQ(std::ranges::find(group.choices, "q4_k"), group.choices.end()) << "rows of 32 hold no block of 256";
    EXPECT_NE(std::ranges::find(group.choices, group.codec->name), group.choices.end());
  }
  EXPECT_EQ(Plan::from_json(plan.to_json(), model, "plan.json").to_json()["groups"].size(), plan.groups.size());
}

TEST(PlannerForGguf, TheEmbeddingIsWorthAsMuchAByteAsTheBlocks) {
  const TinyForGguf tiny;
  const model::Model& model = *tiny;
  Costs costs = made_up_costs(model);
  PlanRequest request;
  request.budget = BitsBudget{5.0};
  const auto embedding_bytes = [&] {
    return make_plan({model, target_by_name("llama.cpp"), request, costs}).plan.groups.back().bytes;
  };
  for (auto& [codec, cost] : costs.linears.back()) cost *= 1e-9;
  const std::uint64_t worthless = embedding_bytes();
  request.budget = BitsBudget{33.0};  // the blocks can be kept whole: a byte more is worth nothing to them
  EXPECT_EQ(make_plan({model, target_by_name("llama.cpp"), request, costs}).plan.groups.back().codec->name, "keep");
  request.budget = BitsBudget{5.0};
  for (auto& [codec, cost] : costs.linears.back()) cost *= 1e18;
  EXPECT_GT(embedding_bytes(), worthless);
  request.embed_codec = "q5_1";
  EXPECT_EQ(make_plan({model, target_by_name("llama.cpp"), request, costs}).plan.groups.back().codec->name, "q5_1");
  request.embed_codec = "q4_k";
  EXPECT_NE(plan_error(model, "llama.cpp", request).find("model.embed_tokens"), std::string::npos);
}

TEST(PlannerForGguf, AStockMixIsABudgetThatIsNotExceeded) {
  const TinyForGguf tiny("llama_untied_sharded");
  const model::Model& model = *tiny;
  for (const char* mix : {"Q4_K_M", "IQ4_XS", "Q8_0"}) {
    PlanRequest request;
    request.budget = StockBudget{mix};
    std::uint64_t stock = 0;
    for (const StockTensor& tensor : stock_mix(model.architecture(), mix)) stock += tensor.bytes;
    const Plan plan = make_plan({model, target_by_name("llama.cpp"), request, made_up_costs(model)}).plan;
    EXPECT_LE(plan.bytes(), stock) << mix;
    EXPECT_GT(plan.bytes(), stock * 9 / 10) << mix;
  }
  PlanRequest request;
  request.budget = StockBudget{"Q4_K_M"};
  EXPECT_NE(plan_error(model, "vllm", request).find("llama.cpp"), std::string::npos);
  request.budget = StockBudget{"Q4_K_XXL"};
  EXPECT_NE(plan_error(model, "llama.cpp", request).find("or one of Q2_K_S, "), std::string::npos);
}

TEST(PlannerForGguf, AFileIsABudgetThatIsNotExceeded) {
  const TinyForGguf tiny("mixtral");
  const model::Model& model = *tiny;
  const Target& target = target_by_name("llama.cpp");
  const TemporaryFolder folder;
  const std::string file = folder / "theirs.gguf";
  PlanRequest theirs;
  theirs.budget = BitsBudget{6.0};
  const Plan mix = make_plan({model, target, theirs, made_up_costs(model)}).plan;
  const Codecs codecs = codecs_by_linear(mix, model.architecture());
  LinearEncoder encoder(model, codecs);
  plan_output(model, codecs, target, 0)->write_whole(encoder, file, false);
  PlanRequest request;
  request.budget = StockBudget{file};
  const PlanResult ours = make_plan({model, target, request, made_up_costs(model)});
  EXPECT_EQ(ours.plan.request["like_bytes"], mix.bytes());
  EXPECT_LE(ours.plan.bytes(), mix.bytes());
  EXPECT_LE(ours.plan.cost(), mix.cost() * (1 + 1e-9));
  request.preset = "stock";
  EXPECT_EQ(assignment_of(make_plan({model, target, request, {}}).plan), assignment_of(mix));
  const std::string other = plan_error(*TinyForGguf("llama_tied"), "llama.cpp", request);
  EXPECT_TRUE(other.starts_with("--like " + file + ": is a file of another model")) << other;
}

}  // namespace planner_gguf_test
}  // namespace strata::pipeline
