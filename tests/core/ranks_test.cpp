// What ranks share, and a process that is alone. Several ranks: tests/cluster.
#include "core/ranks.h"

#include <gtest/gtest.h>

namespace strata {
namespace ranks_test {

TEST(Ranks, SharesCoverAllThingsInOrderAndKnowTheirOwners) {
  for (std::size_t size = 1; size <= 9; ++size)
    for (std::size_t count = 1; count <= 20; ++count) {
      const std::vector<std::size_t> begins = Ranks(0, size).shares(count);
      ASSERT_EQ(begins.size(), size + 1);
      EXPECT_EQ(begins.front(), 0u);
      EXPECT_EQ(begins.back(), count);
      for (std::size_t rank = 0; rank < size; ++rank) {
        const Ranks ranks(rank, size);
        EXPECT_EQ(ranks.first_of(count), begins[rank]);
        EXPECT_EQ(ranks.end_of(count), begins[rank + 1]);
        for (std::size_t i = begins[rank]; i < begins[rank + 1]; ++i) EXPECT_EQ(ranks.owner_of(count, i), rank);
      }
    }
}

TEST(Ranks, AProcessAloneKeepsWhatItHas) {
  const Ranks ranks;
  EXPECT_TRUE(ranks.is_first());
  EXPECT_FALSE(ranks.many());
  std::vector<int> values = {1, 2, 3};
  ranks.broadcast(values);
  ranks.share_all(std::span(values), 2);
  EXPECT_EQ(values, (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(ranks.collect(std::span<const int>(values)), values);
  json value = {{"a", 1}};
  ranks.broadcast(value);
  EXPECT_EQ(value["a"], 1);
  EXPECT_TRUE(ranks.decide(true));
  EXPECT_FALSE(ranks.decide(false));
}

TEST(Ranks, WorkIsSharedInTheScopeOfWorkingTogetherAlone) {
  EXPECT_EQ(ranks_at_work().size(), 1u);
  const WorkingTogether together;
  EXPECT_EQ(ranks_at_work().size(), all_ranks().size());
}

}  // namespace ranks_test
}  // namespace strata
