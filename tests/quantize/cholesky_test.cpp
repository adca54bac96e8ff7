// Multiplies factors and inverses out in double, for sizes around those of leaves and panels.
// Tolerance: 4 n 2^-24 of the diagonal, a bound on sums in f32 of matrices that are well conditioned.
#include "quantize/cholesky.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/random.h"
#include "core/threads.h"

namespace strata::quantize {
namespace cholesky_test {

/// Sums of outer products of 2 n random rows with a common part, (n, n); what is above the diagonal is NaN.
std::vector<float> lower_of_moments(std::size_t n) {
  Random random(3);
  std::vector<double> rows(2 * n * n);
  for (std::size_t t = 0; t < 2 * n; ++t) {
    const double common = random.normal();
    for (std::size_t c = 0; c < n; ++c) rows[t * n + c] = random.normal() + common;
  }
  std::vector<float> a(n * n, std::numeric_limits<float>::quiet_NaN());
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j <= i; ++j) {
      double sum = 0.0;
      for (std::size_t t = 0; t < 2 * n; ++t) sum += rows[t * n + i] * rows[t * n + j];
      a[i * n + j] = static_cast<float>(sum);
    }
  return a;
}

constexpr std::size_t kSizes[] = {1, 2, 31, 32, 33, 64, 100, 128, 129, 160, 257, 300};

TEST(Cholesky, TheFactorTimesItselfIsTheMatrix) {
  for (const std::size_t n : kSizes) {
    const std::vector<float> a = lower_of_moments(n);
    std::vector<float> l = a;
    ASSERT_TRUE(factor_from_last(l.data(), n)) << n;
    for (std::size_t i = 0; i<n; i += n> 64 ? 7 : 1)
      for (std::size_t j = 0; j <= i; ++j) {
        double sum = 0.0;
        for (std::size_t k = i; k < n; ++k)
          sum += static_cast<double>(l[k * n + i]) * static_cast<double>(l[k * n + j]);
        const double scale = std::sqrt(static_cast<double>(a[i * n + i]) * static_cast<double>(a[j * n + j]));
        ASSERT_NEAR(sum, a[i * n + j], 4.0 * static_cast<double>(n) * std::ldexp(scale, -24))
            << n << ": " << i << ", " << j;
      }
  }
}

TEST(Cholesky, MatricesThatAreNotPositiveDefiniteAreRefused) {
  for (const std::size_t n : kSizes)
    for (const float value :
         {-1.0f, 0.0f, std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()})
      for (const std::size_t at : {std::size_t{0}, n / 2, n - 1}) {
        std::vector<float> a = lower_of_moments(n);
        a[at * n + at] = value;
        EXPECT_FALSE(factor_from_last(a.data(), n)) << n << " with " << value << " at " << at;
      }
}

TEST(Cholesky, ThreadsDoNotChangeABit) {
  constexpr std::size_t n = 600;
  const std::vector<float> a = lower_of_moments(n);
  std::vector<float> first;
  for (const std::size_t threads : {1, 2, 3}) {
    set_thread_count(threads);
    std::vector<float> l = a;
    ASSERT_TRUE(factor_from_last(l.data(), n));
    for (std::size_t r = 0; r < n; ++r) std::fill(l.begin() + r * n + r + 1, l.begin() + (r + 1) * n, 0.0f);
    if (first.empty()) first = l;
    EXPECT_EQ(l, first) << threads << " threads";
  }
  set_thread_count(0);
}

TEST(Cholesky, TheInverseOfATriangleTimesItIsOne) {
  for (const std::size_t n : kSizes) {
    std::vector<float> l = lower_of_moments(n);
    ASSERT_TRUE(factor_from_last(l.data(), n));
    const std::vector<float> inverse = inverse_of_lower(l.data(), n, n);
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < n; ++j) {
        if (j > i) {
          ASSERT_EQ(inverse[i * n + j], 0.0f);
        }
        double sum = 0.0;
        for (std::size_t k = j; k <= i; ++k)
          sum += static_cast<double>(inverse[i * n + k]) * static_cast<double>(l[k * n + j]);
        ASSERT_NEAR(sum, i == j ? 1.0 : 0.0, 1e-4) << n << ": " << i << ", " << j;
      }
  }
}

}  // namespace cholesky_test
}  // namespace strata::quantize
