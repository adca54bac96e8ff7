// Verification and evaluation of checkpoints whose activations a runtime rounds: both figures where the target does it,
// the weights' alone where it does not.
#include <gtest/gtest.h>

#include "engine/modes.h"
#include "importance/linear_inputs.h"
#include "pipeline/job/evaluation.h"
#include "pipeline/job/letters_model.h"
#include "support/error_of.h"

namespace strata::pipeline {
namespace activations_test {

namespace fs = std::filesystem;

struct Remarks : Listener {
  void on_remark(const std::string& text) override { all += text + "\n"; }
  std::string all;
};

class ActivationsOfAJob : public ::testing::Test {
 protected:
  QuantizeRequest request_for(const std::string& codec, const std::string& target) const {
    QuantizeRequest request = letters_.request("uniform:" + codec, "out");
    request.target = target;
    return request;
  }
  static Quantized made(const QuantizeRequest& request) {
    Listener silent;
    return quantize(request, silent);
  }
  Quantized made(const std::string& codec, const std::string& target) const { return made(request_for(codec, target)); }
  EvaluationRequest evaluation() const {
    EvaluationRequest request;
    request.models = {(folder_ / "out").string()};
    request.reference = (folder_ / "model").string();
    request.text = (folder_ / "text.txt").string();
    request.seq_len = 32;
    request.samples = 4;
    return request;
  }

