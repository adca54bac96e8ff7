// Compares rank correlation with values worked out by hand.
// Means and quantiles are tested through the signals that use them.
#include "core/statistics.h"

#include <gtest/gtest.h>

namespace strata {
namespace statistics_test {

TEST(Spearman, KnownValues) {
  const std::vector<double> a = {1, 2, 3, 4, 5};
  EXPECT_DOUBLE_EQ(spearman(a, std::vector<double>{10, 20, 30, 40, 1000}), 1.0);
  EXPECT_DOUBLE_EQ(spearman(a, std::vector<double>{5, 4, 3, 2, 1}), -1.0);
  EXPECT_NEAR(spearman(a, std::vector<double>{2, 1, 4, 3, 5}), 0.8, 1e-12);
  // A value that is not a number ends nothing: it has some rank.
  EXPECT_TRUE(std::isfinite(spearman(a, std::vector<double>{1, std::nan(""), 3, std::nan(""), 5})));
  // ranks 0 1.5 1.5 3 4 and 0 3 1.5 1.5 4: 7.25 / 9.5
  EXPECT_NEAR(spearman(std::vector<double>{1, 2, 2, 3, 4}, std::vector<double>{1, 3, 2, 2, 5}), 0.7631578947368421,
              1e-12);
  EXPECT_EQ(spearman(a, std::vector<double>{7, 7, 7, 7, 7}), 0.0);
}

}  // namespace statistics_test
}  // namespace strata
