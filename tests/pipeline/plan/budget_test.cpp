// Budgets: one at a time, and said as the user gave them.
#include "pipeline/plan/budget.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "pipeline/plan/request.h"

namespace strata::pipeline {
namespace budget_test {

TEST(Budget, IsSaidAsItWasGiven) {
  EXPECT_EQ(text_of({}), "");
  EXPECT_EQ(text_of(BitsBudget{4.5}), "--bits 4.5");
  EXPECT_EQ(text_of(SizeBudget{110u << 20}), "--size 110MiB");
  EXPECT_EQ(text_of(SizeBudget{110'000'000}), "--size 110MB");
  EXPECT_EQ(text_of(SizeBudget{12345}), "--size 12345");
  EXPECT_EQ(text_of(MemoryBudget{std::uint64_t{8} << 30}), "--fit 8GiB");
  EXPECT_EQ(text_of(KlBudget{0.05}), "--max-kl 0.05");
  EXPECT_EQ(text_of(StockBudget{"Q4_K_M"}), "--like Q4_K_M");
}

TEST(Budget, IsOne) {
  Budget budget;
  give(budget, {});
  give(budget, BitsBudget{4});
  try {
    give(budget, SizeBudget{1u << 20});
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("--bits 4 and --size 1MiB contradict"), std::string::npos) << error.what();
  }
}

}  // namespace budget_test
}  // namespace strata::pipeline
