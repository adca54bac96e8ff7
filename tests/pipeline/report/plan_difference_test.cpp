// Compares two plans of one model: which groups differ, and by how much. Plans that cannot be compared are refused.
// The sums are those of the plans themselves.
#include "pipeline/report/plan_difference.h"

#include "support/tiny_model.h"

namespace strata::pipeline {
namespace plan_difference_test {

using ::strata::fixtures::error_of;
using ::strata::fixtures::golden_model;

class PlanDifferenceTest : public ::testing::Test {
 protected:
  PlanDifferenceTest() : first_(plan_of(model_, all_kept(model_.architecture()))), second_(first_) {
    give(second_, 1, "int4_g32", 0.25);
    give(second_, 3, "int8_channel", 0.5);
  }
  void give(Plan& plan, std::size_t group, const char* codec, double cost) const {
    PlannedGroup& planned = plan.groups[group];
    planned.codec = &codec::by_name(codec);
    planned.bytes = bytes_of(group, *planned.codec, model_.architecture());
    planned.cost = cost;
  }
  const model::Model model_ = model::Model::open(golden_model("llama_tied"));
  Plan first_, second_;
};

TEST_F(PlanDifferenceTest, ListsTheGroupsThatDiffer) {
  first_.cost_signal = second_.cost_signal = "kl";
  const PlanDifference d = difference(first_, second_);
  ASSERT_EQ(d.differ.size(), 2u);
  EXPECT_EQ(d.groups, first_.groups.size());
  EXPECT_EQ(d.differ[0].group, first_.groups[1].name);
  EXPECT_EQ(d.differ[0].first->name, std::string("keep"));
  EXPECT_EQ(d.differ[0].second->name, std::string("int4_g32"));
  EXPECT_EQ(d.differ[0].cost, 0.25);
  EXPECT_EQ(d.bytes, d.differ[0].bytes + d.differ[1].bytes);
  EXPECT_LT(d.bytes, 0);
  EXPECT_DOUBLE_EQ(d.bits, second_.bits() - first_.bits());
  EXPECT_EQ(d.cost, 0.75);
  const json value = d.to_json();
  EXPECT_EQ(value["groups_that_differ"], 2u);
  EXPECT_EQ(value["differences"][1]["second"], "int8_channel");
  const PlanDifference back = difference(second_, first_);
  EXPECT_EQ(back.bytes, -d.bytes);
  EXPECT_EQ(back.cost, -0.75);
}

TEST_F(PlanDifferenceTest, RowsHaveAHeadingAndTheSums) {
  first_.cost_signal = second_.cost_signal = "kl";
  const auto rows = difference(first_, second_).rows();
  ASSERT_EQ(rows.size(), 4u);
  for (const auto& row : rows) EXPECT_EQ(row.size(), rows[0].size());
  EXPECT_EQ(rows[0].back(), "cost (kl)");
  EXPECT_EQ(rows[1].back(), "+0.25");
  EXPECT_EQ(rows[3].front(), fmt::format("2 of {} groups", first_.groups.size()));
  EXPECT_EQ(rows[3].back(), "+0.75");
}

TEST_F(PlanDifferenceTest, CostsOfTwoUnitsAreNotCompared) {
  first_.cost_signal = "act_mse";
  second_.cost_signal = "kl";
  const PlanDifference d = difference(first_, second_);
  EXPECT_FALSE(d.cost);
  EXPECT_TRUE(d.to_json()["differences"][0]["cost"].is_null());
  EXPECT_EQ(d.rows()[1].back(), "-");
}

TEST_F(PlanDifferenceTest, ThereIsNoneBetweenAPlanAndItself) {
  const PlanDifference d = difference(second_, second_);
  EXPECT_TRUE(d.differ.empty());
  EXPECT_EQ(d.bytes, 0);
  EXPECT_EQ(d.rows().size(), 2u);
}

TEST_F(PlanDifferenceTest, PlansThatCannotBeComparedAreRefused) {
  Plan other = second_;
  other.fingerprint = "0123456789abcdef";
  EXPECT_NE(error_of([&] { difference(first_, other); }).find("two models"), std::string::npos);
  const model::Model unfused = model::Model::open(golden_model("llama_tied"), model::Fusion::single);
  const Plan single = plan_of(unfused, all_kept(unfused.architecture()));
  EXPECT_NE(error_of([&] { difference(first_, single); }).find("group the linears differently"), std::string::npos);
}

}  // namespace plan_difference_test
}  // namespace strata::pipeline
