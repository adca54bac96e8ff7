// Compares row operations, log-sum-exp and attention of every variant with plain definitions in double.
// Errors of exp are counted in units in the last place (ulp).
#include "kernel/ops.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/threads.h"
#include "kernel/fixtures.h"

namespace strata::kernel {
namespace ops_test {

constexpr float kInf = std::numeric_limits<float>::infinity();

double ulp_error(float got, double want) {
  const auto rounded = static_cast<float>(want);
  if (std::isinf(rounded) || std::isinf(got)) return rounded == got ? 0 : 1e9;
  const double ulp = std::max(std::ldexp(1.0, -149), std::ldexp(1.0, std::ilogb(std::max(rounded, 1e-45f)) - 23));
  return std::abs(static_cast<double>(got) - want) / ulp;
}

TEST(Ops, ExpIsWithinTwoUlpOverTheWholeRange) {
  for (const Variant* variant : runnable()) {
    std::vector<float> x;
    for (float v = -110; v < 95; v += 0.00137f) x.push_back(v);
    for (const float v :
         {0.0f, -0.0f, 1.0f, 88.722839f, 88.7229f, -87.33655f, -103.97f, -103.98f, kInf, -kInf, 1e30f, -1e30f, 1e-30f})
      x.push_back(v);
    std::vector<float> y = x;
    variant->rows.exp_scaled(y.data(), y.size(), 1.0f, 0.0f);
    double worst = 0;
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double error = ulp_error(y[i], std::exp(static_cast<double>(x[i])));
      EXPECT_LT(error, 2.0) << variant->name << " exp(" << x[i] << ") = " << y[i];
      worst = std::max(worst, error);
    }
    RecordProperty(std::string(variant->name) + "_worst_ulp", std::to_string(worst));
    float nan[3] = {1.0f, std::numeric_limits<float>::quiet_NaN(), 2.0f};
    variant->rows.exp_scaled(nan, 3, 1.0f, 0.0f);
    EXPECT_TRUE(std::isnan(nan[1]) && std::isfinite(nan[0]) && std::isfinite(nan[2])) << variant->name;
  }
}

TEST(Ops, ScaledExpReturnsItsSumAndMaxTheLargest) {
  for (const Variant* variant : runnable())
    for (std::size_t n = 1; n < 70; ++n) {
      const std::vector<float> x = normal(n, static_cast<unsigned>(n));
      Guarded y(n * sizeof(float));
      std::copy(x.begin(), x.end(), y.as<float>());
      EXPECT_EQ(variant->rows.max(y.as<float>(), n), *std::max_element(x.begin(), x.end()));
      const float got = variant->rows.exp_scaled(y.as<float>(), n, 0.5f, 1.5f);
      double want = 0;
      for (std::size_t i = 0; i < n; ++i) {
        const double e = std::exp(0.5 * static_cast<double>(x[i]) - 1.5);
        want += e;
        EXPECT_NEAR(y.as<float>()[i], e, 4e-7 * e) << variant->name;
      }
      EXPECT_NEAR(got, want, 1e-6 * want) << variant->name << " " << n;
    }
}

TEST(Ops, LogSumExpMatchesDouble) {
  for (const Variant* variant : runnable())
    for (const std::size_t n : {1, 2, 15, 16, 17, 63, 64, 65, 1000, 49152}) {
      const std::vector<float> values = normal(n, 5);
      Guarded x(n * sizeof(float));
      for (std::size_t i = 0; i < n; ++i) x.as<float>()[i] = values[i] * 8 + 100;
      double most = -1e300, sum = 0;
      for (std::size_t i = 0; i < n; ++i) most = std::max<double>(most, x.as<float>()[i]);
      for (std::size_t i = 0; i < n; ++i) sum += std::exp(static_cast<double>(x.as<float>()[i]) - most);
      EXPECT_NEAR(log_sum_exp(*variant, x.as<float>(), n), most + std::log(sum), 2e-7) << variant->name << " " << n;
    }
}

TEST(Ops, LogSumExpOfInfinitiesAndNan) {
  for (const Variant* variant : runnable()) {
    std::vector<float> x(100, -kInf);
    EXPECT_EQ(log_sum_exp(*variant, x.data(), x.size()), -std::numeric_limits<double>::infinity());
    x[3] = 2.0f;
    EXPECT_EQ(log_sum_exp(*variant, x.data(), x.size()), 2.0);
    x[77] = kInf;
    EXPECT_EQ(log_sum_exp(*variant, x.data(), x.size()), std::numeric_limits<double>::infinity());
    for (const std::size_t i : {0, 50, 99}) {
      std::vector<float> y = x;
      y[i] = std::numeric_limits<float>::quiet_NaN();
      EXPECT_TRUE(std::isnan(log_sum_exp(*variant, y.data(), y.size()))) << variant->name << " " << i;
      y[77] = 1;
      EXPECT_TRUE(std::isnan(log_sum_exp(*variant, y.data(), y.size()))) << variant->name << " " << i;
    }
  }
}

TEST(Ops, RmsNormDividesByTheRootMeanSquare) {
  for (const Variant* variant : runnable())
    for (const std::size_t n : {1, 3, 8, 31, 32, 33, 64, 576, 1000}) {
      const std::vector<float> x = normal(n, 1), weight = normal(n, 2);
      double square = 0;
      for (const float v : x) square += static_cast<double>(v) * v;
      const double root = std::sqrt(square / static_cast<double>(n) + 1e-5);
      Guarded y(n * sizeof(float));
      std::copy(x.begin(), x.end(), y.as<float>());
      variant->rows.rms_norm(y.as<float>(), weight.data(), n, 1e-5f, y.as<float>());
      for (std::size_t i = 0; i < n; ++i) {
        const double want = static_cast<double>(x[i]) / root * weight[i];
        EXPECT_NEAR(y.as<float>()[i], want, 1e-6 * std::abs(want)) << variant->name << " " << n;
      }
    }
}

TEST(Ops, L2NormDividesByTheRootMeanSquareAlone) {
  for (const Variant* variant : runnable())
    for (const std::size_t n : {1, 3, 8, 31, 33, 64, 1000}) {
      const std::vector<float> x = normal(n, 1);
      double square = 0;
      for (const float v : x) square += static_cast<double>(v) * v;
      const double root = std::sqrt(square / static_cast<double>(n) + 1e-3);
      Guarded y(n * sizeof(float));
      variant->rows.l2_norm(x.data(), n, 1e-3f, y.as<float>());
      for (std::size_t i = 0; i < n; ++i)
        EXPECT_NEAR(y.as<float>()[i], x[i] / root, 1e-6 * std::abs(x[i] / root)) << variant->name << " " << n;
    }
}

TEST(Ops, LayerNormSubtractsTheMeanAndDividesByTheDeviation) {
  for (const Variant* variant : runnable())
    for (const std::size_t n : {1, 3, 8, 31, 33, 64, 1000}) {
      std::vector<float> x = normal(n, 1);
      const std::vector<float> weight = normal(n, 2);
      double mean = 0, square = 0;
      for (float& v : x) mean += v += 50.0f;
      mean /= static_cast<double>(n);
      for (const float v : x) square += (v - mean) * (v - mean);
      const double root = std::sqrt(square / static_cast<double>(n) + 1e-5);
      Guarded y(n * sizeof(float));
      std::copy(x.begin(), x.end(), y.as<float>());
      variant->rows.layer_norm(y.as<float>(), weight.data(), n, 1e-5f, y.as<float>());
      // Half a unit in the last place of the mean, 50, is 2e-6.
      for (std::size_t i = 0; i < n; ++i)
        EXPECT_NEAR(y.as<float>()[i], (x[i] - mean) / root * weight[i], 4e-6 / root + 4e-6)
            << variant->name << " " << n;
    }
}

TEST(Ops, SoftCapIsAScaledTanh) {
  for (const Variant* variant : runnable()) {
    std::vector<float> x = {0.0f, 1e-30f, -1e-30f, 1e-6f, 1e30f, -1e30f, kInf, -kInf};
    for (float v = -12; v < 12; v += 0.00137f) x.push_back(v);
    std::vector<float> y = x;
    variant->rows.soft_cap(y.data(), y.size(), 1.0f, 1.0f);
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double want = std::tanh(static_cast<double>(x[i]));
      EXPECT_NEAR(y[i], want, 4e-7 * std::abs(want)) << variant->name << " " << x[i];
      EXPECT_LE(std::abs(y[i]), 1.0f) << variant->name << " " << x[i];
    }
    for (std::size_t n = 1; n < 40; ++n) {
      const std::vector<float> scores = normal(n, 3);
      Guarded capped(n * sizeof(float));
      std::copy(scores.begin(), scores.end(), capped.as<float>());
      variant->rows.soft_cap(capped.as<float>(), n, 4.0f, 2.5f);
      for (std::size_t i = 0; i < n; ++i)
        EXPECT_NEAR(capped.as<float>()[i], 2.5 * std::tanh(4.0 * scores[i] / 2.5), 2e-6) << variant->name << " " << n;
    }
    float nan = std::numeric_limits<float>::quiet_NaN();
    variant->rows.soft_cap(&nan, 1, 1.0f, 1.0f);
    EXPECT_TRUE(std::isnan(nan)) << variant->name;
  }
}

