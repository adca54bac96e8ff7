// The measurements run, check their own answers and give figures that fit together; how large they are is not tested.
#include "kernel/peaks.h"

#include "kernel/fixtures.h"

namespace strata::kernel {
namespace peaks_test {

TEST(Peaks, FiguresOfAProductFitTogether) {
  const MatmulShape shape{"small", 48, 640};
  for (const Precision precision : {Precision::f32, Precision::bf16})
    for (const std::size_t tokens : {2, 40}) {
      const KernelFigure figure = measure_matmul(shape, tokens, precision, 0.0);
      EXPECT_EQ(figure.name, "small 48x640");
      EXPECT_EQ(figure.by_bandwidth, tokens == 2);
      EXPECT_GT(figure.share, 0.0);
      // Two operations a weight and token against two bytes a weight.
      EXPECT_NEAR(figure.gflops, figure.gb_per_second * static_cast<double>(tokens), 1e-9 * figure.gflops);
    }
}

TEST(Peaks, StoredWeightsAreMeasuredInBytesOfTheirCodec) {
  for (const std::size_t tokens : {1, 3}) {
    const KernelFigure figure = measure_stored(codec::by_name("q8_0"), 4096, tokens, 0.0);
    EXPECT_TRUE(figure.by_bandwidth);
    EXPECT_GT(figure.share, 0.0);
    // Two operations a weight and token against 34 bytes for 32 weights.
    EXPECT_NEAR(figure.gflops, figure.gb_per_second * static_cast<double>(tokens) * 2 * 32 / 34, 1e-9 * figure.gflops);
  }
}

TEST(Peaks, AttentionAndLogSumExpAreMeasured) {
  EXPECT_GT(measure_attention(40, 4, 2, 24, 0.0).gflops, 0.0);
  EXPECT_GT(measure_log_sum_exp(1000, 0.0).gb_per_second, 0.0);
}

TEST(Peaks, ScansAreMeasured) {
  EXPECT_GT(measure_delta_rule(70, 2, 4, 24, 0.0).gflops, 0.0);
  EXPECT_GT(measure_state_space(70, 4, 2, 12, 20, 0.0).gflops, 0.0);
}

TEST(Peaks, EveryVariantCountsTheOperationsOfItsRegisterLoop) {
  for (const Variant* variant : runnable())
    for (const MatmulKernel* kernel : {&variant->f32, &variant->bf16})
      EXPECT_EQ(kernel->spin(10), 10.0 * 12 * 2 * static_cast<double>(kernel->lanes * kernel->unit)) << variant->name;
}

}  // namespace peaks_test
}  // namespace strata::kernel
