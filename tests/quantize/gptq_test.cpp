// Compares GPTQ with a plain reference by the inverse Hessian, and tests its promises: it is never worse than round to
// nearest, refining never hurts, it survives any Hessian, and threads change no byte.
#include "quantize/gptq.h"

#include <gtest/gtest.h>

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <cmath>
#include <limits>
#include <vector>

#include "core/error.h"
#include "core/numbers.h"
#include "core/random.h"
#include "core/threads.h"
#include "quantize/activation_order.h"
#include "quantize/rtn.h"

namespace strata::quantize {
namespace gptq_test {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

struct Linear {
  std::size_t rows, cols;
  std::vector<float> weights;
  MatrixView view() const { return MatrixView::dense(weights.data(), rows, cols, DType::f32); }
  float absmax() const {
    float most = 0;
    for (const float w : weights) most = std::max(most, std::fabs(w));
    return most;
  }
};

Linear random_linear(std::size_t rows, std::size_t cols) {
  Linear linear{rows, cols, std::vector<float>(rows * cols)};
  Random random(5);
  for (float& w : linear.weights) w = round_bf16(static_cast<float>(0.05 * random.normal()));
  return linear;
}

/// Inputs that share a few directions, of unequal sizes, and have `own` of their own.
std::vector<float> correlated_rows(std::size_t tokens, std::size_t size, double own = 0.4) {
  Random random(9);
  constexpr std::size_t directions = 6;
  std::vector<double> mix(directions * size);
  for (double& m : mix) m = random.normal();
  std::vector<float> rows(tokens * size);
  for (std::size_t t = 0; t < tokens; ++t) {
    double shared[directions];
    for (double& s : shared) s = random.normal();
    for (std::size_t c = 0; c < size; ++c) {
      double x = own * random.normal();
      for (std::size_t d = 0; d < directions; ++d) x += shared[d] * mix[d * size + c];
      rows[t * size + c] = static_cast<float>(x * (c % 7 == 0 ? 4.0 : 1.0));
    }
  }
  return rows;
}

Hessian hessian_of(const std::vector<float>& rows, std::size_t size) {
  Hessian hessian(size);
  hessian.add(rows.data(), rows.size() / size, kernel::Precision::f32);
  return hessian;
}

Hessian correlated(std::size_t size) { return hessian_of(correlated_rows(4 * size, size), size); }

std::vector<float> differences(const codec::Stored& stored, const Linear& linear) {
  std::vector<float> result = linear.weights, row(linear.cols);
  for (std::size_t r = 0; r < linear.rows; ++r) {
    codec::decode_row(stored, r, 0, linear.cols, row.data());
    for (std::size_t c = 0; c < linear.cols; ++c) result[r * linear.cols + c] -= row[c];
  }
  return result;
}

double error_of(const codec::Stored& stored, const Linear& linear, const Hessian& hessian) {
  return hessian_error(hessian, differences(stored, linear), linear.rows);
}

GptqResult gptq(const codec::Codec& codec, const Linear& linear, const Hessian& hessian, std::size_t refine = 0) {
  return quantize_gptq(codec, linear.view(), hessian, {.refine = refine},
                       {codec::tensor_scale(codec, linear.absmax())});
}

/// The algorithm as in arXiv 2210.17323: U upper triangular with H^-1 = U^T U; after column k, every later column takes
/// -(w_k - q_k) / U[k, k] * U[k, j]. In double, one weight after the other. Returns the sum over rows of dw H dw^T, or
/// of round to nearest's where that is less.
double reference_error(const codec::Codec& codec, const Linear& linear, const Hessian& hessian) {
  const std::size_t n = linear.cols;
  Matrix h(n, n);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < n; ++j) h(i, j) = static_cast<double>(hessian.at(i, j));
  Matrix damped = h;
  damped.diagonal().array() += 0.01 * h.diagonal().mean();
  const Matrix inverse = damped.llt().solve(Matrix::Identity(n, n));
  const Matrix u = inverse.llt().matrixU();
  std::vector<float> importance(n);
  for (std::size_t k = 0; k < n; ++k) importance[k] = static_cast<float>(1.0 / (u(k, k) * u(k, k)));
  const float scale = codec::tensor_scale(codec, linear.absmax());
  const std::size_t unit = codec.fit_size(n);
  const codec::Stored nearest = quantize_rtn(codec, linear.view(), hessian.diagonal(), codec::ScaleFit::search, scale);
  const std::vector<double> plain = hessian_errors(hessian, differences(nearest, linear), linear.rows);
  double error = 0;
  for (std::size_t r = 0; r < linear.rows; ++r) {
    std::vector<double> w(linear.weights.begin() + r * n, linear.weights.begin() + (r + 1) * n);
    Eigen::VectorXd d(n);
    codec::GroupParams group;
    for (std::size_t k = 0; k < n; ++k) {
      if (k % unit == 0) {
        const std::vector<float> current(w.begin() + k, w.begin() + k + unit);
        std::span<const float> weights = std::span(importance).subspan(k, unit);
        const std::vector<float> diagonal = hessian.diagonal();
        if (codec.group_size == 0) weights = diagonal;
        group = codec.fit(codec, current, weights, codec::ScaleFit::search, scale);
      }
      const double q = codec.value(codec, codec.round(codec, static_cast<float>(w[k]), group), group);
      const double e = (w[k] - q) / u(k, k);
      for (std::size_t j = k + 1; j < n; ++j) w[j] -= e * u(k, j);
      d(k) = static_cast<double>(linear.weights[r * n + k]) - q;
    }
    error += std::min<double>(d.transpose() * h * d, plain[r]);
  }
  return error;
}

class Gptq : public testing::Test {
 protected:
  void TearDown() override { set_thread_count(0); }
};

TEST_F(Gptq, HessianIsTheSumOfOuterProducts) {
  const std::size_t n = 200, tokens = 5000;  // more than a panel, more than a stretch of tokens
  const std::vector<float> rows = correlated_rows(tokens, n);
  const Hessian hessian = hessian_of(rows, n);
  EXPECT_EQ(hessian.tokens(), tokens);
  for (std::size_t i = 0; i < n; i += 13)
    for (std::size_t j = 0; j < n; ++j) {
      double sum = 0, scale = 0;
      for (std::size_t t = 0; t < tokens; ++t) {
        const double product = static_cast<double>(rows[t * n + i]) * static_cast<double>(rows[t * n + j]);
        sum += product;
        scale += std::fabs(product);
      }
      EXPECT_NEAR(hessian.at(i, j), sum, 1e-5 * scale);
      EXPECT_EQ(hessian.at(i, j), hessian.at(j, i));
    }
}

TEST_F(Gptq, FactorsMultiplyToTheDampedHessian) {
  const std::size_t n = 300;  // more than two blocks of the factorization
  const Hessian hessian = correlated(n);
  const Feedback feedback = factorize(hessian, 0.01);
  EXPECT_EQ(feedback.damping, 0.01);
  Matrix u = Matrix::Identity(n, n), h(n, n);
  Eigen::VectorXd d(n);
  for (std::size_t k = 0; k < n; ++k) {
    d(k) = feedback.variance[k];
    for (std::size_t i = 0; i < n; ++i) {
      h(i, k) = hessian.at(i, k);
      if (i < k) u(i, k) = feedback.rows[k * n + i];
    }
  }
  h.diagonal().array() += 0.01 * h.diagonal().mean();
  const Matrix product = u * d.asDiagonal() * u.transpose();
  EXPECT_LT((product - h).cwiseAbs().maxCoeff(), 1e-5 * h.cwiseAbs().maxCoeff());
}

TEST_F(Gptq, FactoredErrorsAreThoseOfTheHessian) {
  const std::size_t n = 300, rows = 21;  // more than a stretch of columns
  const Hessian hessian = correlated(n);
  const Linear linear = random_linear(rows, n);
  std::vector<std::uint32_t> order(n);
  for (std::size_t k = 0; k < n; ++k) order[k] = static_cast<std::uint32_t>((7 * k + 3) % n);
  const std::vector<double> expected = hessian_errors(hessian, linear.weights, rows);
  for (const Feedback& feedback : {factorize(hessian, 0.01), factorize(hessian, 0.01, order)}) {
    const std::vector<double> errors = factored_errors(feedback, linear.weights, rows);
    for (std::size_t r = 0; r < rows; ++r) EXPECT_NEAR(errors[r], expected[r], 1e-4 * expected[r]);
  }
}

/// Where f32 and double fall on two sides of a tie, the rest of a row goes other ways: errors are compared, not codes.
TEST_F(Gptq, EqualsTheReferenceByTheInverse) {
  const Linear linear = random_linear(64, 256);
  const Hessian hessian = hessian_of(correlated_rows(1024, 256, 2.0), 256);
  for (const char* name : {"int4_g64", "int3_g32", "int4_asym_g64", "nvfp4", "mxfp4", "fp8_channel", "int4_channel"}) {
    const codec::Codec& codec = codec::by_name(name);
    const double want = reference_error(codec, linear, hessian);
    const GptqResult result = quantize_gptq(codec, linear.view(), hessian, {.refine = 0, .activation_order = false},
                                            {codec::tensor_scale(codec, linear.absmax())});
    EXPECT_NEAR(result.error, want, 0.05 * want) << name;
    EXPECT_LT(result.error, 0.8 * result.nearest_error) << name;
    EXPECT_NEAR(error_of(result.stored, linear, hessian), result.error, 1e-3 * want) << name;
  }
}

/// Columns reordered beforehand and rounded in rising order are those of activation order.
TEST_F(Gptq, ActivationOrderIsRisingOrderOfReorderedColumns) {
  constexpr std::size_t cols = 512;
  const Linear linear = random_linear(32, cols);
  const std::vector<float> rows = correlated_rows(2048, cols, 2.0);
  const Hessian hessian = hessian_of(rows, cols);
  for (const char* name : {"int4_g64", "nvfp4", "int4_channel", "q4_k", "iq3_s"}) {
    const codec::Codec& codec = codec::by_name(name);
    const std::vector<std::uint32_t> order = activation_order(codec, hessian.diagonal());
    ASSERT_FALSE(order.empty()) << name;
    Linear moved = linear;
    std::vector<float> moved_rows(rows.size());
    for (std::size_t k = 0; k < cols; ++k) {
      for (std::size_t r = 0; r < linear.rows; ++r) moved.weights[r * cols + k] = linear.weights[r * cols + order[k]];
      for (std::size_t t = 0; t < 2048; ++t) moved_rows[t * cols + k] = rows[t * cols + order[k]];
    }
    const float scale = codec::tensor_scale(codec, linear.absmax());
    const GptqResult want = quantize_gptq(codec, moved.view(), hessian_of(moved_rows, cols),
                                          {.refine = 0, .activation_order = false}, {scale});
    const GptqResult got = quantize_gptq(codec, linear.view(), hessian, {.refine = 0}, {scale});
    EXPECT_NEAR(got.error, want.error, 0.01 * want.error) << name;
    EXPECT_NEAR(error_of(got.stored, linear, hessian), got.error, 1e-3 * got.error) << name;
  }
}

TEST_F(Gptq, ActivationOrderKeepsGroupsTogetherAndPutsLargeInputsFirst) {
  const std::vector<float> squares = {1, 2, 3, 4, 9, 0, 0, 0, 5, 6, 7, 8};
  codec::Codec codec = codec::by_name("int4_g64");
  codec.group_size = 4;
  EXPECT_EQ(activation_order(codec, squares), (std::vector<std::uint32_t>{4, 5, 6, 7, 11, 10, 9, 8, 3, 2, 1, 0}));
  codec.group_size = 0;
  EXPECT_EQ(activation_order(codec, squares), (std::vector<std::uint32_t>{4, 11, 10, 9, 8, 3, 2, 1, 0, 5, 6, 7}));
  codec.group_size = 5;  // does not divide the columns: nothing moves
  EXPECT_TRUE(activation_order(codec, squares).empty());
  EXPECT_TRUE(activation_order(codec::by_name("keep"), squares).empty());
}

TEST_F(Gptq, IsNeverWorseThanRoundToNearestAndRefiningNeverHurts) {
  constexpr std::size_t cols = 256;
  const Linear linear = random_linear(33, cols);
  for (const Hessian& hessian : {correlated(cols), hessian_of(correlated_rows(20, cols), cols)})
    for (const codec::Codec& codec : codec::all()) {
      if (!codec.has_codes() || !codec::why_not(codec, linear.rows, cols).empty()) continue;
      const codec::Stored nearest = quantize_rtn(codec, linear.view(), hessian.diagonal(), codec::ScaleFit::search,
                                                 codec::tensor_scale(codec, linear.absmax()));
      double last = error_of(nearest, linear, hessian);
      EXPECT_NEAR(gptq(codec, linear, hessian).nearest_error, last, 1e-3 * last) << codec.name;
      for (const std::size_t passes : {0u, 1u, 3u}) {
        const GptqResult result = gptq(codec, linear, hessian, passes);
        const double error = error_of(result.stored, linear, hessian);
        EXPECT_LE(error, last * (1 + 1e-4)) << codec.name << ", " << passes << " passes";
        EXPECT_NEAR(result.error, error, 1e-3 * error + 1e-9 * result.energy) << codec.name;
        last = error;
      }
    }
}

/// These are compared on some rows first, and on all when there are such whose errors no feedback makes up for.
TEST_F(Gptq, LargeLinearsAreNoWorseEither) {
  constexpr std::size_t cols = 64;
  const Linear linear = random_linear(1100, cols);
  for (const Hessian& hessian : {correlated(cols), hessian_of(correlated_rows(6, cols), cols)})
    for (const char* name : {"int4_g64", "int3_channel"}) {
      const codec::Codec& codec = codec::by_name(name);
      const codec::Stored nearest = quantize_rtn(codec, linear.view(), hessian.diagonal(), codec::ScaleFit::search,
                                                 codec::tensor_scale(codec, linear.absmax()));
      const double to_nearest = error_of(nearest, linear, hessian);
      for (const std::size_t passes : {0u, 1u}) {
        const GptqResult result = gptq(codec, linear, hessian, passes);
        const double error = error_of(result.stored, linear, hessian);
        EXPECT_LT(error, to_nearest);
        EXPECT_NEAR(result.error, error, 1e-3 * error);
        EXPECT_NEAR(result.nearest_error, to_nearest, 0.4 * to_nearest) << name;
      }
    }
}

TEST_F(Gptq, RefiningFindsBetterCodesAndScales) {
  const Linear linear = random_linear(32, 256);
  const Hessian hessian = correlated(256);
  for (const char* name : {"int4_g64", "nvfp4", "int3_channel"}) {
    const codec::Codec& codec = codec::by_name(name);
    const auto rising = [&](std::size_t passes) {
      return quantize_gptq(codec, linear.view(), hessian, {.refine = passes, .activation_order = false},
                           {codec::tensor_scale(codec, linear.absmax())});
    };
    EXPECT_LT(rising(2).error, 0.93 * rising(0).error) << name;
  }
}

TEST_F(Gptq, SurvivesHessiansThatAreNotPositiveDefinite) {
  const Linear linear = random_linear(33, 128);
  const codec::Codec& codec = codec::by_name("int4_g64");
  const std::vector<float> zeros(128 * 4, 0.0f);
  const GptqResult none = gptq(codec, linear, hessian_of(zeros, 128), 1);
  EXPECT_EQ(none.error, 0.0);
  EXPECT_TRUE(none.stored.parts == quantize_rtn(codec, linear.view(), {}, codec::ScaleFit::search, 1.0f).parts);

  const std::vector<float> one(correlated_rows(1, 128));
  const GptqResult single = gptq(codec, linear, hessian_of(one, 128), 1);
  EXPECT_LT(single.relative(), 1e-3);

  const Hessian few = hessian_of(correlated_rows(8, 128), 128);
  EXPECT_GE(factorize(few, 1e-12).damping, 1e-11);
  EXPECT_LT(quantize_gptq(codec, linear.view(), few, {.damping = 1e-12, .refine = 0}, {1.0f}).relative(), 1e-3);
}

TEST_F(Gptq, DeadColumnsAreRoundedToNearest) {
  const Linear linear = random_linear(32, 128);
  std::vector<float> rows = correlated_rows(600, 128);
  for (std::size_t t = 0; t < 600; ++t)
    for (std::size_t c = 0; c < 128; ++c)
      if (c % 5 == 0) rows[t * 128 + c] = 0.0f;
  const Hessian hessian = hessian_of(rows, 128);
  const codec::Codec& codec = codec::by_name("int8_channel");
  const GptqResult result =
      quantize_gptq(codec, linear.view(), hessian, {.refine = 0}, {1.0f, codec::ScaleFit::minmax});
  const std::vector<float> d = differences(result.stored, linear);
  for (std::size_t i = 0; i < d.size(); ++i) {
    const bool dead = i % 128 % 5 == 0;
    EXPECT_LE(dead ? std::fabs(d[i]) : 0.0f, 0.6f * 2 * linear.absmax() / 255);
  }
}

TEST_F(Gptq, RefusesInputsThatAreNotFinite) {
  const Linear linear = random_linear(4, 64);
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<float> rows = correlated_rows(64, 64);
    rows[100] = bad;
    const Hessian hessian = hessian_of(rows, 64);
    EXPECT_THROW(gptq(codec::by_name("int4_g64"), linear, hessian), Error);
  }
}

TEST_F(Gptq, BytesAreTheSameAtAnyThreadCount) {
  const Linear linear = random_linear(200, 256);
  const std::vector<float> rows = correlated_rows(900, 256);
  for (const char* name : {"int4_g64", "nvfp4", "fp8_channel"}) {
    const codec::Codec& codec = codec::by_name(name);
    set_thread_count(1);
    const GptqResult one = gptq(codec, linear, hessian_of(rows, 256), 1);
    for (const std::size_t threads : {2u, 5u}) {
      set_thread_count(threads);
      const GptqResult many = gptq(codec, linear, hessian_of(rows, 256), 1);
      EXPECT_TRUE(one.stored.parts == many.stored.parts) << name;
      EXPECT_EQ(one.error, many.error) << name;
    }
  }
}

TEST_F(Gptq, CodecsWithoutCodesAreCopied) {
  const Linear linear = random_linear(4, 64);
  const GptqResult result = gptq(codec::by_name("keep"), linear, Hessian(64));
  EXPECT_EQ(result.error, 0.0);
  EXPECT_EQ(error_of(result.stored, linear, correlated(64)), 0.0);
}

}  // namespace gptq_test
}  // namespace strata::quantize
