// Tests orders of blocks, levels along them, tiers within a budget, and budgets given as bits.
#include "allocate/orders.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/random.h"

namespace strata::allocate {
namespace orders_test {

TEST(Orders, ByImportanceWithTiesToTheEarlierBlock) {
  const std::vector<double> importance{-0.5, 2.0, -0.5, 7.0, 2.0};
  EXPECT_EQ(by_importance(importance), (Order{3, 1, 4, 0, 2}));
  EXPECT_EQ(reversed(by_importance(importance)), (Order{2, 0, 4, 1, 3}));
  EXPECT_TRUE(by_importance({}).empty());
}

TEST(Orders, ANanNamesItsBlock) {
  const std::vector<double> importance{1.0, 2.0, std::nan("")};
  try {
    by_importance(importance);
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("block 2"), std::string::npos);
  }
}

TEST(Orders, FixedOrdersAreWhatTheirNamesSay) {
  EXPECT_EQ(first_blocks(4), (Order{0, 1, 2, 3}));
  EXPECT_EQ(last_blocks(4), (Order{3, 2, 1, 0}));
  EXPECT_EQ(first_and_last(5), (Order{0, 4, 1, 3, 2}));
  EXPECT_EQ(first_and_last(4), (Order{0, 3, 1, 2}));
  EXPECT_EQ(first_and_last(1), (Order{0}));
}

TEST(Orders, RandomIsAPermutationFixedByItsSeed) {
  Order sorted = random_order(50, 3);
  EXPECT_EQ(sorted, random_order(50, 3));
  EXPECT_NE(sorted, random_order(50, 4));
  std::sort(sorted.begin(), sorted.end());
  EXPECT_EQ(sorted, first_blocks(50));
}

TEST(Orders, RandomTreatsAllOrdersAlike) {
  std::vector<int> count(6);
  for (std::uint64_t seed = 0; seed < 6000; ++seed) {
    const Order order = random_order(3, seed);
    ++count[order[0] * 2 + (order[1] > order[2] ? 1 : 0)];
  }
  // 1000 expected each, standard deviation 29.
  for (const int n : count) EXPECT_NEAR(n, 1000, 150);
}

TEST(Levels, TopNFollowsTheOrder) {
  const Order order{3, 1, 0, 2};
  EXPECT_EQ(top_n(order, std::vector<std::size_t>{2}), (Levels{1, 0, 1, 0}));
  EXPECT_EQ(top_n(order, std::vector<std::size_t>{0}), (Levels{1, 1, 1, 1}));
  EXPECT_EQ(top_n(order, std::vector<std::size_t>{1, 2}), (Levels{1, 1, 2, 0}));
  EXPECT_EQ(top_n(order, std::vector<std::size_t>{4}), (Levels{0, 0, 0, 0}));
  EXPECT_THROW(top_n(order, std::vector<std::size_t>{3, 2}), Error);
  EXPECT_THROW(top_n(order, std::vector<std::size_t>{1, SIZE_MAX}), Error);
}

TEST(LevelsDeathTest, AnOrderThatIsNoneIsABug) {
  EXPECT_DEATH(top_n(Order{0, 0}, std::vector<std::size_t>{1}), "block 0 of 2");
  EXPECT_DEATH(top_n(Order{0, 2}, std::vector<std::size_t>{1}), "block 2 of 2");
}

TEST(Levels, ByThresholdsTakesTheFirstThatIsReached) {
  const std::vector<double> importance{0.9, 0.5, 0.1, -1.0};
  EXPECT_EQ(by_thresholds(importance, std::vector<double>{0.9, 0.1}), (Levels{0, 1, 1, 2}));
  EXPECT_EQ(by_thresholds(importance, std::vector<double>{}), (Levels{0, 0, 0, 0}));
  EXPECT_THROW(by_thresholds(importance, std::vector<double>{0.1, 0.9}), Error);
  EXPECT_THROW(by_thresholds(importance, std::vector<double>{std::nan("")}), Error);
}

TEST(Tiers, MoveInOrderWhileTheBudgetHolds) {
  // 10 blocks of 16, 8 or 4 bytes; the ends kept: 2 * 16 + 8 * 4 = 64, and every move to the middle costs 4.
  const LevelBytes bytes(10, {16, 8, 4});
  const Order order{5, 0, 7, 2, 3, 4, 6, 1, 8, 9};
  const std::vector<std::size_t> ends{0, 9};
  EXPECT_EQ(tiers(order, bytes, 64 + 11, ends), (Levels{0, 2, 2, 2, 2, 1, 2, 1, 2, 0}));
  EXPECT_EQ(tiers(order, bytes, 64, ends), (Levels{0, 2, 2, 2, 2, 2, 2, 2, 2, 0}));
  // All middle at 96; then the most important get the most.
  EXPECT_EQ(tiers(order, bytes, 96 + 17, ends), (Levels{0, 1, 1, 1, 1, 0, 1, 0, 1, 0}));
  EXPECT_EQ(tiers(order, bytes, 1000, ends), (Levels(10, 0)));
  EXPECT_TRUE(tiers({}, {}, 0, {}).empty());
}

TEST(Tiers, ABlockThatDoesNotFitIsPassedOver) {
  const LevelBytes bytes{{100, 50, 10}, {20, 10, 5}, {20, 10, 5}};
  EXPECT_EQ(tiers(Order{0, 1, 2}, bytes, 32, {}), (Levels{2, 1, 1}));
}

TEST(Tiers, AMoveThatSavesBytesIsAlwaysMade) {
  const LevelBytes bytes{{100, 50, 60}, {100, 50, 10}};
  EXPECT_EQ(tiers(Order{0, 1}, bytes, 70, {}), (Levels{1, 2}));
  EXPECT_EQ(tiers(Order{0, 1}, bytes, 100, {}), (Levels{1, 1}));
}

TEST(Tiers, ABudgetBelowTheStartNamesIt) {
  const LevelBytes bytes(4, {16, 8, 4});
  try {
    tiers(first_blocks(4), bytes, 39, std::vector<std::size_t>{0, 3});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("40 bytes"), std::string::npos) << error.what();
  }
  EXPECT_EQ(tiers(first_blocks(4), bytes, 40, std::vector<std::size_t>{0, 3}), (Levels{0, 2, 2, 0}));
}

