// Hidden states hold what was kept, in memory and in a file alike; the error names a folder that cannot hold them.
#include "engine/hidden_states.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/error.h"

namespace strata::engine {
namespace hidden_states_test {

void fill_and_read_back(HiddenStates& states) {
  for (std::size_t s = 0; s < states.count(); s += 2) {
    const std::size_t count = std::min<std::size_t>(2, states.count() - s);
    float* const values = states.borrow(s, count);
    for (std::size_t i = 0; i < count * states.floats(); ++i)
      values[i] = static_cast<float>(s * states.floats() + i) + 0.5f;
    states.keep();
  }
  for (std::size_t s = states.count(); s-- > 0;) {
    const float* const values = states.borrow(s, 1);
    for (std::size_t i = 0; i < states.floats(); ++i)
      ASSERT_EQ(values[i], static_cast<float>(s * states.floats() + i) + 0.5f) << s << " " << i;
  }
}

TEST(HiddenStates, HoldWhatWasKeptInMemoryAndInAFile) {
  HiddenStates memory(5, 7), file(5, 7, std::filesystem::temp_directory_path());
  EXPECT_FALSE(memory.spilled());
  EXPECT_TRUE(file.spilled());
  fill_and_read_back(memory);
  fill_and_read_back(file);
}

TEST(HiddenStates, ABorrowedStretchOfAFileIsLeftAsItWasUnlessKept) {
  HiddenStates file(3, 4, std::filesystem::temp_directory_path());
  file.borrow(1, 2)[3] = 9.0f;
  EXPECT_EQ(file.borrow(1, 2)[3], 0.0f);
}

TEST(HiddenStates, AFolderThatCannotHoldThemIsNamed) {
  try {
    HiddenStates states(1, 1, "/no/such/folder");
    FAIL();
  } catch (const Error& e) {
    EXPECT_NE(std::string(e.what()).find("/no/such/folder"), std::string::npos) << e.what();
  }
  EXPECT_THROW(HiddenStates(1ull << 20, 1ull << 30, std::filesystem::temp_directory_path()), Error);
}

}  // namespace hidden_states_test
}  // namespace strata::engine
