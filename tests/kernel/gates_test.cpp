// Compares gates and gated norms with their definitions in double, every variant's row functions with theirs, and the
// gradients with central differences.
#include "kernel/gates.h"

#include <cmath>

#include "kernel/differences.h"
#include "kernel/fixtures.h"

namespace strata::kernel {
namespace gates_test {

double sigmoid_of(double z) { return 1.0 / (1.0 + std::exp(-z)); }
double silu_of(double z) { return z * sigmoid_of(z); }

TEST(Gates, RowFunctionsOfEveryVariant) {
  for (const Variant* variant : runnable()) {
    const RowKernel& rows = variant->rows;
    for (const std::size_t count : {1u, 3u, 8u, 16u, 37u, 128u}) {
      const std::vector<float> a = normal(count, 1), b = normal(count, 2), c = normal(count, 3);
      double sum = 0;
      for (std::size_t i = 0; i < count; ++i) sum += static_cast<double>(a[i]) * b[i];
      EXPECT_NEAR(rows.dot(a.data(), b.data(), count), sum, 1e-4) << variant->name << count;
      const auto expect = [&](const char* name, const std::vector<float>& y, const auto& want) {
        for (std::size_t i = 0; i < count; ++i)
          EXPECT_NEAR(y[i], want(i), 2e-6 * (1.0 + std::abs(want(i)))) << variant->name << " " << name << " " << i;
      };
      std::vector<float> y = a;
      rows.add_scaled(y.data(), b.data(), count, 1.5f);
      expect("add_scaled", y, [&](std::size_t i) { return a[i] + 1.5 * b[i]; });
      y = a;
      rows.add_product(y.data(), b.data(), c.data(), count);
      expect("add_product", y, [&](std::size_t i) { return a[i] + static_cast<double>(b[i]) * c[i]; });
      rows.multiply(a.data(), b.data(), count, y.data());
      expect("multiply", y, [&](std::size_t i) { return static_cast<double>(a[i]) * b[i]; });
      y = a;
      rows.silu(y.data(), count);
      expect("silu", y, [&](std::size_t i) { return silu_of(a[i]); });
      rows.multiply_by_silu(a.data(), b.data(), count, y.data());
      expect("multiply_by_silu", y, [&](std::size_t i) { return a[i] * silu_of(b[i]); });
      rows.multiply_by_sigmoid(a.data(), b.data(), count, y.data());
      expect("multiply_by_sigmoid", y, [&](std::size_t i) { return a[i] * sigmoid_of(b[i]); });
      y = a;
      rows.relu_squared(y.data(), count);
      expect("relu_squared", y, [&](std::size_t i) { return a[i] > 0 ? static_cast<double>(a[i]) * a[i] : 0.0; });
    }
  }
}

TEST(Gates, SoftplusAndSigmoidAtTheirEnds) {
  std::vector<float> x = {-200.0f, -20.0f, -1.0f, 0.0f, 1.0f, 25.0f, 200.0f}, s = x;
  const std::vector<float> z = x;
  softplus(x.data(), x.size());
  sigmoid(s.data(), s.size());
  for (std::size_t i = 0; i < z.size(); ++i) {
    const double v = z[i], want = std::max(v, 0.0) + std::log1p(std::exp(-std::abs(v)));
    EXPECT_NEAR(x[i], want, 2e-7 * want + 1e-44) << v;  // below that f32 has no digits
    EXPECT_NEAR(s[i], sigmoid_of(v), 2e-7 * sigmoid_of(v) + 1e-44) << v;
  }
}

TEST(Gates, ReluSquaredKeepsNaN) {
  std::vector<float> x = {-2.0f, 3.0f, std::numeric_limits<float>::quiet_NaN()};
  relu_squared(x.data(), 3);
  EXPECT_EQ(x[0], 0.0f);
  EXPECT_EQ(x[1], 9.0f);
  EXPECT_TRUE(std::isnan(x[2]));
}

TEST(Gates, ReluKeepsNaN) {
  std::vector<float> x = {-2.0f, 3.0f, std::numeric_limits<float>::quiet_NaN()};
  relu(x.data(), 3);
  EXPECT_EQ(x[0], 0.0f);
  EXPECT_EQ(x[1], 3.0f);
  EXPECT_TRUE(std::isnan(x[2]));
}

TEST(Gates, SigmoidMultiplyOfHeadsThatAlternateWithTheirGates) {
  const std::size_t rows = 6, size = 11;
  std::vector<float> both = normal(rows * 2 * size, 1);
  const std::vector<float> before = both;
  sigmoid_multiply(both.data(), 2 * size, both.data() + size, 2 * size, rows, size);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t i = 0; i < size; ++i) {
      const std::size_t at = 2 * r * size + i;
      EXPECT_NEAR(both[at], before[at] * sigmoid_of(before[at + size]), 1e-6);
      EXPECT_EQ(both[at + size], before[at + size]);
    }
}

/// x / sqrt(mean x^2 + epsilon) of `size` values.
std::vector<double> normed(const std::vector<double>& x, double epsilon) {
  double squares = 0;
  for (const double v : x) squares += v * v;
  std::vector<double> y = x;
  for (double& v : y) v /= std::sqrt(squares / static_cast<double>(x.size()) + epsilon);
  return y;
}

TEST(Gates, BothGatedNorms) {
  const std::size_t tokens = 5, groups = 3, size = 37;
  const std::vector<float> x = normal(tokens * groups * size, 1), gate = normal(x.size(), 2),
                           weight = normal(groups * size, 3);
  std::vector<float> after(x.size()), before = x;
  norm_then_gate(x.data(), weight.data(), gate.data(), tokens * groups, size, 1e-3f, after.data());
  gate_then_norm(before.data(), weight.data(), gate.data(), tokens, groups, size, 1e-3f, before.data());
  for (std::size_t r = 0; r < tokens * groups; ++r) {
    std::vector<double> row(size), gated(size);
    for (std::size_t i = 0; i < size; ++i) {
      row[i] = x[r * size + i];
      gated[i] = row[i] * silu_of(gate[r * size + i]);
    }
    row = normed(row, 1e-3);
    gated = normed(gated, 1e-3);
    for (std::size_t i = 0; i < size; ++i) {
      EXPECT_NEAR(after[r * size + i], row[i] * weight[i] * silu_of(gate[r * size + i]), 1e-5);
      EXPECT_NEAR(before[r * size + i], gated[i] * weight[r % groups * size + i], 1e-5);
    }
  }
}

TEST(Gates, XieluIsItsDefinition) {
  const Xielu of{.alpha_p = 0.7f, .alpha_n = 1.2f, .beta = 0.4f, .epsilon = -0.01f};
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::vector<float> x = {2.0f, -2.0f, -0.005f, 0.0f, 1e-20f, -60.0f, nan};
  const std::vector<float> before = x;
  xielu(x.data(), x.size(), of);
  EXPECT_TRUE(std::isnan(x.back()));
  for (std::size_t i = 0; i + 1 < x.size(); ++i) {
    const double v = before[i], negative = 1.2 * (std::expm1(std::min(v, -0.01)) - v);
    EXPECT_NEAR(x[i], (v > 0 ? 0.7 * v * v : negative) + 0.4 * v, 1e-6 * std::max(1.0, std::abs(v))) << v;
  }
}

TEST(Gates, GradientsOfSingleValues) {
  std::vector<float> x = random_values(50, 1), y;
  for (float& v : x)
    if (std::abs(v) < 0.03f) v = 0.1f;  // off the bend of relu
  const std::vector<float> dy = random_values(50, 2);
  std::vector<float> dx = dy;
  const auto loss_of = [&](void (*f)(float*, std::size_t)) {
    return [&, f] {
      y = x;
      f(y.data(), y.size());
      return dot(y, dy);
    };
  };
  softplus_gradient(x.data(), x.size(), dx.data());
  expect_gradient(x, dx, loss_of(&softplus), "softplus");
  dx = dy;
  relu_squared_gradient(x.data(), x.size(), dx.data());
  expect_gradient(x, dx, loss_of(&relu_squared), "relu_squared");
  dx = dy;
  relu_gradient(x.data(), x.size(), dx.data());
  expect_gradient(x, dx, loss_of(&relu), "relu");
  const Xielu of{.alpha_p = 0.7f, .alpha_n = 1.2f, .beta = 0.4f, .epsilon = -1e-6f};
  dx = dy;
  xielu_gradient(x.data(), x.size(), of, dx.data());
  const auto xielu_loss = [&] {
    y = x;
    xielu(y.data(), y.size(), of);
    return dot(y, dy);
  };
  expect_gradient(x, dx, xielu_loss, "xielu");
  dx = dy;
  y = x;
  sigmoid(y.data(), y.size());
  sigmoid_gradient(y.data(), y.size(), dx.data());
  expect_gradient(x, dx, loss_of(&sigmoid), "sigmoid");
}

TEST(Gates, SigmoidMultiplyGradient) {
  const std::size_t rows = 4, size = 7;
  std::vector<float> both = random_values(rows * 2 * size, 1), y;
  const std::vector<float> dy = random_values(rows * size, 2);
  std::vector<float> gradient = both;
  sigmoid_multiply_gradient(gradient.data(), 2 * size, gradient.data() + size, 2 * size, dy.data(), rows, size);
  const auto loss = [&] {
    y = both;
    sigmoid_multiply(y.data(), 2 * size, y.data() + size, 2 * size, rows, size);
    double sum = 0;
    for (std::size_t i = 0; i < dy.size(); ++i)
      sum += static_cast<double>(dy[i]) * static_cast<double>(y[i / size * 2 * size + i % size]);
    return sum;
  };
  expect_gradient(both, gradient, loss, "queries and gates");
}

TEST(Gates, GradientsOfBothGatedNorms) {
  const std::size_t tokens = 3, groups = 2, size = 10;
  for (const bool gate_first : {false, true}) {
    std::vector<float> x = random_values(tokens * groups * size, 1), gate = random_values(x.size(), 2), y(x.size());
    std::vector<float> weight = random_values(gate_first ? groups * size : size, 3);
    const std::vector<float> dy = random_values(x.size(), 4);
    std::vector<float> dx(x.size()), dgate = dy, dweight(weight.size(), 0.0f);
    if (gate_first)
      gate_then_norm_gradient(x.data(), weight.data(), gate.data(), dgate.data(), tokens, groups, size, 1e-2f,
                              dx.data(), dgate.data(), dweight.data());
    else
      norm_then_gate_gradient(x.data(), weight.data(), gate.data(), dgate.data(), tokens * groups, size, 1e-2f,
                              dx.data(), dgate.data(), dweight.data());
    const auto loss = [&] {
      if (gate_first)
        gate_then_norm(x.data(), weight.data(), gate.data(), tokens, groups, size, 1e-2f, y.data());
      else
        norm_then_gate(x.data(), weight.data(), gate.data(), tokens * groups, size, 1e-2f, y.data());
      return dot(y, dy);
    };
    expect_gradient(x, dx, loss, gate_first ? "gate first, x" : "x");
    expect_gradient(gate, dgate, loss, gate_first ? "gate first, gate" : "gate");
    expect_gradient(weight, dweight, loss, gate_first ? "gate first, weight" : "weight");
  }
}

}  // namespace gates_test
}  // namespace strata::kernel
