// Compares softmax and KL divergence of rows of logits with plain definitions in double.
// KL divergence of a row with itself is exactly 0, and small divergences keep their digits.
#include "kernel/softmax.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace strata::kernel {
namespace softmax_test {

std::vector<float> logits(std::size_t size, unsigned seed, float spread) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(3.0f, spread);
  std::vector<float> x(size);
  for (float& v : x) v = normal(random);
  return x;
}

double log_normalizer(const std::vector<float>& x) {
  double most = -1e300, sum = 0;
  for (const float v : x) most = std::max<double>(most, v);
  for (const float v : x) sum += std::exp(static_cast<double>(v) - most);
  return most + std::log(sum);
}

double kl_in_double(const std::vector<float>& p, const std::vector<float>& q) {
  const double p_norm = log_normalizer(p), q_norm = log_normalizer(q);
  double sum = 0;
  for (std::size_t i = 0; i < p.size(); ++i) {
    const double log_p = static_cast<double>(p[i]) - p_norm;
    sum += std::exp(log_p) * (log_p - (static_cast<double>(q[i]) - q_norm));
  }
  return sum;
}

double kl(const std::vector<float>& p, const std::vector<float>& q) {
  return kl_divergence(p.data(), softmax_row(p.data(), p.size()), q.data(), softmax_row(q.data(), q.size()), p.size());
}

TEST(Softmax, RowHasNormalizerAndLowestIndexOfTheMaximum) {
  for (const std::size_t size : {1, 2, 63, 64, 65, 1000, 49152}) {
    std::vector<float> x = logits(size, 3, 4.0f);
    x[size / 2] = x[size - 1] = 40.0f;
    const SoftmaxRow row = softmax_row(x.data(), size);
    EXPECT_EQ(row.max, 40.0f);
    EXPECT_EQ(row.argmax, size / 2);
    EXPECT_NEAR(row.log_sum_exp, log_normalizer(x), 3e-7);
  }
}

TEST(Softmax, KlDivergenceMatchesDouble) {
  for (const std::size_t size : {2, 7, 80, 2047, 2048, 2049, 49152})
    for (const float noise : {0.01f, 0.1f, 1.0f, 5.0f}) {
      const std::vector<float> p = logits(size, 5, 4.0f), change = logits(size, 6, noise);
      std::vector<float> q = p;
      for (std::size_t i = 0; i < size; ++i) q[i] += change[i];
      EXPECT_NEAR(kl(p, q), kl_in_double(p, q), 5e-7 + 1e-6 * kl_in_double(p, q)) << size << " " << noise;
    }
}

TEST(Softmax, KlDivergenceByHand) {
  // softmax = (1/4, 3/4) and (1/2, 1/2).
  const std::vector<float> p = {0.0f, std::log(3.0f)}, q = {1.0f, 1.0f};
  EXPECT_NEAR(kl(p, q), 0.25 * std::log(0.5) + 0.75 * std::log(1.5), 1e-7);
  EXPECT_NEAR(kl(q, p), 0.5 * std::log(2.0) + 0.5 * std::log(0.5 / 0.75), 1e-7);
}

TEST(Softmax, KlDivergenceOfARowWithItselfIsExactlyZero) {
  for (const float spread : {0.0f, 1.0f, 30.0f}) {
    const std::vector<float> p = logits(5000, 9, spread);
    EXPECT_EQ(kl(p, p), 0.0);
  }
}

TEST(Softmax, ValuesThatAreNotFiniteShow) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<float> p = logits(3000, 9, 1.0f), q = p;
    q[2500] = bad;
    EXPECT_FALSE(std::isfinite(softmax_row(q.data(), q.size()).log_sum_exp));
    EXPECT_FALSE(std::isfinite(kl(p, q)));
    EXPECT_FALSE(std::isfinite(kl(q, p)));
  }
}

TEST(Softmax, KlDivergenceOfAChangeKeepsItsDigitsHoweverSmall) {
  for (const std::size_t size : {2, 7, 2049, 49152})
    for (const float noise : {1e-5f, 1e-3f, 0.1f, 1.0f, 5.0f}) {
      const std::vector<float> p = logits(size, 5, 4.0f);
      std::vector<float> change = logits(size, 6, 1.0f);
      for (float& d : change) d = noise * (d - 2.0f);
      double shift = 0, normalizer = log_normalizer(p), ratio = 0, expected = 0;
      for (std::size_t i = 0; i < size; ++i)
        shift += std::exp(static_cast<double>(p[i]) - normalizer) * static_cast<double>(change[i]);
      for (std::size_t i = 0; i < size; ++i) {
        const double u = static_cast<double>(change[i]) - shift;
        ratio += std::exp(static_cast<double>(p[i]) - normalizer) *
                 (std::fabs(u) < 1e-2 ? u * u * (0.5 + u * (1.0 / 6 + u / 24)) : std::expm1(u) - u);
      }
      expected = std::log1p(ratio);
      const RowChange got = kl_divergence_of_change(p.data(), softmax_row(p.data(), size), change.data(), size);
      EXPECT_NEAR(got.kl_divergence, expected, 1e-4 * expected + 1e-13) << size << " " << noise;
      EXPECT_NEAR(got.log_ratio, expected + shift, 1e-6 + 1e-6 * std::fabs(shift));
    }
}

TEST(Softmax, KlDivergenceOfAChangeThatTurnsEverythingOver) {
  for (const std::size_t size : {7, 49152})
    for (const float shift : {-400.0f, -90.0f, -30.0f, 30.0f, 90.0f, 400.0f}) {
      const std::vector<float> p = logits(size, 5, 4.0f);
      std::vector<float> change = logits(size, 6, 8.0f), q = p;
      for (float& d : change) d += shift;
      for (std::size_t i = 0; i < size; ++i) q[i] += change[i];
      const RowChange got = kl_divergence_of_change(p.data(), softmax_row(p.data(), size), change.data(), size);
      const double expected = kl(p, q);
      EXPECT_NEAR(got.kl_divergence, expected, 1e-3 * expected) << size << " " << shift;
      EXPECT_NEAR(got.log_ratio, log_normalizer(q) - log_normalizer(p), 1e-3) << size << " " << shift;
    }
}

TEST(Softmax, GradientIsTheDifferenceOfProbabilities) {
  for (const std::size_t size : {1, 80, 2049}) {
    const std::vector<float> p = logits(size, 7, 4.0f), q = logits(size, 8, 4.0f);
    std::vector<float> gradient = q;
    kl_divergence_gradient(p.data(), softmax_row(p.data(), size), gradient.data(), softmax_row(q.data(), size), size);
    for (std::size_t i = 0; i < size; ++i)
      ASSERT_NEAR(gradient[i],
                  std::exp(static_cast<double>(q[i]) - log_normalizer(q)) -
                      std::exp(static_cast<double>(p[i]) - log_normalizer(p)),
                  1e-6)
          << i;
  }
}

}  // namespace softmax_test
}  // namespace strata::kernel
