// The main job for llama.cpp on the tiny models of families whose tensors lie otherwise in GGUF files: what it writes
// opens again and stays near the original, as one file and after an interruption.
#include <gtest/gtest.h>

#include "core/random.h"
#include "pipeline/job/quantize.h"
#include "support/tiny_model.h"

namespace strata::pipeline {
namespace {

namespace fs = std::filesystem;
using ::strata::testing::golden_model;

class GgufJob : public ::testing::TestWithParam<std::string> {
 protected:
  GgufJob() {
    fs::copy(golden_model(GetParam()), folder_.path() / "model");
    json vocabulary;  // a tokenizer of letters
    for (char c = 'a'; c <= 'z'; ++c) vocabulary[std::string(1, c)] = c - 'a';
    write_json_file(folder_.path() / "model/tokenizer.json",
                    {{"version", "1.0"},
                     {"added_tokens", json::array()},
                     {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", json::array()}}}});
    write_json_file(folder_.path() / "model/tokenizer_config.json", json::object());
    std::string text;
    Random random(1);
    for (std::size_t i = 0; i < 600; ++i) text += static_cast<char>('a' + random.next() % 26);
    write_text_file(folder_.path() / "text.txt", text);
  }

  double job(const std::string& method, const std::string& preset) {
    QuantizeRequest request;
    request.model = folder_.path() / "model";
    request.output = folder_.path() / "out.gguf";
    request.method = method;
    request.plan.preset = preset;
    request.calibration.texts = {{folder_.path() / "text.txt"}};
    request.calibration.samples = 4;
    request.calibration.seq_len = 16;
    request.verify_samples = 2;
    request.overwrite = true;
    request.report = false;
    Listener silent;
    return quantize(request, silent).verification->kl_divergence->mean;
  }

  TemporaryFolder folder_;
};

TEST_P(GgufJob, IsWrittenByEveryMethodAndStaysNearTheOriginal) {
  for (const char* method : {"rtn", "gptq"}) {
    const double kl = job(method, "uniform:q8_0");
    EXPECT_GE(kl, 0.0);
    EXPECT_LT(kl, 0.1) << method;  // a token may go to another expert; NaN is not
    const model::Model written = model::Model::open(folder_.path() / "out.gguf", model::Fusion::single);
    std::size_t quantized = 0;
    for (std::size_t l = 0; l < written.architecture().linears.size(); ++l)
      quantized += written.source_codec(l) == &codec::by_name("q8_0");
    EXPECT_GT(quantized, 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, GgufJob,
                         ::testing::Values("qwen3_5_text", "qwen3_5_moe_text", "deepseek_v3", "glm4_moe_lite", "lfm2",
                                           "mistral4"),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace strata::pipeline
