// strata score as a user runs it: a run that is killed at random moments ends with the file of an undisturbed one, and
// texts that count separately are combined.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "core/random.h"
#include "support/tiny_model.h"

namespace strata {
namespace {

namespace fs = std::filesystem;

class Score : public ::testing::Test {
 protected:
  Score() : tiny_("llama_tied") {
    for (const auto& [name, text] : ::strata::testing::word_tokenizer_files(true))
      write_text_file(tiny_.path() / name, text);
    write_text_file(folder_.path() / "a.txt", ::strata::testing::words(4200));
    std::string other;
    for (int i = 0; i < 4200; ++i) other += fmt::format("w{} ", i * i % 67);
    write_text_file(folder_.path() / "b.txt", other);
  }

  /// The exit status of `strata score MODEL ARGUMENTS` in the folder; killed when its journal has grown by so many
  /// bytes.
  int run(std::vector<std::string> arguments, const fs::path& journal = {}, std::uint64_t kill_after = 0) const {
    arguments.insert(arguments.begin(), {STRATA_BINARY, "score", tiny_.path().string()});
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
      const int out = ::open((folder_.path() / "out.txt").c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0666);
      if (::chdir(folder_.path().c_str()) != 0 || ::dup2(out, 1) < 0 || ::dup2(out, 2) < 0) ::_exit(127);
      ::execv(STRATA_BINARY, argv.data());
      ::_exit(127);
    }
    int status = 0;
    if (!journal.empty()) {
      const std::uint64_t limit = size_of(journal) + kill_after;
      while (size_of(journal) < limit) {
        if (::waitpid(child, &status, WNOHANG) == child) return status;
        ::usleep(100);
      }
      ::kill(child, SIGKILL);
    }
    ::waitpid(child, &status, 0);
    return status;
  }
  static std::uint64_t size_of(const fs::path& file) {
    std::error_code code;
    const std::uint64_t size = fs::file_size(file, code);
    return code ? 0 : size;
  }
  std::string output() const { return read_text_file(folder_.path() / "out.txt"); }

  ::strata::testing::TinyModel tiny_;
  ::strata::testing::TemporaryFolder folder_;
};

TEST_F(Score, KilledAtRandomMomentsGivesTheFileOfAnUndisturbedRun) {
  const std::vector<std::string> what = {"--signals",   "lim,alpha,kl",
                                         "--kl-codecs", "int2_channel,int3_channel,int4_channel,int8_channel,nvfp4",
                                         "--codecs",    "int4_channel,nvfp4",
                                         "--kl-tokens", "4096",
                                         "--calib",     "a.txt",
                                         "--samples",   "16",
                                         "--threads",   "1"};
  const auto into = [&](const char* name) {
    std::vector<std::string> arguments = what;
    arguments.insert(arguments.end(), {"-o", name});
    return arguments;
  };
  ASSERT_EQ(run(into("whole.json")), 0) << output();
  const fs::path journal = folder_.path() / "killed.json.journal";
  Random random(20261125);
  std::size_t killed = 0;
  for (int i = 0; i < 10 && !fs::exists(folder_.path() / "killed.json"); ++i)
    killed += WIFSIGNALED(run(into("killed.json"), journal, random.below(800))) ? 1 : 0;
  EXPECT_GT(killed, 0u);
  ASSERT_EQ(run(into("killed.json")), 0) << output();
  EXPECT_TRUE(read_text_file(folder_.path() / "killed.json") == read_text_file(folder_.path() / "whole.json"));
  EXPECT_FALSE(fs::exists(journal));
}

TEST_F(Score, TextsCountSeparatelyAndAreCombined) {
  ASSERT_EQ(run({"-o", "s.json", "--signals", "lim,act_mse,alpha", "--codecs", "int4_channel,nvfp4", "--calib", "a.txt",
                 "--calib", "b.txt", "--samples", "4", "--seq-len", "32", "--combine", "max"}),
            0)
      << output();
  EXPECT_NE(output().find("between the texts"), std::string::npos) << output();
  const json scores = read_json_file(folder_.path() / "s.json");
  EXPECT_EQ(scores["combine"], "max");
  ASSERT_EQ(scores["sets"].size(), 2u);
  EXPECT_EQ(scores["sets"][1]["calibration"]["files"], json::array({"b.txt"}));
  // One text of two files is one set.
  ASSERT_EQ(
      run({"-o", "one.json", "--signals", "lim", "--calib", "a.txt", "b.txt", "--samples", "4", "--seq-len", "32"}), 0);
  EXPECT_FALSE(read_json_file(folder_.path() / "one.json").contains("sets"));
}

TEST_F(Score, SaysWhatIsWrong) {
  const auto refused = [&](std::vector<std::string> arguments, const std::string& part, int code) {
    arguments.insert(arguments.end(), {"-o", "s.json", "--calib", "a.txt", "--samples", "2", "--seq-len", "16"});
    const int status = run(arguments);
    EXPECT_EQ(WEXITSTATUS(status), code) << output();
    EXPECT_NE(output().find(part), std::string::npos) << output();
    EXPECT_FALSE(fs::exists(folder_.path() / "s.json"));
  };
  refused({"--signals", "lim,lin"}, "unknown signal 'lin'; the known are lim, ", 1);
  refused({"--combine", "sum"}, "--combine", 2);
  refused({"--calib", "none.txt"}, "none.txt", 1);
  refused({"--signals", "kl", "--kl-codecs", "int9"}, "int9", 1);
  write_text_file(folder_.path() / "rules.json",
                  R"({"kind": "strata prior", "version": 1, "rules": [{"match": "("}]})");
  refused({"--signals", "prior", "--prior", "rules.json"}, "'(': not a regular expression", 1);
  // The journal of another job, which a changed option makes it.
  write_text_file(folder_.path() / "s.json.journal",
                  "{\"format\": \"strata journal\", \"version\": 1, \"job\": \"x\"}\n");
  refused({"--signals", "kl", "--kl-codecs", "int4_channel", "--codecs", "int4_channel"}, "s.json.journal", 1);
}

}  // namespace
}  // namespace strata
