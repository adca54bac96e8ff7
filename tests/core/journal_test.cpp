// A journal outlives its process at any byte: lines that were whole are read again, a cut one is not.
// Another job's journal is refused by an Error that says what differs.
#include "core/journal.h"

#include <gtest/gtest.h>

#include <fstream>

#include "core/file.h"

namespace strata {
namespace journal_test {

class JournalTest : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  const std::filesystem::path folder_ =
      std::filesystem::path(testing::TempDir()) /
      fmt::format("journal_{}", testing::UnitTest::GetInstance()->current_test_info()->name());
  const std::filesystem::path path_ = folder_ / "j";
  const json job_ = {{"job", "kl"}, {"tokens", 512}};
};

TEST_F(JournalTest, UnitsAreThereAgain) {
  {
    Journal journal(path_, job_);
    EXPECT_TRUE(journal.finished().empty());
    journal.append({{"unit", 1}, {"value", 0.1}});
    journal.append({{"unit", 2}});
  }
  Journal journal(path_, job_);
  ASSERT_EQ(journal.finished().size(), 2u);
  EXPECT_EQ(journal.finished()[0]["value"].get<double>(), 0.1);
  Journal::remove(path_);
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(JournalTest, NamesThatAreNotUtf8AreOfTheSameJob) {
  const json job = {{"job", "kl"}, {"text", "wiki\xFF.txt"}};
  Journal(path_, job).append({{"file", "out\xFF"}});
  EXPECT_EQ(Journal(path_, job).finished().size(), 1u);
  EXPECT_THROW(Journal(path_, {{"job", "kl"}, {"text", "other.txt"}}), Error);
}

TEST_F(JournalTest, CutAnywhereItGoesOn) {
  {
    Journal journal(path_, job_);
    for (int unit = 0; unit < 3; ++unit) journal.append({{"unit", unit}});
  }
  const std::string whole = read_text_file(path_);
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    std::ofstream(path_, std::ios::binary | std::ios::trunc) << whole.substr(0, size);
    std::size_t units = 0;
    {
      Journal journal(path_, job_);
      units = journal.finished().size();
      for (std::size_t unit = units; unit < 3; ++unit) journal.append({{"unit", unit}});
    }
    EXPECT_EQ(read_text_file(path_), whole) << size;
    EXPECT_LE(units, 3u);
  }
}

TEST_F(JournalTest, AnotherJobIsRefused) {
  { Journal journal(path_, job_); }
  try {
    Journal journal(path_, {{"job", "kl"}, {"tokens", 1024}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("another tokens (512, now 1024)"), std::string::npos) << error.what();
  }
  write_text_file(path_, "something else\n");
  EXPECT_THROW(Journal(path_, job_), Error);
}

}  // namespace journal_test
}  // namespace strata
