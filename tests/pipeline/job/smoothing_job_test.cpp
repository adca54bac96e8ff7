// Jobs that scale channels before they round: when they do, that they lose less by it, and that every way to the same
// plan writes the same bytes.
#include <gtest/gtest.h>

#include <algorithm>

#include "core/file.h"
#include "model/roles.h"
#include "model/smoothing.h"
#include "pipeline/job/letters_model.h"
#include "pipeline/job/planning.h"
#include "pipeline/job/scoring.h"
#include "support/error_of.h"

namespace strata::pipeline {
namespace smoothing_job_test {

namespace fs = std::filesystem;
using ::strata::fixtures::Threads;
using ::strata::fixtures::TinyModel;

/// A channel that is much larger than others after every norm, and whose weights are small.
bool is_large(std::size_t channel) { return channel % 16 == 3; }

class SmoothingOfAJob : public ::testing::Test {
 protected:
  SmoothingOfAJob() {
    TinyModel tiny("qwen3");
    const model::Architecture a = model::Model::open(tiny.path()).architecture();
    for (std::size_t b = 0; b < a.blocks; ++b)
      for (const char* norm : {"input_layernorm", "post_attention_layernorm"})
        tiny.set(fmt::format("model.layers.{}.{}.weight", b, norm),
                 [&](std::size_t i) { return is_large(i) ? 24.0f : 0.5f + static_cast<float>(i % 5) / 8.0f; });
    Random random(3);
    for (const model::Linear& linear : a.linears)
      if (const model::Site site = *model::role_row(linear.role).site;
          site == model::Site::attn_in || site == model::Site::mlp_in)
        tiny.set(linear.module + ".weight", [&](std::size_t i) {
          return static_cast<float>(random.normal()) * (is_large(i % linear.cols) ? 0.02f : 0.3f);
        });
    fs::copy_file(tiny.path() / "model.safetensors", letters_.model() / "model.safetensors",
                  fs::copy_options::overwrite_existing);
  }

  QuantizeRequest request(const std::string& output, const std::string& codec = "int8_w8a8") const {
    QuantizeRequest request = letters_.request("uniform:" + codec, output);
    request.target = "vllm:cpu";
    return request;
  }
  Quantized made(const QuantizeRequest& request) {
    remarks_.text.clear();
    return quantize(request, remarks_);
  }
  double kl(const QuantizeRequest& request) { return made(request).verification->as_it_runs->kl_divergence->mean; }
  std::string weights(const std::string& output) const {
    return read_text_file(letters_.folder() / output / "model.safetensors");
  }
  static std::string notes(const PlanResult& plan) { return fmt::format("{}", fmt::join(plan.notes, "\n")); }

