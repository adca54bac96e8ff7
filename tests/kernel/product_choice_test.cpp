// The choice of the variant for products in bf16: what is measured, and that a tie is not decided by chance.
#include "kernel/product_choice.h"

#include <gtest/gtest.h>

#include "kernel/dispatch.h"

namespace strata::kernel {
namespace product_choice_test {

TEST(ProductChoice, MeasuresWhatRunsHereThePreferredFirst) {
  const std::vector<ProductSpeed> speeds = product_speeds(0.0);
  ASSERT_FALSE(speeds.empty());
  ASSERT_LE(speeds.size(), 3u);
  EXPECT_EQ(speeds[0].variant->isa, selected_isa());
  for (const ProductSpeed& speed : speeds) {
    EXPECT_TRUE(isa_runs_here(speed.variant->isa));
    EXPECT_GT(speed.gflops, 0.0);
    EXPECT_EQ(&speed.variant->rows, &speeds[0].variant->rows) << "what is no product must not change with the choice";
  }
}

TEST(ProductChoice, IsTheFirstUnlessAnotherIsClearlyFaster) {
  const Variant &first = *variants().front(), &other = *variants().back();
  EXPECT_EQ(&fastest({{&first, 100}, {&other, 110}}), &first);
  EXPECT_EQ(&fastest({{&first, 100}, {&other, 120}}), &other);
  EXPECT_EQ(&fastest({{&first, 100}}), &first);
  const Variant third = other;
  EXPECT_EQ(&fastest({{&first, 100}, {&other, 110}, {&third, 120}}), &other) << "the last two do not differ clearly";
  EXPECT_EQ(&fastest({{&first, 100}, {&other, 110}, {&third, 130}}), &third);
}

TEST(ProductChoice, IsKeptOnceAJobHasMadeIt) {
  const Variant& own = selected_variant();
  keep_variant("portable");
  EXPECT_STREQ(selected_variant().name, isa_is_forced() ? own.name : "portable");
  keep_variant(own.name);
  EXPECT_EQ(&selected_variant(), &own);
  keep_variant("abacus");
  EXPECT_EQ(&selected_variant(), &own) << "a name that is unknown or does not run here changes nothing";
  for (const Variant* variant : variants()) {
    keep_variant(variant->name);
    const Variant& kept = isa_runs_here(variant->isa) && !isa_is_forced() ? *variant : own;
    EXPECT_EQ(&selected_variant(), &kept) << variant->name;
    keep_variant(own.name);
  }
}

}  // namespace product_choice_test
}  // namespace strata::kernel
