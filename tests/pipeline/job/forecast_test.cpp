// Forecasts follow the sizes, and a limit on memory decides where hidden states lie, or is refused with the smallest.
#include "pipeline/job/forecast.h"

#include <gtest/gtest.h>

#include "pipeline/job/methods.h"
#include "support/error_of.h"
#include "support/open_golden.h"

namespace strata::pipeline {
namespace forecast_test {

class ForecastTest : public ::testing::Test {
 protected:
  ForecastTest() : model_(tiny("llama_tied")) {
    request_.target = "vllm";
    request_.method = "gptq";
    request_.plan.preset = "uniform:int4_g32";
    request_.calibration.samples = 8;
    request_.calibration.seq_len = 64;
    prepared_.plan = make_plan({model_, target_of(request_), request_.plan, {}});
    output_ = plan_output(model_, codecs_by_linear(prepared_.plan.plan, model_.architecture()), target_of(request_), 0);
  }
  PlannedJob job() const { return {model_, request_, prepared_, *output_}; }

  const model::Model model_;
  QuantizeRequest request_;
  Prepared prepared_;
  std::unique_ptr<Output> output_;
};

TEST_F(ForecastTest, TimeGrowsWithTheCalibrationSet) {
  const Forecast small = forecast(job());
  EXPECT_GT(small.seconds, 0.0);
  EXPECT_EQ(small.disk_bytes, prepared_.plan.output_bytes);
  request_.calibration.samples = 80000;
  EXPECT_GT(forecast(job()).seconds, 10 * small.seconds);
  request_.method = "rtn";
  EXPECT_GT(forecast(job()).seconds, 0.0);
}

TEST_F(ForecastTest, ScoringIsToldWhereItIsDone) {
  EXPECT_EQ(forecast(job()).scoring_seconds, 0.0);
  prepared_.scoring = ScoringSeconds{.text = 1.0, .gradients = 2.0, .errors = 4.0, .measurements = 8.0};
  EXPECT_EQ(forecast(job()).scoring_seconds, 15.0);
}

TEST_F(ForecastTest, HiddenStatesAreSpilledWhenTheyDoNotFit) {
  request_.calibration.samples = 200000;
  request_.calibration.seq_len = 512;
  request_.rounding.asymmetric = false;
  const std::uint64_t states = 200000ull * 512 * 32 * 4;
  const Forecast free = forecast_memory(job());
  EXPECT_FALSE(free.spills);
  EXPECT_GT(free.memory_bytes, states);
  request_.memory_limit = 1ull << 30;
  const Forecast bounded = forecast_memory(job());
  EXPECT_TRUE(bounded.spills);
  EXPECT_LE(bounded.memory_bytes, 1ull << 30);
  EXPECT_EQ(bounded.disk_bytes, prepared_.plan.output_bytes + states);
}

TEST_F(ForecastTest, ALimitThatCannotBeKeptNamesTheSmallest) {
  request_.memory_limit = 1 << 20;
  const std::string error = error_of([&] { forecast_memory(job()); });
  EXPECT_NE(error.find("--memory 1.0 MiB cannot be kept: rounding this model takes at least"), std::string::npos)
      << error;
}

}  // namespace forecast_test
}  // namespace strata::pipeline
