// The names in a configuration are found by every runtime, whatever it puts before a module's name, and by none for a
// module of another part.
#include "pipeline/output/module_targets.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "format/target_pattern.h"
#include "support/tiny_model.h"

namespace strata::pipeline {
namespace module_targets_test {

using strata::fixtures::golden_model;
using strata::fixtures::TinyModel;

bool matches(const std::string& target, const std::string& module) {
  return target.starts_with("re:") ? format::TargetPattern(target.substr(3), "test").matches(module) : target == module;
}

/// The codecs of all targets that match.
std::vector<std::string> codecs_of(const std::vector<format::ModuleCodec>& targets, const std::string& module) {
  std::vector<std::string> names;
  for (const format::ModuleCodec& target : targets)
    if (matches(target.module, module)) names.push_back(target.codec->name);
  return names;
}

/// int4_g32, but o_proj of block 1 in fp8_channel.
Codecs some_codecs(const model::Architecture& a) {
  Codecs codecs(a.linears.size(), &codec::by_name("int4_g32"));
  codecs[a.index(1, model::Role::o)] = &codec::by_name("fp8_channel");
  return codecs;
}

using Names = std::vector<std::string>;

TEST(ModuleTargets, OfAWrapperAreFoundUnderEveryPrefixAndOnlyInTheTextModel) {
  const model::Model model = model::Model::open(golden_model("gemma3"));
  ASSERT_TRUE(is_named_otherwise(model));
  const auto targets = module_targets(model, some_codecs(model.architecture()));
  EXPECT_LT(targets.size(), 10u) << "blocks of one codec share a pattern";
  for (const char* prefix : {"language_model.model.", "model.language_model.", "model.", ""}) {
    SCOPED_TRACE(prefix);
    const auto of = [&](const char* module) { return codecs_of(targets, prefix + std::string(module)); };
    EXPECT_EQ(of("layers.1.self_attn.o_proj"), Names{"fp8_channel"});
    EXPECT_EQ(of("layers.0.self_attn.o_proj"), Names{"int4_g32"});
    EXPECT_EQ(of("layers.5.mlp.down_proj"), Names{"int4_g32"});
    EXPECT_EQ(of("layers.6.mlp.down_proj"), Names{}) << "there are six blocks";
    EXPECT_EQ(of("layers.0.mlp.down_proj_2"), Names{});
    EXPECT_EQ(of("sublayers.0.mlp.down_proj"), Names{});
    EXPECT_EQ(of("layers.0.input_layernorm"), Names{});
  }
  const std::vector<std::string> ignored = never_quantized(model, some_codecs(model.architecture()));
  EXPECT_EQ(ignored, Names{"re:.*\\blm_head$"}) << "tied";
}

TEST(ModuleTargets, OldQwenWrappersHaveNamesOfATextModelInTheFileOnly) {
  const model::Model model = model::Model::open(golden_model("qwen2_5_vl"));
  const auto targets = module_targets(model, some_codecs(model.architecture()));
  EXPECT_EQ(codecs_of(targets, "model.layers.1.self_attn.o_proj"), Names{"fp8_channel"});
  EXPECT_EQ(codecs_of(targets, "model.language_model.layers.1.self_attn.o_proj"), Names{"fp8_channel"});
  EXPECT_EQ(codecs_of(targets, "language_model.lm_head"), Names{"int4_g32"});
}

TEST(ModuleTargets, ExpertsOfAWrapperAreOnePatternABlock) {
  const model::Model model = model::Model::open(golden_model("qwen3_vl_moe"));
  const auto targets = module_targets(model, some_codecs(model.architecture()));
  const auto is = [](const char* text) { return [=](const auto& target) { return target.module == text; }; };
  EXPECT_EQ(std::ranges::count_if(targets, is("re:.*\\blayers\\.0\\.mlp\\.experts\\..*")), 1);
  EXPECT_EQ(codecs_of(targets, "language_model.model.layers.0.mlp.experts.0.gate_proj"), Names{"int4_g32"});
  EXPECT_EQ(never_quantized(model, some_codecs(model.architecture())), Names{"re:.*\\blayers\\.(0|1)\\.mlp\\.gate$"});
}

TEST(ModuleTargets, Mamba2IsFoundByWhatVllmCallsItToo) {
  const model::Model model = model::Model::open(golden_model("granitemoehybrid_dense"));
  Codecs codecs(model.architecture().linears.size(), &codec::by_name("int4_g32"));
  codecs[model.architecture().index(1, model::Role::o)] = &codec::by_name("fp8_channel");
  const auto targets = module_targets(model, codecs);
  for (const char* part : {"mamba", "mixer"}) {
    EXPECT_EQ(codecs_of(targets, fmt::format("model.layers.1.{}.out_proj", part)), Names{"fp8_channel"});
    EXPECT_EQ(codecs_of(targets, fmt::format("model.layers.1.{}.in_proj", part)), Names{"int4_g32"});
  }
  EXPECT_EQ(codecs_of(targets, "model.layers.2.mixer.out_proj"), Names{}) << "block 2 attends";
  EXPECT_EQ(codecs_of(targets, "model.layers.0.mixer.o_proj"), Names{});
}

TEST(ModuleTargets, ExpertsAreFoundByWhatRuntimesCallTheirMixtureToo) {
  const model::Model model = model::Model::open(golden_model("minimax_m2"));
  const auto targets = module_targets(model, some_codecs(model.architecture()));
  for (const char* mixture : {"block_sparse_moe", "mlp"})
    EXPECT_EQ(codecs_of(targets, fmt::format("model.layers.1.{}.experts.7.w2", mixture)), Names{"int4_g32"});
  EXPECT_EQ(codecs_of(targets, "model.layers.1.mlp.gate"), Names{});
}

TEST(ModuleTargets, ExpertsOutsideOfAMixtureModuleAndWhatStaysBesideThem) {
  const model::Model model = model::Model::open(golden_model("gemma4_text_moe"));
  const auto targets = module_targets(model, some_codecs(model.architecture()));
  EXPECT_EQ(codecs_of(targets, "model.layers.1.experts.7.down_proj"), Names{"int4_g32"});
  EXPECT_EQ(codecs_of(targets, "model.layers.1.mlp.down_proj"), Names{"int4_g32"});
  EXPECT_EQ(codecs_of(targets, "model.layers.1.router.proj"), Names{});
  EXPECT_EQ(codecs_of(targets, "model.layers.1.self_attn.v_proj"), Names{"int4_g32"}) << "vLLM looks it up; k is v";
  EXPECT_EQ(never_quantized(model, some_codecs(model.architecture())),
            (Names{"lm_head", "model.layers.0.router.proj", "model.layers.1.router.proj"}));
  const model::Model rows = model::Model::open(golden_model("gemma4_text"));
  EXPECT_EQ(never_quantized(rows, some_codecs(rows.architecture())),
            (Names{"lm_head", "model.per_layer_model_projection"}));
  const model::Model wrapper = model::Model::open(golden_model("gemma4"));
  EXPECT_EQ(never_quantized(wrapper, some_codecs(wrapper.architecture())),
            (Names{"re:.*\\blm_head$", "re:.*\\bper_layer_model_projection$"}));
}

TEST(ModuleTargets, OfATextModelAreExactNames) {
  const model::Model model = model::Model::open(golden_model("llama_tied"));
  EXPECT_FALSE(is_named_otherwise(model));
  const auto targets = module_targets(model, some_codecs(model.architecture()));
  EXPECT_EQ(targets.size(), model.architecture().linears.size());
  EXPECT_EQ(codecs_of(targets, "model.layers.1.self_attn.o_proj"), Names{"fp8_channel"});
  EXPECT_EQ(codecs_of(targets, "language_model.model.layers.1.self_attn.o_proj"), Names{});
  EXPECT_EQ(never_quantized(model, some_codecs(model.architecture())), Names{"lm_head"});
}

}  // namespace module_targets_test
}  // namespace strata::pipeline