  const LettersModel letters_{"qwen3"};
  const fs::path& folder_ = letters_.folder();
};

TEST_F(ActivationsOfAJob, AreMeasuredWhereTheTargetRoundsThem) {
  const Quantized done = made("fp8_channel", "vllm");
  ASSERT_TRUE(done.verification->as_it_runs);
  const eval::AsItRuns& runs = *done.verification->as_it_runs;
  EXPECT_EQ(runs.linears.begin()->first, "fp8 by token");
  EXPECT_GT(runs.linears.begin()->second, 10u);
  EXPECT_GT(runs.kl_change->mean, 0.0);
  EXPECT_NEAR(runs.kl_change->mean, runs.kl_divergence->mean - done.verification->kl_divergence->mean, 1e-12);
  EXPECT_FALSE(made("fp8_channel", "vllm:sm80").verification->as_it_runs) << "Marlin multiplies with inputs in bf16";
  EXPECT_FALSE(made("int4_g32", "vllm").verification->as_it_runs) << "nothing is declared";
  EXPECT_EQ(made("int8_w8a8", "vllm:cpu").verification->as_it_runs->linears.begin()->first, "int8 by token");
}

TEST_F(ActivationsOfAJob, AreThoseOfTheCodec) {
  for (const auto& [codec, name] :
       {std::pair{"nvfp4_a4", "nvfp4"}, std::pair{"mxfp4_a4", "mxfp4"}, std::pair{"mxfp8_a8", "mxfp8"},
        std::pair{"fp8_static", "fp8 with a fixed scale"}}) {
    QuantizeRequest request = request_for(codec, "vllm:sm100");
    request.plan.codecs = {codec, "keep"};
    const Quantized done = made(request);
    EXPECT_EQ(done.prepared.plan.output_bytes, done.written.bytes) << codec;
    ASSERT_TRUE(done.verification->as_it_runs) << codec;
    EXPECT_EQ(done.verification->as_it_runs->linears.begin()->first, name);
    EXPECT_GT(done.verification->as_it_runs->kl_change->mean, 0.0) << codec;
  }
}

TEST_F(ActivationsOfAJob, FixedScalesAreThoseOfTheCalibrationText) {
  QuantizeRequest request = request_for("nvfp4_a4", "vllm:sm100");
  request.plan.codecs = {"nvfp4_a4", "keep"};
  request.plan.smoothing = 0.0;  // else the inputs are those of the smoothed model
  made(request);
  const model::Model written = model::Model::open(folder_ / "out"), model = model::Model::open(folder_ / "model");
  const auto declared = written.declared_activations();
  const model::Architecture& a = model.architecture();
  std::map<std::pair<std::size_t, model::Site>, float> largest;
  engine::Engine engine(model);
  const auto tokens = model::Tokenizer::of(model).encode(read_text_file(folder_ / "text.txt").substr(0, 4 * 16));
  const engine::Observer observer = [&](model::Site site, std::size_t block, const float* rows, std::size_t count,
                                        std::size_t size) {
    for (std::size_t i = 0; i < count * size; ++i)
      largest[{block, site}] = std::max(largest[{block, site}], std::fabs(rows[i]));
  };
  engine.forward(tokens, std::vector<engine::Sequence>(4, engine::Sequence{16}), &observer);
  for (std::size_t l = 0; l < a.linears.size(); ++l) {
    const float most = largest.at({a.linears[l].block, engine::input_site(a, a.linears[l])});
    EXPECT_NEAR(declared[l].scale, 2688.0f / most, 0.02f * 2688.0f / most) << a.linears[l].module;
  }
}

TEST(ActivationsOfTheHead, AreMeasuredAfterTheFinalNorm) {
  const LettersModel letters("qwen3_untied");
  QuantizeRequest request = letters.request("uniform:fp8_channel", "out");
  request.target = "vllm";
  request.plan.assign = {{"lm_head", "fp8_static"}};
  Listener silent;
  quantize(request, silent);
  const model::Model written = model::Model::open(letters.folder() / "out"),
                     model = model::Model::open(letters.model());
  engine::Engine engine(model);
  const auto tokens = model::Tokenizer::of(model).encode(read_text_file(letters.text()).substr(0, 4 * 16));
  const std::vector<float> h = engine.forward(tokens, std::vector<engine::Sequence>(4, engine::Sequence{16}));
  const std::size_t last = model.architecture().blocks - 1, hidden = model.architecture().hidden;
  importance::HeadInput head(model);
  const auto normed = head.of({model::Site::block_out, last, 0, 4, 4, 16, h.data(), hidden});
  float most = 0.0f;
  for (std::size_t i = 0; i < tokens.size() * hidden; ++i) most = std::max(most, std::fabs(normed->rows[i]));
  const float scale = written.declared_activations()[model.architecture().lm_head()].scale;
  EXPECT_NEAR(scale, most / 448.0f, 0.02f * most / 448.0f);
}

TEST_F(ActivationsOfAJob, APlanIsVerifiedForTheRuntimeThatItIsFor) {
  QuantizeRequest request = request_for("mxfp8_a8", "vllm:sm100");
  request.plan.codecs = {"mxfp8_a8", "keep"};
  Listener silent;
  write_json_file(folder_ / "plan.json", dry_run(request, silent).prepared.plan.plan.to_json());
  QuantizeRequest by_plan = letters_.request("best", "by_plan");
  by_plan.plan = {};
  by_plan.plan_file = folder_ / "plan.json";
  EXPECT_TRUE(made(by_plan).verification->as_it_runs) << "without --for too";
}

TEST_F(ActivationsOfAJob, AreMeasuredByAnEvaluationThatAsksForThem) {
  made("fp8_channel", "vllm");
  EvaluationRequest request = evaluation();
  Remarks remarks;
  EXPECT_FALSE(evaluate(request, remarks).evaluations[0].as_it_runs);
  request.activations = true;
  const eval::EvalFile measured = evaluate(request, remarks);
  ASSERT_TRUE(measured.evaluations[0].as_it_runs);
  EXPECT_EQ(remarks.all, "");
  EXPECT_TRUE(measured.to_json()["as_it_runs"]["linears"].contains("fp8 by token"));

  request.target = "a100";
  EXPECT_FALSE(evaluate(request, remarks).evaluations[0].as_it_runs);
  EXPECT_NE(remarks.all.find("which vllm:sm80 reads as they are"), std::string::npos) << remarks.all;
  EXPECT_NE(remarks.all.find("vllm:sm80 rounds no activations of"), std::string::npos) << remarks.all;
  request.activations = false;
  const std::string message = error_of([&] { evaluate(request, remarks); });
  EXPECT_NE(message.find("give --activations with it"), std::string::npos) << message;
}

TEST_F(ActivationsOfAJob, ThatAreDeclaredInAnUnknownWayAreSaidToBe) {
  made("fp8_channel", "vllm");
  json config = read_json_file(folder_ / "out/config.json");
  config["quantization_config"]["config_groups"]["group_000"]["input_activations"]["num_bits"] = 6;
  write_json_file(folder_ / "out/config.json", config);
  EvaluationRequest request = evaluation();
  request.activations = true;
  Remarks remarks;
  EXPECT_FALSE(evaluate(request, remarks).evaluations[0].as_it_runs);
  EXPECT_NE(remarks.all.find("in a way that is not imitated"), std::string::npos) << remarks.all;
}

TEST_F(ActivationsOfAJob, AnFp8CacheHasTheScalesOfTheCalibrationText) {
  QuantizeRequest request = request_for("int4_g32", "vllm");
  Listener silent;
  const std::uint64_t without = dry_run(request, silent).prepared.plan.output_bytes;
  request.plan.fp8_cache = true;
  const Quantized done = made(request);
  EXPECT_EQ(done.prepared.plan.output_bytes, done.written.bytes);
  EXPECT_GT(done.written.bytes, without);
  ASSERT_TRUE(done.verification->as_it_runs);
  const std::size_t blocks = done.verification->as_it_runs->cached_blocks;
  EXPECT_TRUE(done.verification->as_it_runs->linears.empty());
  EXPECT_NE(done.verification->as_it_runs->kl_change->mean, 0.0);

  const model::Model written = model::Model::open(folder_ / "out");
  const std::vector<model::CacheScales> scales = written.declared_cache();
  ASSERT_EQ(scales.size(), written.architecture().blocks);
  EXPECT_EQ(blocks, scales.size());
  EXPECT_EQ(read_json_file(folder_ / "out/config.json")["quantization_config"]["kv_cache_scheme"]["num_bits"], 8);

  // The largest keys and values of the text, which the calibration used, are 448 times the scales.
  const model::Model model = model::Model::open(folder_ / "model");
  engine::Engine engine(model);
  const auto tokens = model::Tokenizer::of(model).encode(read_text_file(folder_ / "text.txt").substr(0, 4 * 16));
  engine::CacheUse use{std::vector<model::CacheScales>(scales.size()), false};
  {
    const engine::HoldingCache finding(engine, use);
    const std::vector<engine::Sequence> sequences(4, engine::Sequence{16});
    engine.forward(tokens, sequences);
  }
  for (std::size_t b = 0; b < scales.size(); ++b) {
    EXPECT_NEAR(448.0f * scales[b].k, use.scales[b].k, 0.02f * use.scales[b].k) << "up to the bf16 of the pass";
    EXPECT_NEAR(448.0f * scales[b].v, use.scales[b].v, 0.02f * use.scales[b].v);
  }
}

TEST_F(ActivationsOfAJob, AnFp8CacheIsRefusedWhereNobodyReadsItsScales) {
  const auto refused = [&](QuantizeRequest request, const std::string& why) {
    request.plan.fp8_cache = true;
    const std::string message = error_of([&] { made(request); });
    EXPECT_NE(message.find(why), std::string::npos) << message;
  };
  refused(request_for("int4_g32", "transformers"), "reads no scales of a cache");
  refused(request_for("keep", "vllm"), "leaves every linear as it is");
}

TEST_F(ActivationsOfAJob, ScalesOfACacheNeverStopTheReading) {
  QuantizeRequest request = request_for("int4_g32", "vllm");
  request.plan.fp8_cache = true;
  made(request);
  const fs::path config_file = folder_ / "out/config.json";
  const json config = read_json_file(config_file);
  for (const json& scheme : {json(nullptr), json(7), json("fp8"), json{{"num_bits", 4}, {"type", "float"}},
                             json{{"num_bits", {8}}, {"type", 3}}, json{{"type", "float"}, {"dynamic", true}}}) {
    json changed = config;
    changed["quantization_config"]["kv_cache_scheme"] = scheme;
    write_json_file(config_file, changed);
    EXPECT_TRUE(model::Model::open(folder_ / "out").declared_cache().empty()) << scheme;
  }
}

}  // namespace activations_test
}  // namespace strata::pipeline