TEST(Ops, InterleavedRopeRotatesNeighboursAndLeavesTheRest) {
  for (const Variant* variant : runnable())
    for (const std::size_t half : {1, 8, 20, 35}) {
      const std::size_t heads = 3, head_dim = 70;
      const std::vector<float> before = normal(heads * head_dim, 4);
      std::vector<float> x = before, cos(half), sin(half);
      for (std::size_t i = 0; i < half; ++i) {
        cos[i] = std::cos(static_cast<float>(i) + 0.5f);
        sin[i] = std::sin(static_cast<float>(i) + 0.5f);
      }
      variant->rows.rope_interleaved(x.data(), heads, head_dim, cos.data(), sin.data(), half);
      for (std::size_t h = 0; h < heads; ++h)
        for (std::size_t d = 0; d < head_dim; ++d) {
          const float* in = &before[h * head_dim];
          const std::size_t i = d / 2;
          const float want = d >= 2 * half ? in[d]
                             : d % 2 == 0  ? in[d] * cos[i] - in[d + 1] * sin[i]
                                           : in[d] * cos[i] + in[d - 1] * sin[i];
          EXPECT_NEAR(x[h * head_dim + d], want, 1e-6) << variant->name << " " << h << " " << d;
        }
    }
}

TEST(Ops, RopeRotatesPairsAndLeavesTheRest) {
  for (const Variant* variant : runnable())
    for (const std::size_t half : {1, 8, 20, 32}) {
      const std::size_t heads = 3, head_dim = 70;
      const std::vector<float> before = normal(heads * head_dim, 4);
      std::vector<float> x = before, cos(half), sin(half);
      for (std::size_t i = 0; i < half; ++i) {
        cos[i] = std::cos(static_cast<float>(i) + 0.5f);
        sin[i] = std::sin(static_cast<float>(i) + 0.5f);
      }
      variant->rows.rope(x.data(), heads, head_dim, cos.data(), sin.data(), half);
      for (std::size_t h = 0; h < heads; ++h)
        for (std::size_t d = 0; d < head_dim; ++d) {
          const float* in = &before[h * head_dim];
          const std::size_t i = d % half;
          const float want = d < half       ? in[d] * cos[i] - in[d + half] * sin[i]
                             : d < 2 * half ? in[d] * cos[i] + in[d - half] * sin[i]
                                            : in[d];
          EXPECT_NEAR(x[h * head_dim + d], want, 1e-6) << variant->name << " " << h << " " << d;
        }
    }
}

