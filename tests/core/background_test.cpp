// Tasks run in their order beside the caller; the failure of one reaches the caller and ends the others.
#include "core/background.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

#include "core/error.h"

namespace strata {
namespace background_test {

TEST(Background, TasksRunInTheirOrder) {
  std::vector<int> seen;
  Background background(3);
  for (int i = 0; i < 100; ++i) background.post(1, [&seen, i] { seen.push_back(i); });
  background.post(1000, [&seen] { seen.push_back(100); });  // heavier than the limit: alone
  background.finish();
  ASSERT_EQ(seen.size(), 101u);
  for (int i = 0; i <= 100; ++i) EXPECT_EQ(seen[static_cast<std::size_t>(i)], i);
}

TEST(Background, AFailureReachesTheCallerAndEndsTheRest) {
  std::atomic<int> ran = 0;
  Background background(10);
  background.post(1, [] { fail("disk full"); });
  EXPECT_THROW(
      {
        for (int i = 0; i < 100; ++i) background.post(1, [&ran] { ++ran; });
        background.finish();
      },
      Error);
  EXPECT_THROW(background.post(1, [] {}), Error);
  EXPECT_EQ(ran, 0);
}

}  // namespace background_test
}  // namespace strata
