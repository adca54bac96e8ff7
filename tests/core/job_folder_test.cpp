// A job folder lets work resume where it stopped, refuses another job's, and is gone once the result is there.
#include "core/job_folder.h"

#include <gtest/gtest.h>

#include "core/file.h"

namespace strata {
namespace job_folder_test {

namespace fs = std::filesystem;

class JobFolderTest : public testing::Test {
 protected:
  void SetUp() override { fs::create_directories(folder_); }
  void TearDown() override { fs::remove_all(folder_); }
  JobFolder open(bool overwrite = false, bool restart = false) const {
    return JobFolder(output_, job_, overwrite, restart);
  }
  std::string refusal(bool overwrite, const json& job) const {
    try {
      JobFolder(output_, job, overwrite, false);
    } catch (const Error& e) {
      return e.what();
    }
    return "";
  }

  const fs::path folder_ = fs::path(testing::TempDir()) /
                           fmt::format("job_{}", testing::UnitTest::GetInstance()->current_test_info()->name());
  const fs::path output_ = folder_ / "out", part_ = folder_ / ".out.part";
  const json job_ = {{"job", "test"}, {"--bits", 4}};
};

TEST_F(JobFolderTest, WithoutAFinishedUnitNothingIsLeft) {
  { open(); }
  EXPECT_FALSE(fs::exists(part_));
}

TEST_F(JobFolderTest, GoesOnAndPublishes) {
  {
    JobFolder job = open();
    write_text_file(job.file("stage"), "text");
    job.append({{"unit", 1}});
  }
  {
    JobFolder job = open();
    ASSERT_EQ(job.finished().size(), 1u);
    EXPECT_TRUE(job.has("stage"));
    write_text_file(job.result(), "result");
    EXPECT_FALSE(job.complete());
    job.publish({"out"});
  }
  EXPECT_EQ(read_text_file(output_), "result");
  {
    JobFolder job = open();  // killed before the work was removed: the output is its own, and not refused
    EXPECT_TRUE(job.complete());
    job.publish({"out"});
    job.remove();
  }
  EXPECT_FALSE(fs::exists(part_));
  EXPECT_NE(refusal(false, job_).find("--overwrite"), std::string::npos);
}

TEST_F(JobFolderTest, KilledBetweenTheLastLineAndTheRename) {
  {
    JobFolder job = open();
    write_text_file(job.result(), "result");
    job.append({{"complete", {"out"}}});
  }
  JobFolder job = open();
  EXPECT_TRUE(job.complete());
  job.publish({"out"});
  EXPECT_EQ(read_text_file(output_), "result");
}

TEST_F(JobFolderTest, AResultOfSeveralFilesKilledBetweenTheirRenames) {
  const std::vector<fs::path> names = {"out-1", "out-2"};
  {
    JobFolder job = open();
    write_text_file(job.file("out-1"), "one");
    write_text_file(job.file("out-2"), "two");
    job.append({{"complete", {"out-1", "out-2"}}});
    fs::rename(job.file("out-2"), folder_ / "out-2");
  }
  JobFolder job = open();
  EXPECT_TRUE(job.complete());
  job.refuse_taken(names, true);  // its own
  job.publish(names);
  EXPECT_EQ(read_text_file(folder_ / "out-1") + read_text_file(folder_ / "out-2"), "onetwo");
  job.remove();
  EXPECT_THROW(open().refuse_taken(names, true), Error);
}

TEST_F(JobFolderTest, AnOutputThatExistsUnderAnotherNameIsRefusedUnlessItIsTheJobsOwn) {
  const fs::path first = folder_ / "out-1";
  write_text_file(first, "one");
  EXPECT_THROW(JobFolder(output_, job_, false, false, first), Error);
  EXPECT_FALSE(fs::exists(part_));
  JobFolder(output_, job_, true, false, first).append({{"complete", {"out-1"}}});
  JobFolder job(output_, job_, false, false, first);
  EXPECT_TRUE(job.complete());
}

TEST_F(JobFolderTest, AnotherJobIsRefusedUntilRestart) {
  { open().append({{"unit", 1}}); }
  const std::string why = refusal(false, {{"job", "test"}, {"--bits", 5}});
  EXPECT_NE(why.find("another --bits (4, now 5)"), std::string::npos) << why;
  EXPECT_NE(why.find("--restart"), std::string::npos) << why;
  EXPECT_NE(refusal(false, {{"job", "test"}}).find("another --bits (4, now none)"), std::string::npos);
  EXPECT_TRUE(open(false, true).finished().empty());
}

TEST_F(JobFolderTest, AnExistingOutputIsReplacedOnlyWhenAskedTo) {
  write_text_file(output_, "old");
  EXPECT_NE(refusal(false, job_).find("exists already"), std::string::npos);
  EXPECT_FALSE(fs::exists(part_));
  JobFolder job = open(true);
  fs::create_directory(job.result());
  job.publish({"out"});
  EXPECT_TRUE(fs::is_directory(output_));
  EXPECT_FALSE(fs::exists(folder_ / ".out.old"));
}

TEST_F(JobFolderTest, TwoProcessesDoNotShareIt) {
  JobFolder job = open();
  EXPECT_NE(refusal(false, job_).find("another process"), std::string::npos);
  job.append({{"unit", 1}});
  EXPECT_TRUE(fs::exists(part_));
}

}  // namespace job_folder_test
}  // namespace strata
