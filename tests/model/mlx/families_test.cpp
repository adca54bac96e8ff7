// Tests which models are written for mlx_lm, how their experts lie, and how the rotary embedding is said.
#include "model/mlx/families.h"

#include <gtest/gtest.h>

#include "model/model.h"
#include "support/golden_model.h"

namespace strata::model {
namespace families_test {

TEST(MlxFamilies, ThoseThatAreNotKnownAndThoseWithinOthersAreRefused) {
  const auto why = [](const char* name) { return why_not_mlx(Model::open(golden_model(name)).architecture()); };
  EXPECT_EQ(why("llama_tied"), "");
  EXPECT_EQ(why("mixtral"), "");
  EXPECT_NE(why("arcee").find("arcee"), std::string::npos) << why("arcee");
  EXPECT_EQ(why("laguna"), "");
  EXPECT_NE(why("laguna_element").find("one gate a head"), std::string::npos) << why("laguna_element");
  Architecture a = Model::open(golden_model("llama_tied")).architecture();
  a.names.root = "language_model.model.";
  EXPECT_NE(why_not_mlx(a).find("'language_model.model.'"), std::string::npos) << why_not_mlx(a);
}

TEST(MlxFamilies, ExpertsOfARoleAreOneModule) {
  const Architecture a = Model::open(golden_model("mixtral"), Fusion::single).architecture();
  const std::vector<MlxStack> stacks = mlx_stacks(a, 0);
  ASSERT_EQ(stacks.size(), 3u);
  EXPECT_EQ(stacks[1].module, "model.layers.0.block_sparse_moe.switch_mlp.up_proj");
  ASSERT_EQ(stacks[1].linears.size(), a.experts.count);
  EXPECT_EQ(a.linears[stacks[1].linears[1]].module, "model.layers.0.block_sparse_moe.experts.1.w3");
  EXPECT_EQ(mlx_stacks(Model::open(golden_model("dots1")).architecture(), 1).front().module,
            "model.layers.1.mlp.experts.gate_proj");
}

TEST(MlxFamilies, LinearsThatMlxTakesApartAreKnown) {
  const Architecture v2 = Model::open(golden_model("deepseek_v2")).architecture();
  const Architecture v3 = Model::open(golden_model("deepseek_v3")).architecture();
  EXPECT_FALSE(taken_apart_by_mlx(v2, v2.linear(0, Role::kv_b)));
  EXPECT_TRUE(taken_apart_by_mlx(v3, v3.linear(0, Role::kv_b)));
  EXPECT_FALSE(taken_apart_by_mlx(v3, v3.linear(0, Role::o)));
}

TEST(MlxFamilies, TheRotaryEmbeddingIsSaidInTheKeysThatAreRead) {
  json config = {{"rope_parameters", {{"rope_theta", 500.0}, {"rope_type", "llama3"}, {"factor", 8.0}}}};
  say_rope_for_mlx(config);
  EXPECT_EQ(config["rope_theta"], 500.0);
  EXPECT_EQ(config["rope_scaling"], config["rope_parameters"]);
  json plain = {{"rope_parameters", {{"rope_theta", 500.0}, {"rope_type", "default"}}}};
  say_rope_for_mlx(plain);
  EXPECT_EQ(plain["rope_theta"], 500.0);
  EXPECT_FALSE(plain.contains("rope_scaling"));
  json older = {{"rope_theta", 10000.0}};
  const json before = older;
  say_rope_for_mlx(older);
  EXPECT_EQ(older, before);
}

}  // namespace families_test
}  // namespace strata::model
