// Compares solve() with the exact programme and the programme with enumeration, and tests the promises made for every
// budget: no plan exceeds it, no larger budget costs more, and the gap is certified.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <string>

#include "allocate/allocate.h"
#include "core/error.h"
#include "instances.h"
#include "support/error_of.h"

namespace strata::allocate {
namespace solve_test {

constexpr double kPromisedGap = 1e-3;

std::uint64_t bytes_of_plan(std::span<const Group> groups, const Solution& plan) {
  std::uint64_t bytes = 0;
  for (std::size_t g = 0; g < groups.size(); ++g) bytes += groups[g].at(plan.choice.at(g)).bytes;
  return bytes;
}

double cost_of_plan(std::span<const Group> groups, const Solution& plan) {
  double cost = 0.0;
  for (std::size_t g = 0; g < groups.size(); ++g) cost += groups[g].at(plan.choice.at(g)).cost;
  return cost;
}

/// What holds for every plan: one choice a group, sums as stated, within the budget, bound below the cost.
void expect_sound(std::span<const Group> groups, const Solution& plan, std::uint64_t budget) {
  ASSERT_EQ(plan.choice.size(), groups.size());
  EXPECT_EQ(plan.bytes, bytes_of_plan(groups, plan));
  const double cost = cost_of_plan(groups, plan);
  EXPECT_NEAR(plan.cost, cost, 1e-9 * cost + 1e-15);
  EXPECT_LE(plan.bytes, budget);
  EXPECT_LE(plan.lower_bound, plan.cost);
}

/// The least cost by trying every plan.
double enumerate(std::span<const Group> groups, std::uint64_t budget, std::size_t g = 0) {
  if (g == groups.size()) return 0.0;
  double best = std::numeric_limits<double>::infinity();
  for (const Choice& choice : groups[g])
    if (choice.bytes <= budget) best = std::min(best, choice.cost + enumerate(groups, budget - choice.bytes, g + 1));
  return best;
}

std::string error_of(std::span<const Group> groups, std::uint64_t budget) {
  return ::strata::error_of([&] { solve(groups, budget); });
}

TEST(SolveExact, EqualsEnumeration) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    const auto groups = instances::shapeless(seed, 1 + seed % 5, 5, 40);
    for (std::uint64_t budget = smallest(groups); budget <= instances::largest(groups) + 1; budget += 7) {
      const Solution exact = solve_exact(groups, budget);
      expect_sound(groups, exact, budget);
      EXPECT_NEAR(exact.cost, enumerate(groups, budget), 1e-12) << "seed " << seed << ", budget " << budget;
    }
  }
}

TEST(Solve, IsWithinThePromisedGapOfTheOptimum) {
  std::size_t proved = 0, solved = 0;
  for (std::uint64_t seed = 0; seed < 3000; ++seed) {
    const std::size_t count = 1 + seed % 12;
    const auto groups =
        seed % 3 == 0 ? instances::correlated(seed, count, 8, 300) : instances::shapeless(seed, count, 12, 300);
    const std::uint64_t least = smallest(groups);
    Random random(seed);
    const std::uint64_t budget = least + random.below(instances::largest(groups) - least + 2);
    const Solution plan = solve(groups, budget);
    expect_sound(groups, plan, budget);
    const double optimum = solve_exact(groups, budget).cost;
    EXPECT_LE(plan.cost, optimum * (1.0 + kPromisedGap)) << "seed " << seed;
    EXPECT_LE(plan.lower_bound, optimum * (1.0 + 1e-12)) << "seed " << seed;
    if (plan.gap() == 0.0) {
      EXPECT_EQ(plan.cost, optimum) << "seed " << seed << ": called optimal";
      ++proved;
    }
    ++solved;
  }
  EXPECT_GT(proved, solved * 9 / 10);
}

TEST(Solve, CertifiesThePromisedGapOnModels) {
  struct Shape {
    std::size_t blocks;
    std::uint64_t hidden, mlp;
  };
  for (const Shape shape : {Shape{4, 64, 128}, Shape{30, 576, 1536}, Shape{32, 4096, 14336}, Shape{80, 8192, 28672}})
    for (std::uint64_t seed = 0; seed < 5; ++seed) {
      const auto groups = instances::model(seed, shape.blocks, shape.hidden, shape.mlp);
      const std::uint64_t least = smallest(groups), span = instances::largest(groups) - least;
      for (std::uint64_t i = 0; i <= 40; ++i) {
        const std::uint64_t budget = least + span / 40 * i;
        const Solution plan = solve(groups, budget);
        expect_sound(groups, plan, budget);
        EXPECT_LE(plan.gap(), kPromisedGap) << shape.blocks << " blocks, seed " << seed << ", budget " << budget;
      }
    }
}

