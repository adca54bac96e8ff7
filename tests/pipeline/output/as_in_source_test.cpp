// Linears that the source holds in a codec of the plan are written bit for bit, whatever rounds the others, and cost
// nothing: experts in MXFP4, compressed-tensors, types of GGUF.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "importance/score.h"
#include "pipeline/choose/costs.h"
#include "pipeline/choose/planner.h"
#include "pipeline/choose/presets.h"
#include "pipeline/output/linear_encoder.h"
#include "pipeline/output/output.h"
#include "pipeline/round/rounding.h"
#include "support/open_golden.h"
#include "support/tiny_model.h"

namespace strata::pipeline {
namespace as_in_source_test {

namespace fs = std::filesystem;
using strata::fixtures::TemporaryFolder;
using strata::fixtures::TinyModel;

/// The bytes of a stored linear, its tensors one after the other.
std::vector<std::byte> bytes_of(const codec::Stored& stored) {
  std::vector<std::byte> bytes;
  for (const auto& view : stored.views) bytes.insert(bytes.end(), view.begin(), view.end());
  return bytes;
}

/// The codec wherever it fits the whole group, and keep elsewhere.
Codecs everywhere(const model::Model& model, const Target& target, const char* name) {
  const Problem problem(model, target, {}, {});
  Codecs codecs(model.architecture().linears.size(), &codec::by_name("keep"));
  for (std::size_t g = 0; g < model.architecture().groups.size(); ++g)
    if (problem.fits(g, codec::by_name(name)))
      for (const std::size_t l : model.architecture().groups[g].linears) codecs[l] = &codec::by_name(name);
  return codecs;
}

/// Writes a model with scales by minmax, so that rounding it again by search gives other scales.
void write(const model::Model& model, const Codecs& codecs, const char* target, const fs::path& path,
           codec::ScaleFit fit = codec::ScaleFit::search) {
  LinearEncoder encoder(model, codecs, {.scale_fit = fit});
  plan_output(model, codecs, target_by_name(target), 0)->write_whole(encoder, path, false);
}

TEST(AsInSource, ExpertsInMxfp4AreWrittenBitForBitByEveryMethod) {
  const model::Model model = tiny("gpt_oss_mxfp4");
  const model::Architecture& a = model.architecture();
  const Codecs codecs = everywhere(model, target_by_name("vllm"), "mxfp4");
  const TemporaryFolder folder;
  write(model, codecs, "vllm", folder / "out");
  const model::Model written = model::Model::open(folder / "out");
  const importance::CalibrationSet set = tokens_for(model, 4);
  Rounding rounding(model, codecs, set, {});
  std::size_t held = 0;
  for (std::size_t l = 0; l < a.linears.size(); ++l) {
    SCOPED_TRACE(a.linears[l].module);
    const std::vector<std::byte> rounded =
        codecs[l]->has_codes() ? bytes_of(rounding.linear(l)) : std::vector<std::byte>();
    EXPECT_EQ(model.source_codec(l) != nullptr, a.linears[l].routed());
    if (model.source_codec(l) == nullptr) continue;
    ++held;
    EXPECT_EQ(model.source_codec(l)->name, "mxfp4");
    const std::vector<std::byte> bytes = bytes_of(model.as_in_source(l));
    EXPECT_EQ(bytes_of(written.as_in_source(l)), bytes);
    EXPECT_EQ(rounded, bytes);
  }
  EXPECT_GT(held, 0u);
  for (const RoundedLinear& linear : rounding.results())
    EXPECT_EQ(linear.relative_error == 0.0, linear.module.find("experts") != std::string::npos) << linear.module;
}

TEST(AsInSource, SignalsAndRulesFindNoCost) {
  const model::Model dense = tiny("llama_tied");
  const TemporaryFolder folder;
  Codecs held = everywhere(dense, target_by_name("vllm"), "mxfp4");
  for (std::size_t l = 0; l < held.size(); ++l)
    if (dense.architecture().linears[l].module.find("self_attn") != std::string::npos)
      held[l] = &codec::by_name("keep");
  write(dense, held, "vllm", folder / "m");
  const model::Model model = model::Model::open(folder / "m");
  const model::Architecture& a = model.architecture();
  engine::Engine engine(model);
  importance::ScoreRequest request;
  for (const char* name : {"act_mse", "alpha", "kl"}) request.signals.push_back(&importance::signal_by_name(name));
  request.codecs = {&codec::by_name("mxfp4"), &codec::by_name("nvfp4")};
  const importance::Scores scores = importance::score(engine, tokens_for(model, 4), request).scores;
  for (std::size_t l = 0; l < a.linears.size(); ++l)
    for (const importance::CodecScore& score : scores.linears.at("act_mse")[l].codecs)
      if (model.source_codec(l) == nullptr) {
        EXPECT_GT(score.error, 0.0) << a.linears[l].module << score.codec->name;
      } else if (score.codec == model.source_codec(l)) {
        EXPECT_EQ(score.error, 0.0) << a.linears[l].module;
      }
  for (std::size_t g = 0; g < a.groups.size(); ++g)
    for (const importance::Measurement& m : scores.choices.at("kl")[g])
      if (m.codec == model.source_codec(a.groups[g].linears.front())) {
        EXPECT_LT(m.value, 1e-12) << a.groups[g].name;
      }

  const auto plan = [&](const char* preset, const Costs& costs) {
    PlanRequest wanted;
    wanted.preset = preset;
    wanted.budget = BitsBudget{16};  // more than what is held needs: no byte is spent on what is exact already
    return make_plan(Problem(model, target_by_name("vllm"), wanted, costs)).plan;
  };
  for (const Plan& made : {plan("prior", {}), plan("best", costs_of(scores, a))})
    for (const PlannedGroup& group : made.groups)
      if (group.name.find("mlp") != std::string::npos) {
        EXPECT_EQ(group.codec->name, "mxfp4") << made.preset;
        EXPECT_EQ(group.as_in_source, group.linears.size());
        EXPECT_EQ(group.cost, 0.0);
      }
}

TEST(AsInSource, ACheckpointOfItsOwnCodecIsWrittenAsItIs) {
  for (const char* codec : {"int4_g32", "fp8_channel", "nvfp4", "mxfp4"}) {
    SCOPED_TRACE(codec);
    const model::Model dense = tiny("llama_tied");
    const TemporaryFolder folder;
    const Codecs codecs = everywhere(dense, target_by_name("vllm"), codec);
    write(dense, codecs, "vllm", folder / "first", codec::ScaleFit::minmax);
    const model::Model source = model::Model::open(folder / "first");
    write(source, codecs, "vllm", folder / "second");
    EXPECT_EQ(read_text_file(folder / "second" / "model.safetensors"),
              read_text_file(folder / "first" / "model.safetensors"));
  }
}

TEST(AsInSource, FusedLinearsWithTensorScalesOfTheirOwnAreRoundedAgain) {
  const model::Model dense = tiny("llama_tied");
  const TemporaryFolder folder;
  write(dense, everywhere(dense, target_by_name("vllm"), "nvfp4"), "vllm", folder / "m");
  std::string file = read_text_file(folder / "m" / "model.safetensors");
  std::uint64_t header = 0;
  std::memcpy(&header, file.data(), 8);
  const json tensors = json::parse(file.substr(8, header));
  const std::string scale = "model.layers.1.self_attn.k_proj.weight_global_scale";
  const float other = 3.0f;
  std::memcpy(file.data() + 8 + header + tensors[scale]["data_offsets"][0].get<std::size_t>(), &other, sizeof other);
  write_text_file(folder / "m" / "model.safetensors", file);
  const model::Model source = model::Model::open(folder / "m");
  for (std::size_t l = 0; l < source.architecture().linears.size(); ++l) {
    const std::string& module = source.architecture().linears[l].module;
    const bool fused = module.find("layers.1.self_attn") != std::string::npos && !module.ends_with("o_proj");
    EXPECT_EQ(source.source_codec(l) == nullptr, fused) << module;
  }
}

TEST(AsInSource, AGgufFileOfItsOwnTypesIsWrittenAsItIs) {
  const TinyModel files("llama_tied");  // its q and k lie with their rows in another order
  write_text_file(files.path() / "tokenizer.json",
                  R"({"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0, "b": 1}, "merges": []}})");
  const model::Model dense = model::Model::open(files.path(), model::Fusion::single);
  const TemporaryFolder folder;
  const Codecs codecs = everywhere(dense, target_by_name("llama.cpp"), "q4_0");
  write(dense, codecs, "llama.cpp", folder / "first.gguf", codec::ScaleFit::minmax);
  const model::Model source = model::Model::open(folder / "first.gguf", model::Fusion::single);
  write(source, codecs, "llama.cpp", folder / "second.gguf");
  const model::Model written = model::Model::open(folder / "second.gguf", model::Fusion::single);
  for (std::size_t l = 0; l < codecs.size(); ++l) {
    ASSERT_EQ(written.source_codec(l), codecs[l]);
    EXPECT_EQ(bytes_of(written.as_in_source(l)), bytes_of(source.as_in_source(l))) << l;
  }
}

}  // namespace as_in_source_test
}  // namespace strata::pipeline
