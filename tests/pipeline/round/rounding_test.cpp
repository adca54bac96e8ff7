// Rounds a tiny model block by block and tests which inputs each linear sees, in what order linears come, and that the
// number of threads changes nothing. Tokens are made up here.
#include "pipeline/round/rounding.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/threads.h"
#include "engine/modes.h"
#include "kernel/ops.h"
#include "quantize/rtn.h"
#include "quantize/scan.h"
#include "support/made_model.h"
#include "support/open_golden.h"

namespace strata::pipeline {
namespace rounding_test {

using engine::Site;

std::vector<const codec::Codec*> all_linears(const model::Model& model, const char* codec) {
  return std::vector<const codec::Codec*>(model.architecture().linears.size(), &codec::by_name(codec));
}

/// Without the correction and the descent that users get by default, for tests of the rest.
const RoundingOptions kPlain{.gptq = {.refine = 0}, .asymmetric = false};

std::vector<codec::Stored> round_all(const model::Model& model, const char* codec, const RoundingOptions& options,
                                     std::size_t sequences = 5, const RoundingSetup& setup = {}) {
  const auto codecs = all_linears(model, codec);
  const importance::CalibrationSet set = tokens_for(model, sequences);
  Rounding rounding(model, codecs, set, options, setup);
  std::vector<codec::Stored> result;
  for (std::size_t l = 0; l < codecs.size(); ++l) {
    const codec::Stored& stored = rounding.linear(l);
    result.push_back({stored.codec, stored.rows, stored.cols, stored.specs, stored.parts, {}});
    result.back().views.assign(result.back().parts.begin(), result.back().parts.end());
  }
  EXPECT_EQ(rounding.results().size(), codecs.size());
  EXPECT_EQ(rounding.tuned().size(), options.tune.steps > 0 ? model.architecture().blocks : 0);
  for (const BlockLoss& loss : rounding.tuned()) EXPECT_LE(loss.best, loss.start);
  for (const RoundedLinear& linear : rounding.results()) {
    EXPECT_LE(linear.relative_error, linear.nearest_relative_error * (1 + 1e-4)) << linear.module;
    EXPECT_GT(linear.relative_error, 0.0) << linear.module;
  }
  return result;
}

/// The Hessian of a linear's inputs when the linears before it are rounded already.
quantize::Hessian expected_hessian(const model::Model& model, std::size_t index, std::vector<codec::Stored>& rounded) {
  const model::Linear& linear = model.architecture().linears[index];
  engine::Engine engine(model, kernel::Precision::bf16);
  engine::Replacing replacing(engine);
  for (std::size_t l = 0; l < index; ++l)
    if (engine::input_site(model.architecture().linears[l].role) != engine::input_site(linear.role) ||
        model.architecture().linears[l].block != linear.block)
      replacing.set(l, {{}, &rounded[l]});
  quantize::Hessian hessian(linear.cols);
  const engine::Observer observer = [&](Site site, std::size_t block, const float* rows, std::size_t count,
                                        std::size_t) {
    if (site == engine::input_site(linear.role) && block == linear.block)
      hessian.add(rows, count, kernel::Precision::bf16);
  };
  std::vector<engine::Token> tokens;
  std::vector<engine::Sequence> sequences;
  for (const auto& sequence : tokens_for(model).sequences) {
    tokens.insert(tokens.end(), sequence.begin(), sequence.end());
    sequences.push_back({sequence.size()});
  }
  engine.forward(tokens, sequences, &observer);
  return hessian;
}

TEST(Rounding, EveryLinearSeesTheInputsOfTheRoundedModel) {
  for (const auto& [name, codec] : {std::pair{"llama_tied", "int4_g32"},
                                    {"qwen3_untied", "int4_g32"},
                                    {"cohere2", "int4_g32"},
                                    {"phi3", "int4_g32"},
                                    {"nemotron_h", "int4_g32"},
                                    {"gemma4_text", "int4_channel"}}) {
    const model::Model model = tiny(name);
    std::vector<codec::Stored> rounded = round_all(model, codec, {.gptq = {.refine = 1}, .asymmetric = false});
    for (std::size_t l = 0; l < rounded.size(); ++l) {
      const model::Linear& linear = model.architecture().linears[l];
      if (linear.block == model::kNoBlock) continue;
      const model::LinearWeights weights = model.weights(linear);
      const quantize::GptqResult want = quantize::quantize_gptq(
          codec::by_name(codec), weights.view().dense, expected_hessian(model, l, rounded), {.refine = 1}, {1.0f});
      EXPECT_TRUE(rounded[l].parts == want.stored.parts) << name << " " << linear.module;
    }
  }
}

TEST(Rounding, TheMatrixBehindNarrowExpertsSeesTheSumOfTheRoundedOnes) {
  const model::Model model = tiny("nemotron_h_latent");
  const model::Architecture& a = model.architecture();
  std::vector<codec::Stored> rounded = round_all(model, "int8_channel", {.gptq = {.refine = 1}, .asymmetric = false});
  for (const std::size_t block : {1u, 3u})
    for (const model::Role role : {model::Role::to_latent, model::Role::from_latent}) {
      const std::size_t l = a.index(block, role);
      const model::LinearWeights weights = model.weights(a.linears[l]);
      const quantize::GptqResult want =
          quantize::quantize_gptq(codec::by_name("int8_channel"), weights.view().dense,
                                  expected_hessian(model, l, rounded), {.refine = 1}, {1.0f});
      EXPECT_TRUE(rounded[l].parts == want.stored.parts) << a.linears[l].module;
    }
}

TEST(Rounding, TheHeadSeesRowsOfTheModelsKindOfNorm) {
  const ::strata::fixtures::MadeModel made(::strata::fixtures::side_by_side_family(),
                                           ::strata::fixtures::side_by_side_config());
  const model::Model model = made.open();
  const model::Architecture& a = model.architecture();
  ASSERT_EQ(a.norm_kind, model::NormKind::layer);
  const auto rounded = round_all(model, "int4_g32", {.gptq = {.refine = 1}, .asymmetric = false});
  engine::Engine engine(model, kernel::Precision::bf16);
  engine::Replacing replacing(engine);
  for (std::size_t l = 0; l < a.lm_head(); ++l) replacing.set(l, {{}, &rounded[l]});
  quantize::Hessian hessian(a.hidden);
  std::vector<engine::Token> tokens;
  std::vector<engine::Sequence> sequences;
  for (const auto& sequence : tokens_for(model).sequences) {
    tokens.insert(tokens.end(), sequence.begin(), sequence.end());
    sequences.push_back({sequence.size()});
  }
  std::vector<float> rows = engine.forward(tokens, sequences);
  kernel::layer_norm(rows.data(), model.norm(model::Norm::last).data(), tokens.size(), a.hidden, a.norm_epsilon,
                     rows.data());
  hessian.add(rows.data(), tokens.size(), kernel::Precision::bf16);
  const model::LinearWeights weights = model.weights(a.linears[a.lm_head()]);
  const quantize::GptqResult want =
      quantize::quantize_gptq(codec::by_name("int4_g32"), weights.view().dense, hessian, {.refine = 1}, {1.0f});
  EXPECT_TRUE(rounded[a.lm_head()].parts == want.stored.parts);
}

TEST(Rounding, BytesAreTheSameAtAnyThreadCount) {
  const model::Model model = tiny("qwen3_untied");
  const RoundingOptions options{.gptq = {.refine = 1}, .asymmetric = true, .tune = {.steps = 5, .batch_tokens = 48}};
  set_thread_count(1);
  const auto one = round_all(model, "nvfp4", options);
  set_thread_count(3);
  const auto three = round_all(model, "nvfp4", options);
  set_thread_count(0);
  for (std::size_t l = 0; l < one.size(); ++l) EXPECT_TRUE(one[l].parts == three[l].parts) << l;
}

TEST(Rounding, BytesAreTheSameWithHiddenStatesInAFile) {
  const RoundingOptions options{.gptq = {.refine = 0}, .asymmetric = true, .tune = {.steps = 3, .batch_tokens = 48}};
  for (const char* name : {"qwen3_untied", "cohere2"}) {
    const model::Model model = tiny(name);
    const std::filesystem::path folder = std::filesystem::temp_directory_path();
    const auto memory = round_all(model, "int4_g32", options),
               file = round_all(model, "int4_g32", options, 5, {.spill_folder = folder});
    for (std::size_t l = 0; l < memory.size(); ++l) EXPECT_TRUE(memory[l].parts == file[l].parts) << name << " " << l;
  }
}

TEST(Rounding, ResumedBlocksGoOnToTheSameBytes) {
  for (const char* name : {"qwen3_untied", "cohere2"}) {
    const model::Model model = tiny(name);
    const RoundingOptions options{.gptq = {.refine = 0}};
    const auto whole = round_all(model, "int4_g32", options);
    const auto codecs = all_linears(model, "int4_g32");
    const importance::CalibrationSet set = tokens_for(model);
    Rounding resumed(model, codecs, set, options);
    resumed.resume(1, [&](std::size_t l) {
      const codec::Stored& stored = whole[l];
      codec::Stored copy{stored.codec, stored.rows, stored.cols, stored.specs, stored.parts, {}};
      copy.views.assign(copy.parts.begin(), copy.parts.end());
      return copy;
    });
    for (std::size_t l = model.architecture().layout[1].first; l < whole.size(); ++l)
      EXPECT_TRUE(resumed.linear(l).parts == whole[l].parts) << name << " " << l;
  }
}

TEST(Rounding, BlocksThatReadEarlierKeysAreTheSameInAFileAndResumed) {
  const model::Model model = tiny("gemma4_text");  // blocks 2 and 3 read keys of blocks 0 and 1
  const RoundingOptions options{.gptq = {.refine = 0}, .asymmetric = true};
  const auto whole = round_all(model, "int4_channel", options),
             file =
                 round_all(model, "int4_channel", options, 5, {.spill_folder = std::filesystem::temp_directory_path()});
  for (std::size_t l = 0; l < whole.size(); ++l) EXPECT_TRUE(whole[l].parts == file[l].parts) << l;
  const auto codecs = all_linears(model, "int4_channel");
  const importance::CalibrationSet set = tokens_for(model);
  Rounding resumed(model, codecs, set, options);
  resumed.resume(2, [&](std::size_t l) {
    codec::Stored copy{whole[l].codec, whole[l].rows, whole[l].cols, whole[l].specs, whole[l].parts, {}};
    copy.views.assign(copy.parts.begin(), copy.parts.end());
    return copy;
  });
  for (std::size_t l = model.architecture().layout[2].first; l < whole.size(); ++l)
    EXPECT_TRUE(resumed.linear(l).parts == whole[l].parts) << l;
}

constexpr std::size_t kMany = 40;  // sequences for what is measured

/// Mean squared error of the last block's output, relative to the original's, over the calibration set.
double output_error(const model::Model& model, const std::vector<codec::Stored>& rounded) {
  engine::Engine original(model), quantized(model);
  engine::Replacing replacing(quantized);
  for (std::size_t l = 0; l < rounded.size(); ++l) replacing.set(l, {{}, &rounded[l]});
  double error = 0, energy = 0;
  for (const auto& sequence : tokens_for(model, kMany).sequences) {
    const engine::Sequence whole{sequence.size()};
    const std::vector<float> want = original.forward(sequence, {&whole, 1}),
                             got = quantized.forward(sequence, {&whole, 1});
    for (std::size_t i = 0; i < want.size(); ++i) {
      const double w = want[i], d = static_cast<double>(got[i]) - w;
      error += d * d;
      energy += w * w;
    }
  }
  return error / energy;
}

double output_error(const model::Model& model, const char* codec, const RoundingOptions& options) {
  return output_error(model, round_all(model, codec, options, kMany));
}

TEST(Rounding, ParallelBlocksComeNearerThanByRoundingToNearest) {
  const model::Model model = tiny("cohere2");
  std::vector<codec::Stored> nearest;
  for (const model::Linear& linear : model.architecture().linears)
    nearest.push_back(quantize::quantize_rtn(codec::by_name("int4_g32"), model.weights(linear).view().dense, {},
                                             codec::ScaleFit::search, 1.0f));
  const double by_nearest = output_error(model, nearest);
  EXPECT_LT(output_error(model, "int4_g32", kPlain), 0.9 * by_nearest);
  EXPECT_LT(output_error(model, "int4_g32", {.gptq = {.damping = 0.01, .refine = 0}}), 0.9 * by_nearest);
}

TEST(Rounding, CorrectionComesNearerToTheOriginal) {
  const model::Model model = tiny("qwen3_untied");
  set_thread_count(1);
  const double plain = output_error(model, "int2_g32", kPlain);
  const double corrected = output_error(model, "int2_g32", {.gptq = {.damping = 0.01, .refine = 0}});
  set_thread_count(0);
  EXPECT_LT(corrected, plain);
}

TEST(Rounding, TheCorrectionDoesNotTakeBiasesForDrift) {
  for (const char* name : {"llama_attention_bias", "llama_mlp_bias", "gpt2"}) {
    const model::Model model = tiny(name);
    const std::vector<codec::Stored> rounded = round_all(model, "int8_channel", {.gptq = {.refine = 0}});
    for (std::size_t l = 0; l < rounded.size(); ++l) {
      const model::Linear& linear = model.architecture().linears[l];
      if (linear.role != model::Role::o && linear.role != model::Role::down) continue;
      const model::LinearWeights weights = model.weights(linear);
      double error = 0, energy = 0;
      for (std::size_t r = 0; r < linear.rows; ++r) {
        std::vector<float> want(linear.cols), got(linear.cols);
        codec::widen_row(weights.view().dense, r, want);
        codec::decode_row(rounded[l], r, 0, linear.cols, got.data());
        for (std::size_t c = 0; c < linear.cols; ++c) {
          error += (got[c] - want[c]) * (got[c] - want[c]);
          energy += want[c] * want[c];
        }
      }
      EXPECT_LT(error, 1e-3 * energy) << name << ", " << linear.module;
    }
  }
}

TEST(Rounding, TuningLowersTheHeldOutError) {
  for (const auto& [name, codec] : {std::pair("qwen3_untied", "int2_g32"),
                                    {"qwen3_untied", "nvfp4"},
                                    {"qwen3_moe", "int2_g32"},
                                    {"qwen3_next", "int4_channel"},
                                    {"gemma4_text", "int4_channel"}}) {
    const model::Model model = tiny(name);
    const auto codecs = all_linears(model, codec);
    const importance::CalibrationSet set = tokens_for(model, 40);
    Rounding rounding(model, codecs, set,
                      {.gptq = {.refine = 0}, .asymmetric = false, .tune = {.steps = 20, .batch_tokens = 64}});
    rounding.linear(codecs.size() - 1);
    double before = 0, after = 0;
    for (const BlockLoss& loss : rounding.tuned()) {
      before += loss.start;
      after += loss.best;
    }
    EXPECT_LT(after, 0.99 * before) << name << " " << codec;
  }
}

TEST(Rounding, KeptLinearsStayTheOriginals) {
  const model::Model model = tiny("llama_tied");
  auto codecs = all_linears(model, "int4_g32");
  const std::size_t kept = model.architecture().index(1, model::Role::o);
  codecs[kept] = &codec::by_name("keep");
  const importance::CalibrationSet set = tokens_for(model);
  Rounding rounding(model, codecs, set, kPlain);
  EXPECT_EQ(rounding.linear(codecs.size() - 1).codec, codecs.back());
  EXPECT_EQ(rounding.results().size(), codecs.size() - 1);
}

TEST(Rounding, BytesAreTheSameWithRowsKept) {
  for (const char* name : {"llama_tied", "qwen3_untied", "mixtral", "cohere2", "nemotron_h"})
    for (const RoundingOptions& options :
         {kPlain, RoundingOptions{.gptq = {.refine = 0}},
          RoundingOptions{.gptq = {.refine = 0}, .asymmetric = false, .tune = {.steps = 3}}}) {
      const model::Model model = tiny(name);
      const auto without = round_all(model, "int4_g32", options, 40),
                 with = round_all(model, "int4_g32", options, 40, {.keep_rows = true});
      for (std::size_t l = 0; l < with.size(); ++l) EXPECT_TRUE(with[l].parts == without[l].parts) << name << " " << l;
    }
}

TEST(Rounding, ExpertsSeeTheirOwnTokensOrAllWhenThoseAreFew) {
  for (const char* name : {"qwen3_moe", "glm4_moe"}) {
    const model::Model model = tiny(name);
    const model::Architecture& a = model.architecture();
    const auto codecs = all_linears(model, "int4_g32");
    const importance::CalibrationSet set = tokens_for(model);
    Rounding rounding(model, codecs, set, kPlain);
    for (std::size_t l = 0; l < codecs.size(); ++l) EXPECT_EQ(rounding.linear(l).rows, a.linears[l].rows);
    ASSERT_EQ(rounding.results().size(), codecs.size());
    std::vector<std::size_t> routed(a.blocks, 0);
    std::size_t few = 0;
    for (const RoundedLinear& result : rounding.results()) {
      EXPECT_LE(result.relative_error, result.nearest_relative_error * (1 + 1e-4)) << result.module;
      const auto linear = std::ranges::find(a.linears, result.module, &model::Linear::module);
      EXPECT_EQ(result.routed.has_value(), linear->routed());
      const std::size_t all = 5 * 24;
      EXPECT_EQ(result.tokens, !linear->routed() || *result.routed < linear->cols ? all : *result.routed);
      if (linear->routed() && linear->role == model::Role::gate) routed[linear->block] += *result.routed;
      if (linear->routed() && *result.routed < linear->cols) ++few;
    }
    for (std::size_t b = 0; b < a.blocks; ++b)
      EXPECT_EQ(routed[b], a.layout[b].mixture ? 5u * 24u * a.experts.used : 0u) << name;
    EXPECT_GT(few, 0u) << name;
  }
}

TEST(Rounding, KeptExpertsStayTheOriginals) {
  const model::Model model = tiny("mixtral");
  const model::Architecture& a = model.architecture();
  auto codecs = all_linears(model, "int4_g32");
  for (std::size_t l = 0; l < codecs.size(); ++l)
    if (a.linears[l].routed() && a.linears[l].block == 0) codecs[l] = &codec::by_name("keep");
  const importance::CalibrationSet set = tokens_for(model);
  Rounding rounding(model, codecs, set, kPlain);
  for (std::size_t l = 0; l < codecs.size(); ++l) {
    if (!codecs[l]->has_codes()) continue;
    EXPECT_EQ(rounding.linear(l).codec, codecs[l]) << l;
  }
}

}  // namespace rounding_test
}  // namespace strata::pipeline
