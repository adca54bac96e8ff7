// Matrices of GGUF files whose products are multiplied by a number beside them, which NVFP4 cannot do without.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "model/families.h"
#include "model/gguf/factors.h"
#include "pipeline/output/gguf_file.h"
#include "pipeline/output/linear_encoder.h"
#include "pipeline/plan/shapes.h"
#include "support/made_model.h"

namespace strata::pipeline {
namespace gguf_factors_test {

namespace fs = std::filesystem;
using ::strata::fixtures::MadeModel;

const codec::Codec& nvfp4() { return codec::by_name("nvfp4_gguf"); }

/// A model of a family as a GGUF file, in NVFP4 where llama.cpp multiplies by factors.
class Nvfp4File {
 public:
  Nvfp4File(const char* family, const json& sizes) : made_(*model::find_family(family), sizes), model_(made_.open()) {
    write_text_file(model_.path() / "tokenizer.json",
                    R"({"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}})");
    for (const model::Linear& linear : architecture().linears)
      codecs_.push_back(model::why_no_factor(architecture(), linear).empty() &&
                                codec::why_not(nvfp4(), linear.rows, linear.cols).empty()
                            ? &nvfp4()
                            : &codec::by_name("keep"));
    encoder_.emplace(model_, codecs_);
    output_.emplace(model_, codecs_, 0, DType::bf16);
    output_->write_whole(*encoder_, path(), true);
  }
  const model::Architecture& architecture() const { return model_.architecture(); }
  const GgufFile& output() const { return *output_; }
  const codec::Codec& codec(std::size_t linear) const { return *codecs_[linear]; }
  std::shared_ptr<const codec::Stored> stored(std::size_t linear) { return encoder_->linear(linear); }
  fs::path path() const { return folder_ / "m.gguf"; }

  /// Puts another factor in a linear's place.
  void set_factor(std::size_t linear, float factor) const {
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(static_cast<std::streamoff>(output_->places(linear, path()).at(1).offset));
    file.write(reinterpret_cast<const char*>(&factor), sizeof factor);
  }

 private:
  MadeModel made_;
  model::Model model_;
  Codecs codecs_;
  TemporaryFolder folder_;
  std::optional<LinearEncoder> encoder_;
  std::optional<GgufFile> output_;
};

std::vector<float> decoded(const codec::Stored& stored) {
  std::vector<float> values(stored.rows * stored.cols);
  for (std::size_t r = 0; r < stored.rows; ++r)
    codec::decode_row(stored, r, 0, stored.cols, values.data() + r * stored.cols);
  return values;
}

std::vector<float> weights_of(const model::Model& model, const model::Linear& linear) {
  const model::LinearWeights weights = model.weights(linear);
  std::vector<float> values(linear.rows * linear.cols);
  for (std::size_t r = 0; r < linear.rows; ++r)
    read_row(weights.view().dense, r, 0, linear.cols, values.data() + r * linear.cols);
  return values;
}

bool same(const codec::Stored& a, const codec::Stored& b) {
  return std::ranges::equal(a.views, b.views, [](auto x, auto y) { return std::ranges::equal(x, y); });
}

const json kExperts = {{"moe_intermediate_size", 64},
                       {"num_experts", 4},
                       {"num_experts_per_tok", 2},
                       {"norm_topk_prob", true},
                       {"head_dim", 16}};

TEST(GgufFactors, Nvfp4ComesBackBitForBit) {
  for (const auto& [family, sizes] :
       {std::pair{"llama", json{{"intermediate_size", 128}}}, std::pair{"qwen3_moe", kExperts}}) {
    Nvfp4File file(family, sizes);
    EXPECT_EQ(file.output().bytes(), fs::file_size(file.path()));
    const model::Model back = model::Model::open(file.path());
    std::size_t coded = 0;
    for (std::size_t l = 0; l < file.architecture().linears.size(); ++l) {
      const model::Linear& linear = file.architecture().linears[l];
      if (!file.codec(l).has_codes()) continue;
      ++coded;
      const auto stored = file.stored(l);
      EXPECT_TRUE(same(file.output().read(l, file.path()), *stored)) << linear.module;
      ASSERT_EQ(back.source_codec(l), &nvfp4()) << linear.module;
      EXPECT_TRUE(same(back.as_in_source(l), *stored)) << linear.module;
      EXPECT_EQ(weights_of(back, linear), decoded(*stored)) << linear.module;
    }
    EXPECT_GE(coded, 14u) << family;
  }
}

TEST(GgufFactors, AreOneForAMatrixOrAnExpert) {
  const Nvfp4File file("qwen3_moe", kExperts);
  const format::GgufFile gguf = format::GgufFile::open(file.path());
  EXPECT_EQ(gguf.find("blk.0.attn_q.scale")->shape, std::vector<std::uint64_t>{1});
  EXPECT_EQ(gguf.find("blk.1.ffn_down_exps.scale")->shape, std::vector<std::uint64_t>{4});
  EXPECT_EQ(gguf.find("token_embd.scale"), nullptr);
}

TEST(GgufFactors, OfOthersAreMultipliedInWhateverTheyAre) {
  Nvfp4File file("qwen3_moe", kExperts);
  const std::size_t q = file.architecture().index(0, model::Role::q);
  const std::size_t up = file.architecture().index(1, model::Role::up, 2);
  const auto times = [](std::vector<float> values, float ratio) {
    for (float& value : values) value *= ratio;
    return values;
  };
  for (const std::size_t l : {q, up}) {
    const std::vector<float> original = decoded(*file.stored(l));
    float factor;
    std::memcpy(&factor, file.stored(l)->views[1].data(), sizeof factor);
    for (const float ratio : {4.0f, 0.75f, -1.0f}) {
      file.set_factor(l, factor * ratio);
      const model::Model back = model::Model::open(file.path());
      EXPECT_EQ(back.source_codec(l), ratio == 4.0f ? &nvfp4() : nullptr);
      EXPECT_EQ(weights_of(back, file.architecture().linears[l]), times(original, ratio));
    }
    file.set_factor(l, NAN);
    EXPECT_NE(error_of([&] { model::Model::open(file.path()); }).find(".scale holds nan"), std::string::npos);
    file.set_factor(l, factor);
  }
}

TEST(GgufFactors, AreAskedForWhereLlamaCppHasThem) {
  const Target& target = target_by_name("llama.cpp");
  const auto why = [&](const char* family, model::Role role) {
    const MadeModel made(*model::find_family(family), json::object());
    model::Architecture a = made.architecture();
    model::list_linears(a, model::Fusion::single);
    for (const model::FusionGroup& group : a.groups)
      if (a.linears[group.linears.front()].role == role) return why_not_group(target, nvfp4(), a, group, 1);
    return std::string("no such linear");
  };
  EXPECT_EQ(why("llama", model::Role::q), "");
  EXPECT_NE(why("llama", model::Role::lm_head).find("lm_head"), std::string::npos);
  EXPECT_NE(why("llama", model::Role::embed).find("embed_tokens"), std::string::npos);
  EXPECT_NE(why("qwen2", model::Role::q), "") << "llama.cpp loads its factors and computes without them";
  EXPECT_NE(why("gemma", model::Role::q).find("gemma models"), std::string::npos);
}

}  // namespace gguf_factors_test
}  // namespace strata::pipeline
