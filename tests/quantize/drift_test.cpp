// Compares the asymmetric correction with a plain solution in double, and tests its promise: rounding the corrected
// weights comes nearer to what the original puts out.
#include "quantize/drift.h"

#include <gtest/gtest.h>

#include <Eigen/Cholesky>
#include <Eigen/Core>
#include <vector>

#include "core/random.h"
#include "quantize/gptq.h"

namespace strata::quantize {
namespace drift_test {

using Matrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

constexpr std::size_t kTokens = 900, kRows = 40, kCols = 128;

Matrix random_matrix(std::size_t rows, std::size_t cols, std::uint64_t seed) {
  Random random(seed);
  Matrix m(rows, cols);
  for (Eigen::Index i = 0; i < m.size(); ++i) m.data()[i] = static_cast<float>(random.normal());
  return m;
}

/// Inputs x (tokens, cols), those of the original, and the original's state less the rounded one's (tokens, rows).
struct Setting {
  Matrix weights = 0.05f * random_matrix(kRows, kCols, 1);
  Matrix x =
      random_matrix(kTokens, kCols, 2) * (Matrix::Identity(kCols, kCols) + 0.05f * random_matrix(kCols, kCols, 3));
  Matrix original = x * (Matrix::Identity(kCols, kCols) + 0.02f * random_matrix(kCols, kCols, 4)) +
                    0.3f * random_matrix(kTokens, kCols, 5);
  Matrix state = 0.1f * x * random_matrix(kCols, kRows, 6) + random_matrix(kTokens, kRows, 7);

  MatrixView view() const { return MatrixView::dense(weights.data(), kRows, kCols, DType::f32); }
  Hessian hessian() const {
    Hessian h(kCols);
    h.add(x.data(), kTokens, kernel::Precision::f32);
    return h;
  }
  Drift drift(bool of_output) const {
    const Matrix inputs = original - x, output = original * weights.transpose() + state;
    Drift d = of_output ? Drift{Drift::Of::output, CrossMoment(kRows, kCols)}
                        : Drift{Drift::Of::inputs, CrossMoment(kCols, kCols)};
    d.moment.add((of_output ? output : inputs).data(), x.data(), kTokens, kernel::Precision::f32);
    return d;
  }
  /// Squared distance between what weights `q` put out and what they should.
  double distance(const Matrix& q, bool of_output) const {
    Matrix error = x * q.transpose() - original * weights.transpose();
    if (of_output) error -= state;
    return error.cast<double>().squaredNorm();
  }
};

Matrix decoded(const codec::Stored& stored) {
  Matrix m(kRows, kCols);
  for (std::size_t r = 0; r < kRows; ++r) codec::decode_row(stored, r, 0, kCols, m.data() + r * kCols);
  return m;
}

TEST(Drift, CrossMomentIsTheSumOfOuterProducts) {
  const Matrix a = random_matrix(5000, 7, 1), b = random_matrix(5000, 20, 2);  // more than a stretch of tokens
  CrossMoment moment(7, 20);
  moment.add(a.data(), b.data(), 5000, kernel::Precision::f32);
  const Eigen::MatrixXd want = a.cast<double>().transpose() * b.cast<double>();
  for (std::size_t i = 0; i < 7; ++i)
    for (std::size_t j = 0; j < 20; ++j) EXPECT_NEAR(moment.sums()[i * 20 + j], want(i, j), 2e-2);
}

TEST(Drift, CorrectedWeightsAreTheLeastSquaresSolution) {
  const Setting setting;
  for (const bool of_output : {false, true}) {
    const Feedback feedback = factorize(setting.hessian(), 1e-6);
    const std::vector<float> got =
        corrected_weights(setting.view(), setting.drift(of_output), setting.hessian(), feedback);
    const Eigen::MatrixXd x = setting.x.cast<double>();
    Eigen::MatrixXd target = (setting.original * setting.weights.transpose()).cast<double>();
    if (of_output) target += setting.state.cast<double>();
    const Eigen::MatrixXd want = (x.transpose() * x).ldlt().solve(x.transpose() * target).transpose();
    double largest = want.cwiseAbs().maxCoeff();
    for (std::size_t r = 0; r < kRows; ++r)
      for (std::size_t c = 0; c < kCols; ++c) ASSERT_NEAR(got[r * kCols + c], want(r, c), 1e-2 * largest) << r << c;
  }
}

TEST(Drift, CorrectsMoreColumnsThanAreSolvedTogether) {
  constexpr std::size_t cols = 600, rows = 70;
  const Matrix x = random_matrix(1500, cols, 1), moved = random_matrix(1500, cols, 2),
               weights = random_matrix(rows, cols, 3);
  Hessian hessian(cols);
  hessian.add(x.data(), 1500, kernel::Precision::f32);
  Drift drift{Drift::Of::inputs, CrossMoment(cols, cols)};
  drift.moment.add(moved.data(), x.data(), 1500, kernel::Precision::f32);
  const Feedback feedback = factorize(hessian, 0.05);
  const std::vector<float> got =
      corrected_weights(MatrixView::dense(weights.data(), rows, cols, DType::f32), drift, hessian, feedback);
  const Eigen::MatrixXd wide = x.cast<double>(), moments = wide.transpose() * wide,
                        damped = moments + feedback.added * Eigen::MatrixXd::Identity(cols, cols),
                        change = weights.cast<double>() * (moved.cast<double>().transpose() * wide);
  const Eigen::MatrixXd want = weights.cast<double>() + damped.ldlt().solve(change.transpose()).transpose();
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < cols; ++c)
      ASSERT_NEAR(got[r * cols + c], want(r, c), 1e-3 * want.cwiseAbs().maxCoeff()) << r << ", " << c;
}

TEST(Drift, RoundingCorrectedWeightsComesNearerToTheOriginal) {
  const Setting setting;
  const Hessian hessian = setting.hessian();
  for (const char* name : {"int4_g64", "nvfp4", "fp8_channel", "q4_k"})
    for (const bool of_output : {false, true}) {
      const codec::Codec& codec = codec::by_name(name);
      if (!codec::why_not(codec, kRows, kCols).empty()) continue;
      const float scale = codec::tensor_scale(codec, setting.weights.cwiseAbs().maxCoeff());
      const std::vector<float> corrected =
          corrected_weights(setting.view(), setting.drift(of_output), hessian, factorize(hessian, 0.01));
      const MatrixView view = MatrixView::dense(corrected.data(), kRows, kCols, DType::f32);
      const Matrix with = decoded(quantize_gptq(codec, view, hessian, {.refine = 0}, {scale}).stored);
      const Matrix without = decoded(quantize_gptq(codec, setting.view(), hessian, {.refine = 0}, {scale}).stored);
      EXPECT_LT(setting.distance(with, of_output), 0.9 * setting.distance(without, of_output)) << name;
    }
}

TEST(Drift, WithoutDriftNothingIsCorrected) {
  const Setting setting;
  const Drift none{Drift::Of::inputs, CrossMoment(kCols, kCols)};
  const std::vector<float> got =
      corrected_weights(setting.view(), none, setting.hessian(), factorize(setting.hessian(), 0.01));
  EXPECT_TRUE(std::equal(got.begin(), got.end(), setting.weights.data()));
}

}  // namespace drift_test
}  // namespace strata::quantize