TEST(Tiers, AreNeverOverTheBudgetAndLeaveNothingThatFits) {
  Random random(5);
  for (int i = 0; i < 2000; ++i) {
    LevelBytes bytes;
    const std::size_t count = 1 + random.below(12);
    for (std::size_t b = 0; b < count; ++b) {
      std::vector<std::uint64_t> row{random.below(1000), random.below(1000), random.below(1000)};
      std::sort(row.rbegin(), row.rend());
      bytes.push_back(row);
    }
    const std::vector<std::size_t> pinned{0, bytes.size() - 1};
    Levels lowest(bytes.size(), 2);
    lowest.front() = lowest.back() = 0;
    const std::uint64_t budget = bytes_of(lowest, bytes) + random.below(3000);
    const Levels levels = tiers(random_order(bytes.size(), random.next()), bytes, budget, pinned);
    const std::uint64_t spent = bytes_of(levels, bytes);
    ASSERT_LE(spent, budget);
    EXPECT_EQ(levels.front(), 0u);
    EXPECT_EQ(levels.back(), 0u);
    for (std::size_t b = 0; b < bytes.size(); ++b)
      EXPECT_TRUE(levels[b] == 0 || bytes[b][levels[b] - 1] - bytes[b][levels[b]] > budget - spent) << "block " << b;
  }
}

TEST(Bits, TrueBitsCountEveryByte) { EXPECT_EQ(true_bits(17, 32), 4.25); }

TEST(Bits, TheBudgetIsRoundedDownAndExact) {
  EXPECT_EQ(budget_of_bits(4.25, 32), 17u);
  EXPECT_EQ(budget_of_bits(4.25, 31), 16u);
  EXPECT_EQ(budget_of_bits(8.0, (std::uint64_t{1} << 62) + 1), (std::uint64_t{1} << 62) + 1);
  EXPECT_EQ(budget_of_bits(4.0, 0), 0u);
  EXPECT_EQ(budget_of_bits(5e-324, UINT64_MAX), 0u);
  for (const double bad : {0.0, -1.0, 1025.0, std::nan(""), std::numeric_limits<double>::infinity()})
    EXPECT_THROW(budget_of_bits(bad, 100), Error) << bad;
  EXPECT_THROW(budget_of_bits(16.0, UINT64_MAX), Error);
  // The bytes of a plan, expressed as bits, always pay for that plan when the quotient is exact.
  for (std::uint64_t bytes = 1; bytes < 1000; ++bytes)
    EXPECT_EQ(budget_of_bits(true_bits(bytes, 1 << 20), 1 << 20), bytes);
}

}  // namespace orders_test
}  // namespace strata::allocate
