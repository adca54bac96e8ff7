// Parallel loops run every index once, hand exceptions to the caller, and are serial inside each other.
// They run with more threads than CPUs too, since results must not depend on their number.
#include "core/threads.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <stdexcept>
#include <vector>

namespace strata {
namespace threads_test {

class Threads : public testing::TestWithParam<std::size_t> {
 protected:
  void SetUp() override { set_thread_count(GetParam()); }
  void TearDown() override { set_thread_count(0); }
};

TEST_P(Threads, EachIndexIsVisitedExactlyOnce) {
  for (const std::size_t count : {0u, 1u, 2u, 7u, 1000u}) {
    const auto visits = std::make_unique<std::atomic<int>[]>(count + 1);
    parallel_for(count, [&](std::size_t i) { ++visits[i]; });
    for (std::size_t i = 0; i < count; ++i) EXPECT_EQ(visits[i], 1) << i << " of " << count;
    EXPECT_EQ(visits[count], 0);
  }
}

TEST_P(Threads, AnExceptionReachesTheCallerAndStopsTheLoop) {
  std::atomic<std::size_t> begun = 0;
  const auto run = [&] {
    parallel_for(1'000'000, [&](std::size_t i) {
      ++begun;
      if (i == 10) throw std::runtime_error("ten");
    });
  };
  EXPECT_THROW(
      {
        try {
          run();
        } catch (const std::runtime_error& error) {
          EXPECT_STREQ(error.what(), "ten");
          throw;
        }
      },
      std::runtime_error);
  EXPECT_LT(begun, 1'000'000u);
  std::atomic<int> after = 0;
  parallel_for(5, [&](std::size_t) { ++after; });
  EXPECT_EQ(after, 5);
}

TEST_P(Threads, NestedLoopsVisitEachPairOnce) {
  std::vector<std::atomic<int>> visits(20 * 30);
  parallel_for(20, [&](std::size_t i) { parallel_for(30, [&](std::size_t k) { ++visits[i * 30 + k]; }); });
  for (const auto& count : visits) EXPECT_EQ(count, 1);
}

TEST_P(Threads, ATeamHasEachMemberOnce) {
  std::vector<std::atomic<int>> seen(64);
  std::atomic<std::size_t> size = 0;
  parallel_team([&](std::size_t thread, std::size_t total) {
    size = total;
    ++seen.at(thread);
  });
  ASSERT_GE(size, 1u);
  ASSERT_LE(size, thread_count());
  for (std::size_t i = 0; i < seen.size(); ++i) EXPECT_EQ(seen[i], i < size ? 1 : 0);
}

TEST_P(Threads, AnExceptionOfATeamReachesTheCaller) {
  EXPECT_THROW(parallel_team([](std::size_t, std::size_t) { throw std::runtime_error("x"); }), std::runtime_error);
}

TEST_P(Threads, ShortLoopsAndTeamsInTurnsLoseNothing) {
  // So short that threads come late, into the next loop or none.
  std::atomic<std::size_t> visits = 0, members = 0;
  std::size_t wanted = 0;
  for (std::size_t round = 0; round < 3000; ++round) {
    parallel_for(round % 5, [&](std::size_t i) { visits += i + 1; });
    wanted += (round % 5) * (round % 5 + 1) / 2;
    ASSERT_EQ(visits, wanted);
    if (round % 7 != 0) continue;
    members = 0;
    std::size_t size = 0;
    parallel_team([&](std::size_t thread, std::size_t total) {
      members += thread + 1;
      if (thread == 0) size = total;
    });
    ASSERT_EQ(members, size * (size + 1) / 2);
  }
}

INSTANTIATE_TEST_SUITE_P(Counts, Threads, testing::Values(1u, 2u, 5u), testing::PrintToStringParamName());

TEST(ThreadCount, ZeroIsAutomatic) {
  set_thread_count(3);
  EXPECT_EQ(thread_count(), 3u);
  set_thread_count(0);
  EXPECT_GE(thread_count(), 1u);
}

}  // namespace threads_test
}  // namespace strata