  struct Remarks : Listener {
    std::string text;
    void on_remark(const std::string& remark) override { text += remark + "\n"; }
  };
  const LettersModel letters_{"qwen3"};
  Remarks remarks_;
};

TEST_F(SmoothingOfAJob, TakesMuchOfTheLossOfRoundedInputs) {
  for (const char* method : {"rtn", "gptq"}) {
    QuantizeRequest plain = request("plain"), smoothed = request("smoothed");
    plain.method = smoothed.method = method;
    plain.plan.smoothing = 0.0;
    const double before = kl(plain), after = kl(smoothed);
    EXPECT_LT(after, 0.7 * before) << method;
    EXPECT_GT(after, 0.01 * before) << method;
  }
  const model::Model original = model::Model::open(letters_.model());
  const model::Model written = model::Model::open(letters_.folder() / "smoothed");
  const std::vector<float> norm = original.norm(model::Norm::before_attention, 0),
                           divided = written.norm(model::Norm::before_attention, 0);
  EXPECT_GE(norm[3] / divided[3], 2.0f) << "the large channel";
  EXPECT_LE(norm[4] / divided[4], 1.0f);
}

TEST_F(SmoothingOfAJob, IsForCodecsThatLoseSmallChannels) {
  const auto smoothing = [&](const std::string& codec, const char* target) {
    QuantizeRequest asked = request("out", codec);
    asked.target = target;
    asked.plan.codecs = {codec, "keep"};
    return dry_run(asked, remarks_).prepared.plan.plan.smoothing;
  };
  EXPECT_EQ(smoothing("int8_w8a8", "vllm:cpu"), kSmoothing);
  EXPECT_EQ(smoothing("nvfp4_a4", "b200"), kSmoothing);
  EXPECT_EQ(smoothing("mxfp4_a4", "b200"), kSmoothing);
  EXPECT_EQ(smoothing("nvfp4_a4", "h100"), 0.0) << "its kernels read inputs as they are";
  EXPECT_EQ(smoothing("fp8_channel", "vllm"), 0.0);
  EXPECT_EQ(smoothing("int4_g32", "vllm"), 0.0);
  QuantizeRequest asked = request("out.gguf", "q8_0");
  asked.target = "llama.cpp";
  EXPECT_EQ(dry_run(asked, remarks_).prepared.plan.plan.smoothing, 0.0);
  asked.plan.smoothing = 0.5;
  EXPECT_NE(error_of([&] { dry_run(asked, remarks_); }).find("--smooth: llama.cpp reads all inputs as they are"),
            std::string::npos);
}

TEST_F(SmoothingOfAJob, IsSaidBeforeItBegins) {
  const DryRun run = dry_run(request("out"), remarks_);
  EXPECT_NE(notes(run.prepared.plan).find("smooth 0.5: before rounding, channels are scaled at"), std::string::npos);
  EXPECT_FALSE(run.prepared.smoothed) << "nothing was measured";
  EXPECT_EQ(run.prepared.plan.plan.to_json()["smoothing"], 0.5);
}

TEST_F(SmoothingOfAJob, WritesTheSameBytesByEveryWay) {
  const QuantizeRequest at_once = request("once");
  const Quantized done = made(at_once);
  {
    const Threads two(2);
    made(request("threads"));
  }
  EXPECT_TRUE(weights("threads") == weights("once"));
  const fs::path plan = letters_.folder() / "plan.json";
  write_json_file(plan, done.prepared.plan.plan.to_json());
  QuantizeRequest by_plan = request("by_plan");
  by_plan.plan.preset = PlanRequest().preset;
  by_plan.plan_file = plan;
  EXPECT_EQ(made(by_plan).prepared.plan.plan.smoothing, kSmoothing);
  EXPECT_TRUE(weights("by_plan") == weights("once"));
  QuantizeRequest plain = request("plain");
  plain.plan.smoothing = 0.0;
  made(plain);
  EXPECT_FALSE(weights("plain") == weights("once"));
  by_plan.plan.smoothing = 0.0;
  EXPECT_NE(error_of([&] { made(by_plan); }).find("leave out --smooth"), std::string::npos);
}

TEST_F(SmoothingOfAJob, FollowsTheScores) {
  ScoringRequest scoring;
  scoring.model = letters_.model();
  scoring.output = (letters_.folder() / "scores.json").string();
  scoring.target = "vllm:cpu";
  scoring.codecs = {"int8_w8a8", "int4_g32"};
  scoring.signals = {"act_mse", "fisher"};
  scoring.calibration = request("out").calibration;
  EXPECT_EQ(score(scoring, remarks_).scores.smoothing, kSmoothing);
  EXPECT_NE(remarks_.text.find("smooth 0.5"), std::string::npos);
  PlanningRequest planning;
  planning.model = letters_.model();
  planning.scores = scoring.output;
  planning.target = "vllm:cpu";
  planning.plan.codecs = scoring.codecs;
  planning.plan.budget = BitsBudget{7.0};
  EXPECT_EQ(plan(planning).result.plan.smoothing, kSmoothing);
  planning.search.steps = 2;
  planning.calibration = scoring.calibration;
  EXPECT_EQ(plan(planning).result.plan.smoothing, kSmoothing) << "searched";
  planning.search.steps.reset();
  QuantizeRequest asked = request("best");
  asked.plan = planning.plan;
  asked.scores_file = scoring.output;
  const Quantized by_file = made(asked);
  EXPECT_EQ(by_file.prepared.plan.plan.smoothing, kSmoothing);
  asked.scores_file.clear();
  EXPECT_EQ(made(asked).prepared.plan.plan.smoothing, kSmoothing);
  planning.plan.smoothing = 0.0;
  const PlanResult otherwise = plan(planning).result;
  EXPECT_EQ(otherwise.plan.smoothing, 0.0);
  EXPECT_NE(notes(otherwise).find("the scores price a model with --smooth 0.5"), std::string::npos);
  scoring.signals = {"lim"};
  EXPECT_EQ(score(scoring, remarks_).scores.smoothing, 0.0) << "no codec is measured";
}

}  // namespace smoothing_job_test
}  // namespace strata::pipeline
