// The main job on the tiny model of every family and variant: what it writes opens again and stays near the original.
// The models' texts are of the words of a made-up tokenizer.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "engine/gradient.h"
#include "pipeline/job/letters_model.h"
#include "support/error_of.h"
#include "support/tiny_model.h"

namespace strata::pipeline {
namespace every_family_test {

namespace fs = std::filesystem;
using ::strata::fixtures::golden_model;

/// Whether vLLM loads nothing but dense stacks of the model's experts.
bool is_refused(const model::Architecture& a) { return a.experts.count != 0 && a.experts.bias; }

class EveryFamily : public ::testing::TestWithParam<std::string> {
 protected:
  EveryFamily() {
    fs::copy(golden_model(GetParam()), folder_.path() / "model");
    const model::Architecture a = model::Model::open(folder_.path() / "model").architecture();
    const std::size_t vocabulary = a.vocab;
    tied_ = a.tied;
    refused_ = is_refused(a);
    head_ = a.names.linear(model::Role::lm_head);
    mixture_ = std::ranges::any_of(a.layout, &model::BlockLinears::mixture);
    delta_ = a.delta.kernel != 0;
    for (std::size_t b = 0; b < a.blocks; ++b) untuned_ = untuned_ || !engine::why_no_gradient(a, b).empty();
    for (const auto& [name, text] : ::strata::fixtures::word_tokenizer_files(false, vocabulary))
      write_text_file(folder_.path() / "model" / name, text);
    write_text_file(folder_.path() / "text.txt", ::strata::fixtures::words(200, vocabulary));
  }

  /// The divergence from the original, in nats, of what the job writes in 8 bits a weight.
  double job(const std::string& method, std::size_t tune_steps) {
    QuantizeRequest request;
    request.model = folder_.path() / "model";
    request.output = folder_.path() / "out";
    request.target = "vllm:marlin";  // it takes experts with one scale a row
    request.method = method;
    request.plan.preset = "uniform:int8_channel";
    if (keeps_experts_) request.plan.keep = {"\\.experts\\."};
    if (!tied_) request.plan.assign = {{head_ + "$", "int8_channel"}};
    request.rounding.tune.steps = tune_steps;
    make_small(request, folder_.path() / "text.txt");
    return quantize(request, remarks_).verification->kl_divergence->mean;
  }

  struct Remarks : Listener {
    std::string text;
    void on_remark(const std::string& remark) override { text += remark + "\n"; }
  };

  TemporaryFolder folder_;
  Remarks remarks_;
  bool tied_ = false, mixture_ = false, refused_ = false, keeps_experts_ = false, untuned_ = false, delta_ = false;
  std::string head_;
};

TEST_P(EveryFamily, IsWrittenByEveryMethodAndStaysNearTheOriginal) {
  if (refused_) {
    EXPECT_NE(error_of([&] { job("rtn", 0); }).find("stacks only"), std::string::npos);
    keeps_experts_ = true;
  }
  // A token may go to another expert; the state of a delta net keeps errors of all tokens before.
  const double most = mixture_ ? 0.3 : delta_ ? 3e-2 : 1e-2;
  for (const double kl : {job("rtn", 0), job("gptq", 2)}) {
    EXPECT_GE(kl, 0.0);
    EXPECT_LT(kl, most);  // NaN is not
  }
  EXPECT_EQ(remarks_.text.find("blocks stay as gptq rounds them") != std::string::npos, untuned_) << remarks_.text;
}

std::vector<std::string> golden_models() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(golden_model("llama_tied").parent_path()))
    names.push_back(entry.path().filename().string());
  std::ranges::sort(names);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Models, EveryFamily, ::testing::ValuesIn(golden_models()),
                         [](const auto& tested) { return tested.param; });

}  // namespace every_family_test
}  // namespace strata::pipeline