TEST(Ops, GatedActivationsMatchTheirFormulas) {
  for (const Variant* variant : runnable())
    for (const std::size_t n : {1, 7, 16, 33, 1000}) {
      std::vector<float> z = normal(n, 8);
      const std::vector<float> up = normal(n, 9);
      for (float& v : z) v *= 5;
      if (n > 10) z[10] = -200.0f;
      std::vector<float> silu = z, gelu = z;
      variant->rows.silu_multiply(silu.data(), up.data(), n);
      variant->rows.gelu_multiply(gelu.data(), up.data(), n);
      for (std::size_t i = 0; i < n; ++i) {
        const double v = z[i], want = v / (1 + std::exp(-v)) * up[i];
        EXPECT_NEAR(silu[i], want, 1e-6 * std::abs(want) + 1e-37) << variant->name << " " << v;
        const double u = 0.7978845608028654 * (v + 0.044715 * v * v * v);
        const double gelu_want = 0.5 * v * (1 + std::tanh(u)) * up[i];
        EXPECT_NEAR(gelu[i], gelu_want, 2e-6 * std::abs(gelu_want) + 1e-6 * (v < -2)) << variant->name << " " << v;
      }
    }
}

TEST(Ops, ExactGeluMatchesItsFormula) {
  for (const Variant* variant : runnable())
    for (const std::size_t n : {1, 7, 16, 33, 1000}) {
      std::vector<float> z = normal(n, 8);
      const std::vector<float> up = normal(n, 9);
      for (float& v : z) v *= 3;
      if (n > 10) z[8] = 0.0f, z[9] = 300.0f, z[10] = -300.0f;
      std::vector<float> y = z;
      variant->rows.gelu_erf_multiply(y.data(), up.data(), n);
      for (std::size_t i = 0; i < n; ++i) {
        const double v = z[i], want = 0.5 * v * std::erfc(-v * std::sqrt(0.5)) * up[i];
        EXPECT_NEAR(y[i], want, 3e-7 * std::abs(v * static_cast<double>(up[i]))) << variant->name << " " << v;
      }
    }
}

