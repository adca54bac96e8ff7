// Linears of models that no family describes, found in made-up lists of tensors: of a state-space model, of an encoder,
// of a mixture, and of hostile files.
#include "model/unknown.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "support/error_of.h"

namespace strata::model {
namespace unknown_test {

using Shape = std::vector<std::uint64_t>;

/// A list of tensors without any values.
class Names final : public TensorSource {
 public:
  void add(const std::string& name, Shape shape, const std::string& type = "BF16") {
    tensors_.push_back({name, type, std::move(shape), 0});
  }
  std::vector<TensorInfo> tensors() const override { return tensors_; }
  std::uint64_t copied_bytes(const std::string&, std::size_t, std::size_t) const override { return 0; }
  bool has(std::string_view name) const override {
    return std::ranges::find(tensors_, name, &TensorInfo::name) != tensors_.end();
  }
  LinearWeights matrix(const std::string&, std::size_t, std::size_t) const override { fail("no values"); }
  std::vector<float> vector(const std::string&, std::size_t) const override { fail("no values"); }
  const codec::Codec* codec_of(const std::string&) const override { return nullptr; }
  void release(const std::string&) const override {}
  void will_need(const std::string&) const override {}
  std::uint64_t content_hash() const override { return 0; }

 private:
  std::vector<TensorInfo> tensors_;
};

Architecture found(const Names& names, json config = json::object()) {
  config["model_type"] = "new";
  Architecture a = unknown_architecture(config);
  find_linears(a, config, names, "folder");
  return a;
}

/// The groups by name, each with the modules of its linears.
std::map<std::string, std::vector<std::string>> groups_of(const Architecture& a) {
  std::map<std::string, std::vector<std::string>> groups;
  for (const FusionGroup& group : a.groups)
    for (const std::size_t l : group.linears) groups[group.name].push_back(a.linears[l].module);
  return groups;
}

Names state_space() {
  Names names;
  names.add("backbone.embeddings.weight", {1024, 256});
  for (int i = 0; i < 3; ++i) {
    const std::string block = fmt::format("backbone.layers.{}.mixer.", i);
    names.add(block + "A_log", {512, 16}, "F32");
    names.add(block + "conv1d.weight", {512, 1, 4});
    names.add(block + "in_proj.weight", {1024, 256});
    names.add(block + "x_proj.weight", {48, 512});
    names.add(block + "out_proj.weight", {256, 512});
    names.add(block + "norm.weight", {512});
  }
  return names;
}

TEST(Unknown, AStateSpaceModelHasItsProjectionsAsLinears) {
  const Names names = state_space();
  const Architecture a = found(names);
  EXPECT_EQ(a.blocks, 3u);
  ASSERT_EQ(a.linears.size(), 6u);
  EXPECT_EQ(a.linears[2].module, "backbone.layers.1.mixer.in_proj");
  EXPECT_EQ(a.linears[2].role, Role::other);
  EXPECT_EQ(a.linears[2].block, 1u);
  EXPECT_EQ(a.linears[2].rows, 1024u);
  EXPECT_EQ(a.linears[2].cols, 256u);
  EXPECT_EQ(a.groups.size(), 6u);
  EXPECT_EQ(carried_of_unknown(a, names).size(), names.tensors().size() - 6);
  EXPECT_NE(a.why_not_runnable.find("model_type 'new' is not known here"), std::string::npos);
}

TEST(Unknown, AnEncoderHasItsAttentionInOneGroup) {
  Names names;
  names.add("bert.embeddings.word_embeddings.weight", {1024, 256});
  for (int i = 0; i < 2; ++i) {
    const std::string block = fmt::format("bert.encoder.layer.{}.", i);
    for (const char* part : {"query", "key", "value"}) {
      names.add(block + "attention.self." + part + ".weight", {256, 256});
      names.add(block + "attention.self." + part + ".bias", {256});
    }
    names.add(block + "intermediate.dense.weight", {512, 256});
    names.add(block + "output.dense.weight", {256, 512});
  }
  const auto groups = groups_of(found(names));
  EXPECT_EQ(groups.size(), 6u);
  EXPECT_EQ(groups.at("bert.encoder.layer.1.attention.self.qkv").size(), 3u);
  EXPECT_TRUE(groups.contains("bert.encoder.layer.0.output.dense"));
}

TEST(Unknown, MatricesOfDifferentInputsAreNotFused) {
  Names names;
  for (int i = 0; i < 2; ++i) {
    names.add(fmt::format("blocks.{}.ffn.key.weight", i), {1024, 256});
    names.add(fmt::format("blocks.{}.ffn.value.weight", i), {256, 1024});
  }
  EXPECT_EQ(groups_of(found(names)).size(), 4u);
}

Names mixture(std::uint64_t narrowest) {
  Names names;
  for (int i = 0; i < 2; ++i) {
    const std::string block = fmt::format("model.layers.{}.", i);
    names.add(block + "moe.gate.weight", {256, 512});
    names.add(block + "attn.q_a_proj.weight", {128, 512});
    names.add(block + "attn.kv_a_proj_with_mqa.weight", {192, 512});
    for (int e = 0; e < 12; ++e)
      for (const char* part : {"w1", "w2", "w3"})
        names.add(fmt::format("{}moe.experts.{}.{}.weight", block, e, part),
                  {e == 11 && i == 1 ? narrowest : 256, 512});
  }
  for (int i = 0; i < 4; ++i) names.add(fmt::format("visual.blocks.{}.fc.weight", i), {256, 256});
  return names;
}

TEST(Unknown, AMixtureHasTheExpertsOfABlockInOneGroup) {
  const Architecture a = found(mixture(256));
  const auto groups = groups_of(a);
  EXPECT_EQ(groups.size(), 4u);
  EXPECT_EQ(groups.at("model.layers.1.moe.experts").size(), 36u);
  EXPECT_EQ(groups.at("model.layers.0.attn.fused_qkv_a_proj").size(), 2u);
  std::size_t last = 0;
  for (const Linear& linear : a.block_linears(1)) {
    EXPECT_EQ(linear.block, 1u);
    EXPECT_NE(linear.module, "model.layers.1.moe.gate") << "a router";
    if (!linear.routed()) continue;
    EXPECT_LE(last, linear.expert) << "experts stand in the order of their numbers";
    last = linear.expert;
  }
  EXPECT_EQ(last, 11u);
}

TEST(Unknown, ExpertsStayWholeWhereOneOfThemIsTooNarrow) {
  const auto groups = groups_of(found(mixture(64)));
  EXPECT_TRUE(groups.contains("model.layers.0.moe.experts"));
  EXPECT_FALSE(groups.contains("model.layers.1.moe.experts"));
}

/// Two blocks of two matrices, "a" and "b".
Names two_blocks() {
  Names names;
  for (int i = 0; i < 2; ++i)
    for (const char* part : {"a", "b"}) names.add(fmt::format("layers.{}.{}.weight", i, part), {256, 256});
  return names;
}

TEST(Unknown, ATowerOfWiderMatricesStaysAsItIsBesideStackedExperts) {
  Names names = two_blocks();
  for (int i = 0; i < 2; ++i) {
    names.add(fmt::format("layers.{}.mlp.experts.gate_up_proj", i), {64, 512, 256});
    names.add(fmt::format("layers.{}.mlp.gate.weight", i), {128, 256});
    names.add(fmt::format("visual.blocks.{}.fc.weight", i), {1024, 1024});
  }
  const Architecture a = found(names);
  ASSERT_EQ(a.linears.size(), 4u) << "neither the tower, nor stacks, nor routers";
  for (const Linear& linear : a.linears) EXPECT_TRUE(linear.module.starts_with("layers.")) << linear.module;
}

TEST(Unknown, ProjectionsOfAConvolutionAreLinears) {
  Names names = two_blocks();
  for (int i = 0; i < 2; ++i) {
    names.add(fmt::format("layers.{}.conv.in_proj.weight", i), {768, 256});
    names.add(fmt::format("layers.{}.conv.conv.weight", i), {256, 256});
  }
  EXPECT_EQ(found(names).linears.size(), 6u);
}

TEST(Unknown, MatricesWithInputsFirstStayAsTheyAre) {
  Names names = two_blocks();
  for (int i = 0; i < 2; ++i) {
    names.add(fmt::format("layers.{}.b.bias", i), {256});  // tells no order, but others do
    names.add(fmt::format("layers.{}.c_fc.weight", i), {256, 1024});
    names.add(fmt::format("layers.{}.c_fc.bias", i), {1024});
  }
  const Architecture a = found(names);
  ASSERT_EQ(a.linears.size(), 2u);
  EXPECT_EQ(a.linears[0].module, "layers.0.a");
  Names all;
  for (int i = 0; i < 2; ++i) {
    all.add(fmt::format("h.{}.c_fc.weight", i), {256, 1024});
    all.add(fmt::format("h.{}.c_fc.bias", i), {1024});
  }
  EXPECT_NE(error_of([&] { found(all); }).find("inputs first, as h.1.c_fc.weight"), std::string::npos);
}

TEST(Unknown, ASquareMatrixWithABiasIsALinear) {
  Names names = two_blocks();
  for (int i = 0; i < 2; ++i) names.add(fmt::format("layers.{}.a.bias", i), {256});
  EXPECT_EQ(found(names).linears.size(), 4u);
}

TEST(Unknown, BlocksThatPredictSeveralTokensStayAsTheyAre) {
  EXPECT_EQ(found(two_blocks(), {{"num_hidden_layers", 1}}).blocks, 1u);
  EXPECT_EQ(found(two_blocks(), {{"num_hidden_layers", 2}}).blocks, 2u);
  EXPECT_EQ(found(two_blocks(), {{"num_hidden_layers", "two"}}).blocks, 2u);
}

TEST(Unknown, QuantizedMatricesAreLinears) {
  Names names;
  for (int i = 0; i < 2; ++i) {
    const std::string block = fmt::format("layers.{}.", i);
    names.add(block + "fp8.weight", {256, 256}, "F8_E4M3");
    names.add(block + "fp8.weight_scale_inv", {2, 2}, "F32");
    names.add(block + "bare.weight", {256, 256}, "F8_E4M3");  // nothing says what its values are
    names.add(block + "nvfp4.weight", {256, 128}, "U8");
    names.add(block + "nvfp4.weight_scale", {256, 16}, "F8_E4M3");
    names.add(block + "nvfp4.weight_scale_2", {}, "F32");
  }
  const Architecture a = found(names);
  ASSERT_EQ(a.linears.size(), 4u);
  EXPECT_EQ(a.linears[1].module, "layers.0.nvfp4");
  EXPECT_EQ(a.linears[1].cols, 256u);
}

TEST(Unknown, FilesWithoutBlocksAreRefused) {
  const auto refused = [](const Names& names) {
    EXPECT_NE(error_of([&] { found(names); }).find("hold no repeated blocks"), std::string::npos);
  };
  refused({});
  Names names;
  names.add("lm_head.weight", {512, 512});
  names.add("layers.0.a.weight", {512, 512});                     // one block
  names.add("layers.99999999999999999999.a.weight", {512, 512});  // no number
  names.add("layers.007.a.weight", {512, 512});
  names.add(".weight", {512, 512});
  names.add("..weight", {512, 512});
  names.add("blocks.0.a.weight", {512, 512}, "I8");  // no floats
  names.add("blocks.1.a.weight", {512, 512}, "I8");
  names.add(std::string(100000, '0') + ".0.a.weight", {512, 512});
  for (int e = 0; e < 4; ++e) names.add(fmt::format("layers.0.mlp.experts.{}.w1.weight", e), {512, 512});
  names.add("wide.0.a.weight", {std::uint64_t{1} << 62, 128});
  names.add("wide.1.a.weight", {std::uint64_t{1} << 62, 128});
  names.add("packed.0.a.weight_packed", {512, std::uint64_t{1} << 63}, "U8");
  names.add("packed.1.a.weight_packed", {512, std::uint64_t{1} << 63}, "U8");
  refused(names);
}

TEST(Unknown, ManyBlocksAreRefused) {
  Names names;
  for (int i = 0; i < 10001; ++i) names.add(fmt::format("layers.{}.a.weight", i), {128, 128});
  EXPECT_NE(error_of([&] { found(names); }).find("has 10001 blocks"), std::string::npos);
}

TEST(Unknown, NumbersMayHaveGaps) {
  Names names;
  for (const int i : {3, 70, 900}) names.add(fmt::format("h.{}.a.weight", i), {128, 128});
  const Architecture a = found(names);
  EXPECT_EQ(a.blocks, 3u);
  EXPECT_EQ(a.linears[1].module, "h.70.a");
  EXPECT_EQ(a.linears[1].block, 1u);
}

}  // namespace unknown_test
}  // namespace strata::model
