// The main job for llama.cpp on the tiny models of families whose tensors lie otherwise in GGUF files: what it writes
// opens again and stays near the original, as one file and after an interruption.
#include <gtest/gtest.h>

#include "pipeline/job/letters_model.h"

namespace strata::pipeline {
namespace gguf_job_test {

namespace fs = std::filesystem;

class GgufJob : public ::testing::TestWithParam<std::string> {
 protected:
  double job(const std::string& method, const std::string& preset) {
    QuantizeRequest request = letters_.request(preset, "out.gguf");
    request.method = method;
    Listener silent;
    return quantize(request, silent).verification->kl_divergence->mean;
  }

  const LettersModel letters_{GetParam()};
  const fs::path& folder_ = letters_.folder();
};

TEST_P(GgufJob, IsWrittenByEveryMethodAndStaysNearTheOriginal) {
  for (const char* method : {"rtn", "gptq"}) {
    const double kl = job(method, "uniform:q8_0");
    EXPECT_GE(kl, 0.0);
    EXPECT_LT(kl, 0.1) << method;  // a token may go to another expert; NaN is not
    const model::Model written = model::Model::open(folder_ / "out.gguf", model::Fusion::single);
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

}  // namespace gguf_job_test
}  // namespace strata::pipeline