TEST(Ops, ClampedSwigluMatchesItsFormula) {
  for (const Variant* variant : runnable())
    for (const std::size_t n : {1, 7, 16, 33, 1000}) {
      std::vector<float> z = normal(n, 8), up = normal(n, 9);
      for (float& v : z) v *= 5;
      for (float& v : up) v *= 5;
      if (n > 10) z[9] = -200.0f, z[10] = 200.0f, up[10] = -200.0f;
      std::vector<float> y = z;
      variant->rows.clamped_swiglu_multiply(y.data(), up.data(), n, 7.0f, 1.702f);
      for (std::size_t i = 0; i < n; ++i) {
        const double g = std::min(z[i], 7.0f), u = std::clamp(up[i], -7.0f, 7.0f);
        const double want = (u + 1) * g / (1 + std::exp(-static_cast<double>(1.702f) * g));
        EXPECT_NEAR(y[i], want, 3e-6 * std::abs(want) + 1e-37) << variant->name << " " << z[i] << " " << up[i];
      }
    }
}

TEST(Ops, ClampBoundsBothSidesAndKeepsNan) {
  for (const Variant* variant : runnable())
    for (const std::size_t n : {1, 7, 16, 33}) {
      std::vector<float> x = normal(n, 3);
      x[0] = std::numeric_limits<float>::quiet_NaN();
      if (n > 2) x[1] = kInf, x[2] = -kInf;
      std::vector<float> y = x;
      variant->rows.clamp(y.data(), n, 0.75f);
      EXPECT_TRUE(std::isnan(y[0])) << variant->name;
      for (std::size_t i = 1; i < n; ++i) EXPECT_EQ(y[i], std::clamp(x[i], -0.75f, 0.75f)) << variant->name << " " << i;
    }
}

