// Estimates follow the sizes, and a memory limit decides where hidden states lie, or is refused with the smallest.
#include "pipeline/job/estimate.h"

#include <gtest/gtest.h>

namespace strata::pipeline {
namespace {

class EstimateTest : public testing::Test {
 protected:
  EstimateTest() : model_(model::Model::open(std::filesystem::path(STRATA_TEST_DATA) / "golden/models/llama_tied")) {
    request_.target = &target_by_name("vllm");
    request_.plan.method = "gptq";
    request_.plan.preset = "uniform:int4_g32";
    request_.rounding = {{}, 8, 64, 0};
    prepared_.plan = make_plan({model_, *request_.target, request_.plan, {}});
  }
  const model::Model model_;
  QuantizeRequest request_;
  Prepared prepared_;
};

TEST_F(EstimateTest, TimeGrowsWithTheCalibrationSet) {
  const Estimate small = estimate_quantizing(model_, prepared_, request_);
  EXPECT_GT(small.seconds, 0.0);
  EXPECT_EQ(small.disk_bytes, prepared_.plan.output_bytes);
  request_.rounding.samples = 80000;
  EXPECT_GT(estimate_quantizing(model_, prepared_, request_).seconds, 10 * small.seconds);
  request_.plan.method = "rtn";
  EXPECT_GT(estimate_quantizing(model_, prepared_, request_).seconds, 0.0);
}

TEST_F(EstimateTest, HiddenStatesAreSpilledWhenTheyDoNotFit) {
  request_.rounding = {{}, 200000, 512, 0};
  const std::uint64_t states = 200000ull * 512 * 32 * 4;
  const Estimate free = estimate_memory(model_, prepared_, request_);
  EXPECT_FALSE(free.spills);
  EXPECT_GT(free.memory_bytes, states);
  request_.memory_limit = 1ull << 30;
  const Estimate bounded = estimate_memory(model_, prepared_, request_);
  EXPECT_TRUE(bounded.spills);
  EXPECT_LE(bounded.memory_bytes, 1ull << 30);
  EXPECT_EQ(bounded.disk_bytes, prepared_.plan.output_bytes + states);
}

TEST_F(EstimateTest, ALimitThatCannotBeKeptNamesTheSmallest) {
  request_.memory_limit = 1 << 20;
  try {
    estimate_memory(model_, prepared_, request_);
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("--memory 1.0 MiB cannot be kept: rounding this model takes at least"),
              std::string::npos)
        << e.what();
  }
}

}  // namespace
}  // namespace strata::pipeline
