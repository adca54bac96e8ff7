// Compares small products of every variant, in all four orientations, with sums in double.
// Operands end where an unreadable page begins; what lies beside the result stays.
#include "kernel/small_products.h"

#include "kernel/fixtures.h"

namespace strata::kernel {
namespace small_products_test {

void expect_product(const Variant& variant, std::size_t m, std::size_t n, std::size_t k, bool a_turned, bool b_turned,
                    Update update) {
  const std::size_t a_rows = a_turned ? k : m, a_cols = a_turned ? m : k, b_rows = b_turned ? n : k,
                    b_cols = b_turned ? k : n, c_stride = n + 2;
  Guarded a(a_rows * a_cols * sizeof(float)), b(b_rows * b_cols * sizeof(float));
  const std::vector<float> a_values = normal(a_rows * a_cols, 1), b_values = normal(b_rows * b_cols, 2);
  std::copy(a_values.begin(), a_values.end(), a.as<float>());
  std::copy(b_values.begin(), b_values.end(), b.as<float>());
  std::vector<float> c(m * c_stride, 7.0f);
  multiply_small(variant.f32, {a.as<float>(), a_cols, a_turned}, {b.as<float>(), b_cols, b_turned}, m, n, k, c.data(),
                 c_stride, update);
  for (std::size_t i = 0; i < m; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      double sum = update == Update::add ? 7.0 : 0.0;
      for (std::size_t u = 0; u < k; ++u)
        sum += static_cast<double>(a_values[a_turned ? u * m + i : i * k + u]) *
               static_cast<double>(b_values[b_turned ? j * k + u : u * n + j]);
      ASSERT_NEAR(c[i * c_stride + j], sum, 1e-4)
          << variant.name << " " << m << "x" << n << "x" << k << " " << a_turned << b_turned << " at " << i << " " << j;
    }
    ASSERT_EQ(c[i * c_stride + n], 7.0f) << variant.name;
  }
}

TEST(SmallProducts, EveryVariantAndOrientation) {
  for (const Variant* variant : runnable())
    for (const auto& [m, n, k] : {std::tuple<std::size_t, std::size_t, std::size_t>{1, 1, 1},
                                  {16, 64, 48},
                                  {64, 128, 128},
                                  {37, 33, 19},
                                  {14, 32, 1},
                                  {5, 70, 64}})
      for (const bool a_turned : {false, true})
        for (const bool b_turned : {false, true})
          for (const Update update : {Update::store, Update::add}) {
            expect_product(*variant, m, n, k, a_turned, b_turned, update);
            if (::testing::Test::HasFatalFailure()) return;
          }
}

}  // namespace small_products_test
}  // namespace strata::kernel
