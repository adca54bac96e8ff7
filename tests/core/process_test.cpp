// Programs that are run: their exit codes, and how one that is missing or killed is told from the rest.
#include "core/process.h"

#include <gtest/gtest.h>

namespace strata {
namespace process_test {

TEST(Process, GivesTheExitCode) {
  EXPECT_EQ(run_process({"true"}), 0);
  EXPECT_EQ(run_process({"/bin/sh", "-c", "exit 3"}), 3);
}

TEST(Process, PassesWordsAsTheyAre) {
  EXPECT_EQ(run_process({"/bin/sh", "-c", "test \"$1\" = 'two words; exit 1'", "name", "two words; exit 1"}), 0);
}

TEST(Process, TellsAProgramThatIsNotThere) {
  EXPECT_EQ(run_process({"strata-has-no-such-program"}), std::nullopt);
  EXPECT_EQ(run_process({"/no/such/folder/program"}), std::nullopt);
}

TEST(Process, TellsTheSignalThatEndedIt) { EXPECT_EQ(run_process({"/bin/sh", "-c", "kill -9 $$"}), 128 + 9); }

}  // namespace process_test
}  // namespace strata