TEST(Solve, UsesChoicesOffTheHull) {
  // The hull of the group is 0 and 10 bytes; within 6 bytes only the choice above it helps.
  const std::vector<Group> groups{{{0, 10.0}, {6, 9.0}, {10, 0.0}}};
  EXPECT_EQ(solve(groups, 5).choice[0], 0u);
  EXPECT_EQ(solve(groups, 6).choice[0], 1u);
  EXPECT_EQ(solve(groups, 9).cost, 9.0);
  EXPECT_EQ(solve(groups, 10).choice[0], 2u);
}

TEST(Solve, ExchangesGroupsAgainstEachOther) {
  // Along the hull group 0 moves first and leaves a slack of 5; going back on it for group 1 is better.
  const std::vector<Group> groups{{{0, 11.0}, {10, 0.0}}, {{0, 15.0}, {15, 0.0}}};
  const Solution plan = solve(groups, 15);
  EXPECT_EQ(plan.choice, (std::vector<std::size_t>{0, 1}));
  EXPECT_EQ(plan.cost, 11.0);
  EXPECT_EQ(plan.gap(), 0.0);
}

void expect_monotone(std::span<const Group> groups, std::span<const std::uint64_t> budgets, const std::string& what) {
  double last = std::numeric_limits<double>::infinity();
  for (const std::uint64_t budget : budgets) {
    const Solution plan = solve(groups, budget);
    ASSERT_LE(plan.bytes, budget) << what;
    ASSERT_LE(plan.cost, last) << what << ", budget " << budget;
    last = plan.cost;
  }
}

TEST(Solve, CostNeverRisesAtAnyBudgetOfSmallInstances) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    const auto groups = seed % 2 == 0 ? instances::correlated(seed, 1 + seed % 9, 6, 40)
                                      : instances::shapeless(seed, 1 + seed % 9, 6, 40);
    std::vector<std::uint64_t> budgets(instances::largest(groups) - smallest(groups) + 3);
    std::iota(budgets.begin(), budgets.end(), smallest(groups));
    expect_monotone(groups, budgets, "seed " + std::to_string(seed));
  }
}

/// The search is cut off in many segments here, so this is the canonical front that has to hold.
TEST(Solve, CostNeverRisesWhereTheSearchIsCutOff) {
  std::size_t cut_off = 0;
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    const auto groups = instances::correlated(seed, 30, 12, 1'000'000);
    const Curve curve = pareto(groups);
    Random random(seed);
    std::vector<std::uint64_t> budgets;
    for (std::size_t p = 0; p + 1 < curve.points.size(); p += 7) {
      const std::uint64_t from = curve.points[p].bytes, to = curve.points[p + 1].bytes;
      budgets.insert(budgets.end(), {from, from + 1, to - 1, to});
      for (int i = 0; i < 3; ++i) budgets.push_back(from + random.below(to - from));
      cut_off += solve(groups, to - 1).gap() > 0.0 ? 1 : 0;
    }
    std::sort(budgets.begin(), budgets.end());
    expect_monotone(groups, budgets, "seed " + std::to_string(seed));
  }
  EXPECT_GT(cut_off, 10u);
}

TEST(Solve, CostNeverRisesOnAModel) {
  const auto groups = instances::model(3, 30, 576, 1536);
  std::vector<std::uint64_t> budgets;
  for (std::uint64_t b = smallest(groups); b <= instances::largest(groups); b += 300'007) budgets.push_back(b);
  expect_monotone(groups, budgets, "model");
}

TEST(Solve, TiesHaveOneAnswer) {
  const Group group{{8, 1.0}, {8, 1.0}, {4, 2.0}, {4, 2.0}};
  const std::vector<Group> groups(5, group);
  const Solution plan = solve(groups, 4 * 5 + 4 * 2);
  EXPECT_EQ(plan.choice, (std::vector<std::size_t>{0, 0, 2, 2, 2}));
  EXPECT_EQ(plan.cost, 8.0);
}

TEST(Solve, MoreBytesForTheSameCostAreNeverBought) {
  const std::vector<Group> groups{{{10, 1.0}, {20, 1.0}, {30, 2.0}}};
  const Solution plan = solve(groups, 1000);
  EXPECT_EQ(plan.bytes, 10u);
}

TEST(Solve, NoGroupsAndSingleChoicesHaveOnePlan) {
  EXPECT_EQ(solve({}, 0).cost, 0.0);
  const std::vector<Group> fixed{{{3, 1.5}}, {{4, 2.5}}};
  EXPECT_EQ(solve(fixed, 7).bytes, 7u);
  EXPECT_EQ(solve(fixed, 1'000'000).cost, 4.0);
  const std::vector<Group> costless{{{3, 0.0}, {9, 0.0}}};
  EXPECT_EQ(solve(costless, 9).bytes, 3u);
  EXPECT_EQ(solve(costless, 9).gap(), 0.0);
}

TEST(Solve, CostsOfAnyMagnitudeAreSolved) {
  for (const double scale : {1e-300, 1e-40, 1.0, 1e40, 1e290}) {
    auto groups = instances::shapeless(11, 20, 6, 1000);
    for (Group& group : groups)
      for (Choice& choice : group) choice.cost *= scale;
    const std::uint64_t budget = (smallest(groups) + instances::largest(groups)) / 2;
    const Solution plan = solve(groups, budget);
    EXPECT_EQ(plan.choice, solve(instances::shapeless(11, 20, 6, 1000), budget).choice) << scale;
    EXPECT_NEAR(plan.cost / scale, cost_of_plan(groups, plan) / scale, 1e-9);
  }
  const std::vector<Group> wild{{{0, 1e300}, {1, 0.0}}, {{0, 5e-324}, {1, 0.0}}, {{0, 1.0}, {1, 0.5}}};
  EXPECT_EQ(solve(wild, 1).choice[0], 1u);
}

TEST(Solve, ABudgetBelowTheSmallestNamesTheSmallest) {
  const std::vector<Group> groups{{{100, 1.0}, {50, 2.0}}, {{70, 1.0}}};
  EXPECT_EQ(smallest(groups), 120u);
  EXPECT_EQ(solve(groups, 120).bytes, 120u);
  EXPECT_NE(error_of(groups, 119).find("120 bytes"), std::string::npos) << error_of(groups, 119);
  EXPECT_THROW(solve_exact(groups, 119), Error);
}

TEST(Solve, ABadCostNamesItsGroup) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  for (const double bad : {std::nan(""), infinity, -infinity, -1.0, -1e-300}) {
    const std::vector<Group> groups{{{1, 1.0}}, {{1, 1.0}, {2, bad}}};
    EXPECT_NE(error_of(groups, 100).find("group 1, choice 1"), std::string::npos) << error_of(groups, 100);
    EXPECT_THROW(pareto(groups), Error);
    EXPECT_THROW(smallest(groups), Error);
  }
  const std::vector<Group> negative_zero{{{1, -0.0}}};
  EXPECT_EQ(solve(negative_zero, 1).cost, 0.0);
}

