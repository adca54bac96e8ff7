// Norms that were damaged are learned back, whatever the number of threads; and a checkpoint with replaced vectors
// differs in those alone.
#include "pipeline/round/tune_norms.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <limits>

#include "core/error.h"
#include "core/file.h"
#include "core/threads.h"
#include "pipeline/output/replace_vectors.h"
#include "support/gguf_model.h"
#include "support/open_golden.h"

namespace strata::pipeline {
namespace tune_norms_test {

namespace fs = std::filesystem;

class TuneNorms : public ::testing::Test {
 protected:
  TuneNorms() : folder_(fs::temp_directory_path() / fmt::format("strata-norms-{}", getpid())) {
    fs::create_directories(folder_);
  }
  ~TuneNorms() override { fs::remove_all(folder_); }

  static std::vector<float> norm(const model::Model& model, std::size_t block) {
    return model.vector(fmt::format("model.layers.{}.post_attention_layernorm.weight", block),
                        model.architecture().hidden);
  }
  /// The model with a norm of its first block a third larger.
  model::Model damaged(const model::Model& model, const std::string& output) const {
    std::vector<float> weights = norm(model, 0);
    for (float& w : weights) w *= 1.3f;
    replace_vectors(model, {{"model.layers.0.post_attention_layernorm.weight", weights}}, folder_ / output, false);
    return model::Model::open(folder_ / output);
  }
  /// Bytes in which two files of equal size differ: from the first to behind the last.
  static std::size_t changed_bytes(const fs::path& a, const fs::path& b) {
    const std::string left = read_text_file(a), right = read_text_file(b);
    EXPECT_EQ(left.size(), right.size());
    std::size_t first = left.size(), last = 0;
    for (std::size_t i = 0; i < left.size(); ++i)
      if (left[i] != right[i]) first = std::min(first, i), last = i + 1;
    return last - std::min(first, last);
  }

  fs::path folder_;
};

TEST_F(TuneNorms, DamagedNormsAreLearnedBack) {
  for (const char* name : {"llama_tied", "qwen2_untied_sharded", "qwen3", "qwen3_moe", "qwen3_next", "nemotron",
                           "gemma4_text", "gemma4_text_moe"}) {
    const model::Model original = tiny(name), wrong = damaged(original, name);
    const importance::CalibrationSet set = tokens_for(original, 16);
    NormOptions options;
    options.rate = 0.03;
    options.rounds = 12;
    options.batch_tokens = 48;
    const TunedNorms tuned = tune_norms(original, wrong, set, options);
    EXPECT_EQ(tuned.steps, 12 * 7) << name;
    EXPECT_GT(tuned.start, 0.0) << name;
    EXPECT_LT(tuned.best, 0.3 * tuned.start) << name;
    const model::Architecture& a = original.architecture();
    std::size_t norms = 1;  // the last one
    for (std::size_t b = 0; b < a.blocks; ++b)
      norms += static_cast<std::size_t>(
          std::ranges::count_if(model::kStreamNorms, [&](model::Norm norm) { return a.has(norm, b); }));
    EXPECT_EQ(tuned.weights.size(), norms * (a.norm_bias ? 2 : 1)) << name;  // weights, and biases
  }
}

TEST_F(TuneNorms, TheOriginalStaysAsItIs) {
  const model::Model original = tiny("llama_tied");
  const TunedNorms tuned = tune_norms(original, original, tokens_for(original, 3), {});
  EXPECT_EQ(tuned.best, tuned.start);
  EXPECT_EQ(tuned.weights.at("model.layers.0.post_attention_layernorm.weight"), norm(original, 0));
}

TEST_F(TuneNorms, ThreadsChangeNothing) {
  const model::Model original = tiny("qwen2"), wrong = damaged(original, "qwen2");
  const importance::CalibrationSet set = tokens_for(original, 9);
  set_thread_count(1);
  const TunedNorms one = tune_norms(original, wrong, set, {});
  set_thread_count(3);
  const TunedNorms three = tune_norms(original, wrong, set, {});
  set_thread_count(0);
  EXPECT_EQ(one.weights, three.weights);
  EXPECT_EQ(one.best, three.best);
}

TEST_F(TuneNorms, WhatCannotBeLearnedIsRefused) {
  const model::Model llama = tiny("llama_tied"), other = tiny("llama_head_dim");
  EXPECT_THROW(tune_norms(llama, llama, tokens_for(llama, 1), {}), Error);
  if (other.architecture().intermediate != llama.architecture().intermediate ||
      other.architecture().hidden != llama.architecture().hidden) {
    EXPECT_THROW(tune_norms(llama, other, tokens_for(llama, 3), {}), Error);
  }
}

TEST_F(TuneNorms, AReplacedVectorIsAllThatChanges) {
  const model::Model original = tiny("llama_tied");
  const std::size_t hidden = original.architecture().hidden;
  const model::Model folder = damaged(original, "folder");
  EXPECT_LE(changed_bytes(original.path() / "model.safetensors", folder_ / "folder/model.safetensors"), 4 * hidden);
  for (const auto& entry : fs::directory_iterator(original.path()))
    EXPECT_TRUE(fs::exists(folder_ / "folder" / entry.path().filename())) << entry.path();

  model::write_model(folder_ / "plain.gguf", "llama", 12);
  const model::Model plain = model::Model::open(folder_ / "plain.gguf");
  const std::vector<float> weights(256, 2.5f);
  replace_vectors(plain, {{"model.layers.0.post_attention_layernorm.weight", weights}}, folder_ / "new.gguf", false);
  EXPECT_LE(changed_bytes(folder_ / "plain.gguf", folder_ / "new.gguf"), 4u * 256u);
  EXPECT_EQ(norm(model::Model::open(folder_ / "new.gguf"), 0), weights);
}

TEST_F(TuneNorms, WrongVectorsLeaveNothingBehind) {
  const model::Model original = tiny("llama_tied");
  const std::vector<float> weights = norm(original, 0);
  const std::string name = "model.layers.0.post_attention_layernorm.weight";
  EXPECT_THROW(replace_vectors(original, {{"model.layers.99.input_layernorm.weight", weights}}, folder_ / "a", false),
               Error);
  EXPECT_THROW(replace_vectors(original, {{name, std::vector<float>(3, 1.0f)}}, folder_ / "a", false), Error);
  std::vector<float> infinite = weights;
  infinite[0] = std::numeric_limits<float>::infinity();
  EXPECT_THROW(replace_vectors(original, {{name, infinite}}, folder_ / "a", false), Error);
  EXPECT_TRUE(fs::is_empty(folder_));
  replace_vectors(original, {{name, weights}}, folder_ / "a", false);
  EXPECT_THROW(replace_vectors(original, {{name, weights}}, folder_ / "a", false), Error);
}

}  // namespace tune_norms_test
}  // namespace strata::pipeline