/// The operations with rows of their own, against those of the selected variant: large enough for several threads.
TEST(Ops, PublicOperationsOnSpacedRowsCoverEveryRow) {
  const std::size_t tokens = 70, heads = 9, head_dim = 64, half = 24, size = heads * head_dim, stride = size + 5;
  const std::vector<float> x = normal(tokens * stride, 1), factors = normal(tokens, 2);
  const std::vector<float> cos = normal(tokens * half, 3), sin = normal(tokens * half, 4);
  std::vector<float> turned = x, scaled = x, clamped = x;
  rope_interleaved(turned.data(), stride, tokens, heads, head_dim, cos.data(), sin.data(), half);
  scale_rows(scaled.data(), stride, tokens, size, factors.data());
  clamp(clamped.data(), clamped.size(), 1.0f);
  for (std::size_t t = 0; t < tokens; ++t) {
    std::vector<float> row(&x[t * stride], &x[t * stride] + stride);
    selected_variant().rows.rope_interleaved(row.data(), heads, head_dim, &cos[t * half], &sin[t * half], half);
    EXPECT_TRUE(std::equal(row.begin(), row.end(), &turned[t * stride])) << t;
    for (std::size_t i = 0; i < stride; ++i) {
      const float in = x[t * stride + i];
      EXPECT_EQ(scaled[t * stride + i], i < size ? in * factors[t] : in) << t << " " << i;
      EXPECT_EQ(clamped[t * stride + i], std::clamp(in, -1.0f, 1.0f)) << t << " " << i;
    }
  }
}

TEST(Ops, PublicNormsAndActivationsCoverEveryRow) {
  const std::size_t tokens = 70, size = 1003;
  const std::vector<float> x = normal(tokens * size, 1), weight = normal(size, 2), up = normal(x.size(), 3);
  std::vector<float> l2(x.size()), layer(x.size()), gelu = x, swiglu = x;
  l2_norm(x.data(), tokens, size, 1e-5f, l2.data());
  layer_norm(x.data(), weight.data(), tokens, size, 1e-5f, layer.data());
  gelu_erf_multiply(gelu.data(), up.data(), x.size());
  clamped_swiglu_multiply(swiglu.data(), up.data(), x.size(), 1.0f, 1.5f);
  std::vector<float> row(size), want = x;
  const RowKernel& rows = selected_variant().rows;
  for (std::size_t t = 0; t < tokens; ++t) {
    rows.l2_norm(&x[t * size], size, 1e-5f, row.data());
    EXPECT_TRUE(std::equal(row.begin(), row.end(), &l2[t * size])) << t;
    rows.layer_norm(&x[t * size], weight.data(), size, 1e-5f, row.data());
    EXPECT_TRUE(std::equal(row.begin(), row.end(), &layer[t * size])) << t;
  }
  rows.gelu_erf_multiply(want.data(), up.data(), want.size());
  EXPECT_EQ(gelu, want);
  want = x;
  rows.clamped_swiglu_multiply(want.data(), up.data(), want.size(), 1.0f, 1.5f);
  EXPECT_EQ(swiglu, want);
}

TEST(Ops, PublicOperationsCoverEveryRow) {
  const std::size_t tokens = 70, size = 1003;
  const std::vector<float> x = normal(tokens * size, 1), weight = normal(size, 2);
  std::vector<float> y(x.size()), sum = x, biased = x;
  rms_norm(x.data(), weight.data(), tokens, size, 1e-5f, y.data());
  add(sum.data(), x.data(), x.size());
  add_bias(biased.data(), weight.data(), tokens, size);
  std::vector<float> row(size);
  for (std::size_t t = 0; t < tokens; ++t) {
    selected_variant().rows.rms_norm(&x[t * size], weight.data(), size, 1e-5f, row.data());
    EXPECT_TRUE(std::equal(row.begin(), row.end(), &y[t * size])) << t;
    for (std::size_t i = 0; i < size; ++i) {
      EXPECT_EQ(sum[t * size + i], 2 * x[t * size + i]);
      EXPECT_EQ(biased[t * size + i], x[t * size + i] + weight[i]);
    }
  }
}

}  // namespace ops_test
}  // namespace strata::kernel