TEST(Solve, SumsThatOverflowAreRefused) {
  constexpr std::uint64_t half = std::uint64_t{1} << 63;
  EXPECT_NE(error_of(std::vector<Group>{{{half, 1.0}}, {{half, 1.0}}}, UINT64_MAX).find("group 0"), std::string::npos);
  const std::vector<Group> many(4, {{1, 2.0}, {std::uint64_t{1} << 58, 1.0}});
  EXPECT_NE(error_of(many, UINT64_MAX).find("group 3"), std::string::npos);
  const std::vector<Group> dear(2, {{1, 1.5e308}});
  EXPECT_NE(error_of(dear, 10).find("costs of the groups add up"), std::string::npos);
}

TEST(Solve, BytesNearTheLimitAreCounted) {
  const std::uint64_t big = (std::uint64_t{1} << 58) - 1;
  const std::vector<Group> groups{{{0, 7.0}, {big, 0.0}}, {{1, 3.0}, {big / 2, 1.0}, {big, 0.5}}, {{0, 1.0}, {3, 0.9}}};
  for (const std::uint64_t budget : {std::uint64_t{1}, std::uint64_t{4}, big / 2, big, big + 5, UINT64_MAX}) {
    const Solution plan = solve(groups, budget);
    expect_sound(groups, plan, budget);
    EXPECT_NEAR(plan.cost, enumerate(groups, budget), 1e-12) << budget;
  }
}

TEST(SolveDeathTest, AnEmptyGroupIsABug) {
  const std::vector<Group> groups{{{1, 1.0}}, {}};
  EXPECT_DEATH(solve(groups, 10), "group 1 has no choices");
}

TEST(Pareto, EveryPointIsOptimalForItsBytes) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const auto groups = instances::shapeless(seed, 1 + seed % 7, 6, 60);
    const Curve curve = pareto(groups);
    ASSERT_EQ(curve.points.size(), curve.steps.size() + 1);
    EXPECT_EQ(curve.points[0].bytes, smallest(groups));
    for (std::size_t p = 0; p < curve.points.size(); ++p) {
      const Solution plan = curve.plan(p);
      expect_sound(groups, plan, curve.points[p].bytes);
      EXPECT_EQ(plan.bytes, curve.points[p].bytes);
      EXPECT_EQ(plan.cost, solve_exact(groups, plan.bytes).cost) << "seed " << seed << ", point " << p;
      EXPECT_TRUE(p == 0 || curve.points[p].bytes > curve.points[p - 1].bytes);
    }
    EXPECT_EQ(curve.points.back().cost, solve(groups, UINT64_MAX).cost);
  }
}

TEST(Pareto, IsConvex) {
  const Curve curve = pareto(instances::model(1, 30, 576, 1536));
  double last = std::numeric_limits<double>::infinity();
  for (std::size_t p = 1; p < curve.points.size(); ++p) {
    const double slope = (curve.points[p - 1].cost - curve.points[p].cost) /
                         static_cast<double>(curve.points[p].bytes - curve.points[p - 1].bytes);
    EXPECT_LE(slope, last * (1.0 + 1e-6));
    last = slope;
  }
}

}  // namespace solve_test
}  // namespace strata::allocate
