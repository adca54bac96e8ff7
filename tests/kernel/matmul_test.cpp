// Compares every matrix product kernel with the definition in double, for all shapes, types, alignments and variants.
// Tolerance: k * 2^-24 * |x| |w| (norms; at least the sum of |x w|), a bound on any order of summation in f32.
#include "kernel/matmul.h"

#include <cmath>
#include <limits>
#include <memory>

#include "core/threads.h"
#include "kernel/emulated_tiles.h"
#include "kernel/fixtures.h"

namespace strata::kernel {
namespace matmul_test {

struct Shape {
  std::size_t tokens, rows, cols;
};

/// The dense weights as f32.
std::vector<float> widened(const Weights& w) {
  std::vector<float> values(w.rows() * w.cols());
  for (std::size_t r = 0; r < w.rows(); ++r) {
    float* out = values.data() + r * w.cols();
    if (w.stored != nullptr)
      w.stored->codec->unpack(*w.stored->codec, *w.stored, r, 0, w.cols(), out);
    else
      read_row(w.dense, r, 0, w.cols(), out);
  }
  return values;
}

/// Euclidean norms of the rows.
std::vector<double> norms(const std::vector<float>& values, std::size_t rows, std::size_t cols, Precision precision) {
  std::vector<double> result(rows);
  for (std::size_t r = 0; r < rows; ++r) {
    double sum = 0;
    for (std::size_t c = 0; c < cols; ++c) sum += std::pow(operand(values[r * cols + c], precision), 2);
    result[r] = std::sqrt(sum);
  }
  return result;
}

void expect_product(const Variant& variant, const Weights& w, std::size_t tokens, Precision precision,
                    const std::string& where) {
  const std::size_t rows = w.rows(), cols = w.cols(), x_stride = cols + 3, y_stride = rows + 5;
  const float untouched = 12345.0f;
  const std::vector<float> values = normal(tokens * cols, 7);
  Guarded x(((tokens - 1) * x_stride + cols) * sizeof(float));
  std::fill_n(x.as<float>(), (tokens - 1) * x_stride + cols, std::numeric_limits<float>::quiet_NaN());
  for (std::size_t t = 0; t < tokens; ++t) std::copy_n(&values[t * cols], cols, x.as<float>() + t * x_stride);
  std::vector<float> want(tokens * rows), got(tokens * y_stride, untouched);
  matmul_reference(x.as<float>(), x_stride, tokens, w, want.data(), rows, precision);
  matmul(variant, x.as<float>(), x_stride, tokens, w, got.data(), y_stride, precision);

  const std::vector<double> x_norms = norms(values, tokens, cols, precision);
  const std::vector<double> w_norms = norms(widened(w), rows, cols, precision);
  for (std::size_t t = 0; t < tokens; ++t) {
    for (std::size_t r = 0; r < rows; ++r) {
      const double tolerance = (static_cast<double>(cols) + 2) * std::ldexp(x_norms[t] * w_norms[r], -24) + 1e-37;
      ASSERT_NEAR(got[t * y_stride + r], want[t * rows + r], tolerance)
          << where << " token " << t << " row " << r << " of " << tokens << " x " << rows << " x " << cols;
    }
    for (std::size_t r = rows; r < y_stride; ++r) ASSERT_EQ(got[t * y_stride + r], untouched) << where;
  }
}

void expect_dense(const Variant& variant, const Shape& shape, DType type, std::size_t shift, Precision precision) {
  const std::size_t stride = shape.cols * dtype_bytes(type) + shift;
  Guarded memory((shape.rows - 1) * stride + shape.cols * dtype_bytes(type));
  std::memset(memory.data(), 0xFF, (shape.rows - 1) * stride + shape.cols * dtype_bytes(type));  // NaN between rows
  const std::vector<float> values = normal(shape.rows * shape.cols, 11);
  for (std::size_t r = 0; r < shape.rows; ++r)
    write_as(type, {values.begin() + r * shape.cols, values.begin() + (r + 1) * shape.cols},
             memory.data() + r * stride);
  const Weights w{{memory.data(), shape.rows, shape.cols, type, stride}, nullptr};
  expect_product(variant, w, shape.tokens, precision,
                 std::string(variant.name) + " " + std::string(dtype_name(type)) + " shift " + std::to_string(shift) +
                     (precision == Precision::bf16 ? " in bf16" : " in f32"));
}

constexpr Precision kPrecisions[] = {Precision::f32, Precision::bf16};
constexpr DType kTypes[] = {DType::bf16, DType::f16, DType::f32};

TEST(Matmul, EveryVariantEqualsTheDefinitionOnOddShapes) {
  for (const Variant* variant : multiplying())
    for (const Precision precision : kPrecisions)
      for (const DType type : kTypes)
        for (const std::size_t rows : {1, 7, 16, 33})
          for (const std::size_t cols : {1, 2, 3, 8, 31, 64, 100})
            for (const std::size_t tokens : {1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 33}) {
              expect_dense(*variant, {tokens, rows, cols}, type, (rows + cols + tokens) % 3, precision);
              if (HasFatalFailure()) return;
            }
}

TEST(Matmul, EveryVariantEqualsTheDefinitionOverSeveralColumnBlocks) {
  for (const Variant* variant : multiplying())
    for (const Precision precision : kPrecisions)
      for (const Shape& shape : {Shape{29, 192, 576}, Shape{3, 70, 576}, Shape{19, 40, 1537}, Shape{1, 40, 2311}}) {
        expect_dense(*variant, shape, DType::bf16, 0, precision);
        if (HasFatalFailure()) return;
      }
  if (!runnable().empty()) expect_dense(*runnable().front(), {512, 192, 576}, DType::bf16, 0, Precision::f32);
}

codec::Stored stored_as(const codec::Codec& codec, std::size_t rows, std::size_t cols) {
  const std::vector<float> values = normal(rows * cols, 3);
  codec::Stored stored = codec::allocate(codec, rows, cols);
  codec::encode_rows(codec, MatrixView::dense(values.data(), rows, cols, DType::f32), {}, codec::ScaleFit::minmax,
                     codec::tensor_scale(codec, 5.0f), 0, rows, stored);
  return stored;
}

TEST(Matmul, StoredWeightsAreDecodedOnTheFly) {
  const std::vector<const Variant*> here = multiplying();
  const auto check = [&](const char* name, const Shape& shape) {
    const codec::Stored stored = stored_as(codec::by_name(name), shape.rows, shape.cols);
    for (const Variant* variant : here)
      for (const Precision precision : kPrecisions)
        expect_product(*variant, {{}, &stored}, shape.tokens, precision, std::string(variant->name) + " " + name);
  };
  for (const Shape& shape : {Shape{1, 33, 128}, Shape{5, 7, 1152}, Shape{16, 16, 64}, Shape{17, 70, 832}})
    ASSERT_NO_FATAL_FAILURE(check("int4_g64", shape));
  for (const char* name : {"int8_channel", "fp8_channel", "nvfp4", "keep"})
    for (const Shape& shape : {Shape{3, 18, 1088}, Shape{20, 35, 832}}) ASSERT_NO_FATAL_FAILURE(check(name, shape));
}

TEST(Matmul, ThreadsDoNotChangeABit) {
  const std::size_t rows = 200, cols = 1100;
  const std::vector<float> weights = normal(rows * cols, 1), x = normal(70 * cols, 2);
  const Weights w{MatrixView::dense(weights.data(), rows, cols, DType::f32), nullptr};
  for (const Variant* variant : multiplying())
    for (const Precision precision : kPrecisions)
      for (const std::size_t tokens : {1, 8, 70}) {
        std::vector<float> one(tokens * rows), many(tokens * rows);
        set_thread_count(1);
        matmul(*variant, x.data(), cols, tokens, w, one.data(), rows, precision);
        for (const std::size_t threads : {2, 7}) {
          set_thread_count(threads);
          matmul(*variant, x.data(), cols, tokens, w, many.data(), rows, precision);
          EXPECT_EQ(std::memcmp(one.data(), many.data(), one.size() * sizeof(float)), 0)
              << variant->name << " " << tokens << " tokens, " << threads << " threads";
        }
        set_thread_count(0);
      }
}

TEST(Matmul, NonFiniteValuesStayInTheirRowAndToken) {
  const std::size_t rows = 40, cols = 70;
  for (const Variant* variant : multiplying())
    for (const Precision precision : kPrecisions)
      for (const std::size_t tokens : {3, 20}) {
        std::vector<float> weights = normal(rows * cols, 1), x = normal(tokens * cols, 2);
        weights[5 * cols + 69] = std::numeric_limits<float>::quiet_NaN();
        weights[9 * cols + 3] = std::numeric_limits<float>::infinity();
        x[2 * cols + 68] = -std::numeric_limits<float>::infinity();
        std::vector<float> y(tokens * rows);
        matmul(*variant, x.data(), cols, tokens, {MatrixView::dense(weights.data(), rows, cols, DType::f32), nullptr},
               y.data(), rows, precision);
        for (std::size_t t = 0; t < tokens; ++t)
          for (std::size_t r = 0; r < rows; ++r) {
            const float got = y[t * rows + r];
            if (r == 5)
              EXPECT_TRUE(std::isnan(got)) << variant->name;
            else
              EXPECT_EQ(std::isfinite(got), r != 9 && t != 2) << variant->name << " " << t << " " << r;
          }
      }
}

TEST(Matmul, EmptyShapes) {
  std::vector<float> x(8, 1.0f), y(8, 3.0f);
  const Weights none{MatrixView::dense(x.data(), 0, 4, DType::f32), nullptr};
  const Weights narrow{MatrixView::dense(x.data(), 2, 0, DType::f32), nullptr};
  matmul(x.data(), 4, 2, none, y.data(), 4, Precision::f32);
  matmul(x.data(), 4, 0, narrow, y.data(), 4, Precision::f32);
  EXPECT_EQ(y, std::vector<float>(8, 3.0f));
  matmul(x.data(), 4, 2, narrow, y.data(), 4, Precision::f32);
  EXPECT_EQ(y, (std::vector<float>{0, 0, 3, 3, 0, 0, 3, 3}));
}

}  // namespace matmul_test
}  // namespace strata::kernel
