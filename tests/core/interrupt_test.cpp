// Ctrl-C in a program that has a handler of its own: it stops the work, and is the program's again afterwards.
// Only the work that it came during is stopped.
#include "core/interrupt.h"

#include <gtest/gtest.h>

#include <csignal>

namespace strata {
namespace interrupt_test {

volatile std::sig_atomic_t g_own = 0;

TEST(InterruptibleWork, StopsAtTheNextCheckAndGivesTheHandlerBack) {
  const auto before = std::signal(SIGINT, [](int) { g_own = g_own + 1; });
  {
    const InterruptibleWork work;
    EXPECT_NO_THROW(check_interrupt());
    std::raise(SIGINT);
    std::raise(SIGINT);
    EXPECT_THROW(check_interrupt(), Interrupted);
  }
  EXPECT_NO_THROW(check_interrupt());
  EXPECT_EQ(g_own, 0);
  std::raise(SIGINT);
  EXPECT_EQ(g_own, 1);
  {
    const InterruptibleWork next;
    EXPECT_NO_THROW(check_interrupt());
  }
  std::signal(SIGINT, before);
}

}  // namespace interrupt_test
}  // namespace strata
