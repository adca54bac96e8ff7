// Outputs appear complete or not at all, and every failure of the system is an Error that names the path.
// A full disk is imitated by the limit on file sizes.
#include "core/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <cstdlib>

#include "core/error.h"
#include "core/hash.h"
#include "support/error_of.h"
#include "support/temporary_folder.h"

namespace strata {
namespace file_test {

namespace fs = std::filesystem;

class Files : public testing::Test {
 protected:
  std::size_t entries() const {
    return static_cast<std::size_t>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }

  const TemporaryFolder temporary_;
  const fs::path& folder_ = temporary_.path();
};

using OutputFiles = Files;
using OutputDirectories = Files;
using MappedFiles = Files;

TEST_F(OutputFiles, NothingIsLeftWithoutCommit) {
  {
    OutputFile file(folder_ / "out");
    file.write("half");
    EXPECT_FALSE(fs::exists(folder_ / "out"));
  }
  EXPECT_EQ(entries(), 0u);
}

TEST_F(OutputFiles, CommitShowsTheWholeFile) {
  OutputFile file(folder_ / "out");
  file.write("one ");
  file.write("two");
  EXPECT_EQ(file.size(), 7u);
  file.commit();
  EXPECT_EQ(read_text_file(folder_ / "out"), "one two");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(OutputFiles, TheOldFileStaysUntilCommit) {
  write_text_file(folder_ / "out", "old");
  OutputFile file(folder_ / "out");
  file.write("new");
  EXPECT_EQ(read_text_file(folder_ / "out"), "old");
  file.commit();
  EXPECT_EQ(read_text_file(folder_ / "out"), "new");
}

TEST_F(OutputFiles, AnUnwritablePathIsNamed) {
  const std::string message = error_of([&] { OutputFile file(folder_ / "absent" / "out"); });
  EXPECT_NE(message.find("absent/out: cannot be written: No such file"), std::string::npos) << message;
}

TEST_F(OutputFiles, AFolderInTheWayIsNamedAndNothingIsLeft) {
  fs::create_directory(folder_ / "out");
  const std::string message = error_of([&] {
    OutputFile file(folder_ / "out");
    file.write("x");
    file.commit();
  });
  EXPECT_NE(message.find("out: cannot be completed: "), std::string::npos) << message;
  EXPECT_EQ(entries(), 1u);
}

TEST_F(OutputFiles, AFullDiskIsAnErrorAndNothingIsLeft) {
  rlimit before{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  rlimit small = before;
  small.rlim_cur = 4096;
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string message = error_of([&] {
    OutputFile file(folder_ / "out");
    file.write(std::string(10000, 'x'));
    file.commit();
  });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  EXPECT_NE(message.find("out: writing failed after 4.0 KiB: File too large"), std::string::npos) << message;
  EXPECT_EQ(entries(), 0u);
}

TEST_F(OutputDirectories, NothingIsLeftWithoutCommit) {
  {
    OutputDirectory out(folder_ / "out", false);
    write_text_file(out.path() / "file", "x");
    EXPECT_FALSE(fs::exists(folder_ / "out"));
  }
  EXPECT_EQ(entries(), 0u);
}

TEST_F(OutputDirectories, CommitShowsTheWholeFolder) {
  OutputDirectory out(folder_.string() + "/out/", false);
  write_text_file(out.path() / "file", "x");
  out.commit();
  EXPECT_EQ(read_text_file(folder_ / "out" / "file"), "x");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(OutputDirectories, AnExistingTargetIsRefused) {
  write_text_file(folder_ / "out", "precious");
  const std::string message = error_of([&] { OutputDirectory out(folder_ / "out", false); });
  EXPECT_NE(message.find("exists already; use --overwrite"), std::string::npos) << message;
  EXPECT_EQ(read_text_file(folder_ / "out"), "precious");
}

TEST_F(OutputDirectories, OverwriteReplacesAtCommitOnly) {
  fs::create_directory(folder_ / "out");
  write_text_file(folder_ / "out" / "old", "x");
  {
    OutputDirectory out(folder_ / "out", true);
    EXPECT_TRUE(fs::exists(folder_ / "out" / "old"));
  }
  EXPECT_TRUE(fs::exists(folder_ / "out" / "old"));
  OutputDirectory out(folder_ / "out", true);
  write_text_file(out.path() / "new", "y");
  out.commit();
  EXPECT_FALSE(fs::exists(folder_ / "out" / "old"));
  EXPECT_TRUE(fs::exists(folder_ / "out" / "new"));
  EXPECT_EQ(entries(), 1u);
}

TEST_F(OutputDirectories, LeftoversOfAKilledRunDoNotReachTheResult) {
  fs::create_directory(folder_ / ".out.part");
  write_text_file(folder_ / ".out.part" / "stale", "x");
  OutputDirectory out(folder_ / "out", false);
  out.commit();
  EXPECT_TRUE(fs::is_empty(folder_ / "out"));
}

TEST_F(OutputDirectories, ImpossibleTargetsAreNamed) {
  EXPECT_NE(error_of([&] { OutputDirectory out(folder_ / "a" / "b", false); }).find("does not exist"),
            std::string::npos);
  EXPECT_NE(error_of([&] { OutputDirectory out("", false); }).find("name a new folder"), std::string::npos);
  for (const fs::path& path : {fs::path("/"), fs::path("."), fs::path(".."), fs::current_path(), fs::path("x/..")})
    EXPECT_NE(error_of([&] { OutputDirectory out(path, true); }).find("name a new folder"), std::string::npos) << path;
}

TEST_F(MappedFiles, BytesAreThoseOfTheFile) {
  write_text_file(folder_ / "in", "abc");
  MappedFile file(folder_ / "in");
  const auto* data = file.bytes().data();
  MappedFile moved = std::move(file);
  ASSERT_EQ(moved.bytes().size(), 3u);
  EXPECT_EQ(moved.bytes().data(), data);
  EXPECT_EQ(moved.bytes()[2], std::byte{'c'});
  moved.drop(moved.bytes());
  EXPECT_EQ(moved.bytes()[0], std::byte{'a'});
}

TEST_F(MappedFiles, AnEmptyFileHasNoBytes) {
  write_text_file(folder_ / "in", "");
  EXPECT_TRUE(MappedFile(folder_ / "in").bytes().empty());
  EXPECT_EQ(read_text_file(folder_ / "in"), "");
}

TEST_F(MappedFiles, WhatIsNoFileIsNamed) {
  EXPECT_NE(error_of([&] { MappedFile file(folder_ / "absent"); }).find("absent: cannot be opened: No such file"),
            std::string::npos);
  EXPECT_NE(error_of([&] { MappedFile file(folder_); }).find("is not a regular file"), std::string::npos);
  EXPECT_NE(error_of([&] { MappedFile file("/dev/null"); }).find("is not a regular file"), std::string::npos);
  ASSERT_EQ(mkfifo((folder_ / "pipe").c_str(), 0600), 0);
  EXPECT_NE(error_of([&] { MappedFile file(folder_ / "pipe"); }).find("is not a regular file"), std::string::npos)
      << "and nobody waits for a writer";
}

TEST_F(MappedFiles, TextLimitsAreKept) {
  write_text_file(folder_ / "in", "12345");
  EXPECT_EQ(read_text_file(folder_ / "in", 5), "12345");
  EXPECT_NE(error_of([&] { read_text_file(folder_ / "in", 4); }).find("5 bytes is more than the 4 bytes allowed"),
            std::string::npos);
}

TEST(Fingerprint, KnownAnswers) {  // draft-eastlake-fnv-17, appendix C
  const auto hash = [](std::string_view text) { return fnv1a(std::as_bytes(std::span(text))); };
  EXPECT_EQ(hash(""), 0xCBF29CE484222325u);
  EXPECT_EQ(hash("a"), 0xAF63DC4C8601EC8Cu);
  EXPECT_EQ(hash("foobar"), 0x85944171F73967E8u);
}

}  // namespace file_test
}  // namespace strata
