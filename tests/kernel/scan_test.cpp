// Compares the decays of a chunk with exponentials in double, from decays that leave much to ones that leave nothing.
#include "kernel/scan.h"

#include <cmath>

#include "kernel/fixtures.h"

namespace strata::kernel {
namespace scan_test {

TEST(ChunkDecays, EqualExponentialsOfSums) {
  for (const Variant* variant : runnable())
    for (const std::size_t n : {1u, 5u, 64u})
      for (const float most : {0.0f, 0.01f, 2.0f, 50.0f, 1e6f}) {
        const std::size_t stride = 3;
        std::vector<float> logarithms = normal(n * stride, 1);
        for (float& v : logarithms) v = -most * std::abs(v);
        ChunkDecays decays;
        decays.fill(variant->rows, logarithms.data(), stride, n);
        std::vector<double> sums(n);
        for (std::size_t i = 0; i < n; ++i)
          sums[i] = (i > 0 ? sums[i - 1] : 0.0) + static_cast<double>(logarithms[i * stride]);
        const auto expect = [&](float got, double sum, const char* name, std::size_t i) {
          const double want = sum < -80.0 ? 0.0 : std::exp(sum);
          EXPECT_NEAR(got, want, 1e-5 * want) << variant->name << " " << name << " " << i << " of " << n << " " << most;
        };
        for (std::size_t i = 0; i < n; ++i) {
          expect(decays.from_start[i], sums[i], "from_start", i);
          expect(decays.to_end[i], sums[n - 1] - sums[i], "to_end", i);
          for (std::size_t j = 0; j <= i; ++j) expect(decays.pairs[i * n + j], sums[i] - sums[j], "pairs", i * n + j);
        }
      }
}

}  // namespace scan_test
}  // namespace strata::kernel
