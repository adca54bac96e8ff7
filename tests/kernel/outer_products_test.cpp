// Compares sums of outer products by every variant with the definition in double, and tests what they leave alone.
// Tolerance: tokens * 2^-24 * |a| |b| (norms of the columns), a bound on any order of summation in f32.
#include "kernel/outer_products.h"

#include <cmath>

#include "core/threads.h"
#include "kernel/emulated_tiles.h"
#include "kernel/fixtures.h"

namespace strata::kernel {
namespace outer_products_test {

struct Shape {
  std::size_t tokens, rows, cols;
};

double column_norm(const std::vector<float>& x, std::size_t cols, std::size_t c) {
  double sum = 0;
  for (std::size_t i = c; i < x.size(); i += cols) sum += std::pow(x[i], 2);
  return std::sqrt(sum);
}

void expect_sums(const Variant& variant, const Shape& shape, Precision precision) {
  const std::size_t bytes = shape.tokens * sizeof(float);
  Guarded a(bytes * shape.rows), b(bytes * shape.cols), sums(shape.rows * shape.cols * sizeof(float));
  const std::vector<float> left = normal(shape.tokens * shape.rows, 1), right = normal(shape.tokens * shape.cols, 2);
  const std::vector<float> before = normal(shape.rows * shape.cols, 3);
  std::copy(left.begin(), left.end(), a.as<float>());
  std::copy(right.begin(), right.end(), b.as<float>());
  std::copy(before.begin(), before.end(), sums.as<float>());
  add_outer_products(variant, a.as<float>(), shape.rows, b.as<float>(), shape.cols, shape.tokens, sums.as<float>(),
                     Part::all, precision);
  for (std::size_t r = 0; r < shape.rows; ++r)
    for (std::size_t c = 0; c < shape.cols; ++c) {
      double want = static_cast<double>(before[r * shape.cols + c]);
      for (std::size_t t = 0; t < shape.tokens; ++t)
        want += static_cast<double>(operand(left[t * shape.rows + r], precision)) *
                static_cast<double>(operand(right[t * shape.cols + c], precision));
      const double bound = column_norm(left, shape.rows, r) * column_norm(right, shape.cols, c) + 4.0;
      ASSERT_NEAR(sums.as<float>()[r * shape.cols + c], want,
                  (static_cast<double>(shape.tokens) + 3) * std::ldexp(bound, -24))
          << variant.name << (precision == Precision::bf16 ? " in bf16" : " in f32") << " (" << r << ", " << c
          << ") of " << shape.tokens << " x " << shape.rows << " x " << shape.cols;
    }
}

TEST(OuterProducts, EveryVariantEqualsTheDefinition) {
  for (const Variant* variant : multiplying())
    for (const Precision precision : {Precision::f32, Precision::bf16}) {
      for (const std::size_t tokens : {1, 2, 3, 16, 33})
        for (const std::size_t rows : {1, 4, 14, 15, 31})
          for (const std::size_t cols : {1, 3, 16, 31, 33})
            ASSERT_NO_FATAL_FAILURE(expect_sums(*variant, {tokens, rows, cols}, precision));
      ASSERT_NO_FATAL_FAILURE(expect_sums(*variant, {769, 70, 40}, precision));   // more than one block of tokens
      ASSERT_NO_FATAL_FAILURE(expect_sums(*variant, {33, 200, 300}, precision));  // and of panels
    }
}

TEST(OuterProducts, ColumnsOfWiderRowsAreTakenAwayFromColumnsOfWiderSums) {
  constexpr std::size_t tokens = 40, rows = 50, cols = 70, wide = 90;
  const std::vector<float> a = normal(tokens * wide, 7), b = normal(tokens * wide, 8), before = normal(rows * wide, 9);
  for (const Variant* variant : multiplying()) {
    std::vector<float> sums = before;
    add_outer_products(*variant, {a.data(), rows, wide}, {b.data(), cols, wide}, tokens, sums.data(), wide, Part::all,
                       Sign::minus, Precision::f32);
    for (std::size_t r = 0; r < rows; ++r)
      for (std::size_t c = 0; c < wide; ++c) {
        double want = static_cast<double>(before[r * wide + c]);
        for (std::size_t t = 0; c < cols && t < tokens; ++t)
          want -= static_cast<double>(a[t * wide + r]) * static_cast<double>(b[t * wide + c]);
        ASSERT_NEAR(sums[r * wide + c], want, 1e-4) << variant->name << " (" << r << ", " << c << ")";
      }
  }
}

TEST(OuterProducts, TheLowerPartIsThatOfTheWhole) {
  constexpr std::size_t size = 190, tokens = 50;
  const std::vector<float> x = normal(size * tokens, 4);
  for (const Variant* variant : multiplying())
    for (const Precision precision : {Precision::f32, Precision::bf16}) {
      std::vector<float> whole(size * size, 0.0f), lower(size * size, 0.0f);
      add_outer_products(*variant, x.data(), size, x.data(), size, tokens, whole.data(), Part::all, precision);
      add_outer_products(*variant, x.data(), size, x.data(), size, tokens, lower.data(), Part::lower, precision);
      for (std::size_t r = 0; r < size; ++r)
        for (std::size_t c = 0; c <= r; ++c) ASSERT_EQ(lower[r * size + c], whole[r * size + c]) << r << ", " << c;
      EXPECT_EQ(lower[size - 1], 0.0f) << "work on the other part";
    }
}

TEST(OuterProducts, ThreadsDoNotChangeABit) {
  constexpr std::size_t rows = 300, cols = 170, tokens = 800;
  const std::vector<float> a = normal(rows * tokens, 5), b = normal(cols * tokens, 6);
  std::vector<float> first;
  for (const std::size_t threads : {1, 2, 3}) {
    set_thread_count(threads);
    std::vector<float> sums(rows * cols, 1.0f);
    add_outer_products(a.data(), rows, b.data(), cols, tokens, sums.data(), Part::all, Precision::bf16);
    if (first.empty()) first = sums;
    EXPECT_EQ(sums, first) << threads << " threads";
  }
  set_thread_count(0);
}

}  // namespace outer_products_test
}  // namespace strata::kernel
