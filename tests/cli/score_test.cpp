// strata score as a user runs it: a run that is killed or interrupted at any moment ends with the file of an
// undisturbed one and makes no pass again, and texts that count separately are combined.
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <optional>

#include "core/random.h"
#include "model/model.h"
#include "support/tiny_model.h"

namespace strata {
namespace score_test {

namespace fs = std::filesystem;

class Score : public ::testing::Test {
 protected:
  Score() : tiny_("llama_tied") {
    for (const auto& [name, text] : ::strata::fixtures::word_tokenizer_files(true))
      write_text_file(tiny_.path() / name, text);
    write_text_file(folder_.path() / "a.txt", ::strata::fixtures::words(4200));
    std::string other;
    for (int i = 0; i < 4200; ++i) other += fmt::format("w{} ", i * i % 67);
    write_text_file(folder_.path() / "b.txt", other);
    setenv("STRATA_NOTE_SECONDS", "0", 1);  // the pass is kept after every block
  }
  ~Score() override { unsetenv("STRATA_NOTE_SECONDS"); }

  /// The exit status of `strata score MODEL ARGUMENTS` in the folder, which gets the signal as soon as `stop` is true.
  int run(std::vector<std::string> arguments, const std::function<bool()>& stop = {}, int signal = SIGKILL) const {
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
    if (stop) {
      while (!stop()) {
        if (::waitpid(child, &status, WNOHANG) == child) return status;
        ::usleep(100);
      }
      ::kill(child, signal);
    }
    ::waitpid(child, &status, 0);
    return status;
  }
  static std::uint64_t size_of(const fs::path& file) {
    std::error_code code;
    const std::uint64_t size = fs::file_size(file, code);
    return code ? 0 : size;
  }
  /// The blocks of a kept pass: the number after the file's first line. Nothing when there is no such file.
  static std::optional<std::uint64_t> blocks_in(const fs::path& pass) {
    if (size_of(pass) == 0) return std::nullopt;
    const std::string bytes = read_text_file(pass);
    std::uint64_t blocks = 0;
    std::memcpy(&blocks, bytes.data() + bytes.find('\n') + 1, sizeof(blocks));
    return blocks;
  }
  std::vector<std::string> measuring_into(const char* name) const {
    return {"--signals",   "lim,act_mse,alpha,kl",
            "--kl-codecs", "int2_channel,int3_channel,int4_channel,int8_channel,nvfp4",
            "--codecs",    "int4_channel,nvfp4",
            "--kl-tokens", "4096",
            "--calib",     "a.txt",
            "--samples",   "16",
            "--threads",   "1",
            "-o",          name};
  }
  std::string output() const { return read_text_file(folder_.path() / "out.txt"); }

  ::strata::fixtures::TinyModel tiny_;
  ::strata::fixtures::TemporaryFolder folder_;
};

TEST_F(Score, KilledAtRandomMomentsGivesTheFileOfAnUndisturbedRun) {
  ASSERT_EQ(run(measuring_into("whole.json")), 0) << output();
  const fs::path journal = folder_.path() / "killed.json.journal";
  Random random(20261125);
  std::size_t killed = 0;
  for (int i = 0; i < 10 && !fs::exists(folder_.path() / "killed.json"); ++i) {
    const std::uint64_t limit = size_of(journal) + random.below(800);
    const auto stop = [&] { return size_of(journal) >= limit; };
    killed += WIFSIGNALED(run(measuring_into("killed.json"), stop)) ? 1 : 0;
  }
  EXPECT_GT(killed, 0u);
  ASSERT_EQ(run(measuring_into("killed.json")), 0) << output();
  EXPECT_TRUE(read_text_file(folder_.path() / "killed.json") == read_text_file(folder_.path() / "whole.json"));
  EXPECT_FALSE(fs::exists(journal));
}

TEST_F(Score, KilledInThePassOrRightAfterItMakesNoBlockAgain) {
  ASSERT_EQ(run(measuring_into("whole.json")), 0) << output();
  const fs::path pass = folder_.path() / "killed.json.journal.pass";
  const std::size_t blocks = model::Model::open(tiny_.path()).architecture().blocks;
  std::optional<std::uint64_t> kept;
  for (std::size_t until = 0; until <= blocks; ++until) {
    const int status = run(measuring_into("killed.json"), [&] { return blocks_in(pass) >= until; });
    ASSERT_TRUE(WIFSIGNALED(status)) << output();
    const auto now = blocks_in(pass);
    ASSERT_TRUE(now >= kept && now >= until);
    kept = now;
  }
  EXPECT_EQ(kept, blocks);
  ASSERT_EQ(run(measuring_into("killed.json")), 0) << output();
  const std::string remark = fmt::format("resuming: {} of {} blocks were scored before", blocks, blocks);
  EXPECT_NE(output().find(remark), std::string::npos) << output();
  EXPECT_TRUE(read_text_file(folder_.path() / "killed.json") == read_text_file(folder_.path() / "whole.json"));
  for (const auto& entry : fs::directory_iterator(folder_.path()))
    EXPECT_EQ(entry.path().filename().string().find("killed.json."), std::string::npos) << entry.path();
}

TEST_F(Score, InterruptedSaysThatTheSameCommandResumes) {
  const fs::path pass = folder_.path() / "s.json.journal.pass";
  const int status = run(
      measuring_into("s.json"), [&] { return fs::exists(pass); }, SIGINT);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130) << output();
  EXPECT_NE(output().find("what is done is kept in s.json.journal"), std::string::npos) << output();
  EXPECT_NE(output().find("the same command resumes there\nstrata: interrupted\n"), std::string::npos) << output();
  ASSERT_EQ(run(measuring_into("s.json")), 0) << output();
  EXPECT_NE(output().find("resuming: "), std::string::npos) << output();
  EXPECT_FALSE(fs::exists(pass));
}

TEST_F(Score, ByDefaultGradientsAreConfirmedAndThatResumesToo) {
  const auto by_default = [](const char* name) {
    return std::vector<std::string>{"--codecs",  "int3_channel,int4_channel,int8_channel",
                                    "--calib",   "a.txt",
                                    "--calib",   "b.txt",
                                    "--samples", "4",
                                    "-o",        name};
  };
  ASSERT_EQ(run(by_default("whole.json")), 0) << output();
  const json scores = read_json_file(folder_.path() / "whole.json");
  EXPECT_FALSE(scores["groups"].contains("alpha"));
  ASSERT_EQ(scores["sets"].size(), 2u);
  for (const json& set : scores["sets"]) {
    EXPECT_TRUE(set["linears"].contains("fisher"));
    EXPECT_TRUE(set["choices"].contains("kl"));
  }
  const fs::path journal = folder_.path() / "killed.json.confirm.1";
  EXPECT_TRUE(WIFSIGNALED(run(by_default("killed.json"), [&] { return size_of(journal) > 0; })));
  ASSERT_EQ(run(by_default("killed.json")), 0) << output();
  EXPECT_TRUE(read_text_file(folder_.path() / "killed.json") == read_text_file(folder_.path() / "whole.json"));
  for (const auto& entry : fs::directory_iterator(folder_.path()))
    EXPECT_EQ(entry.path().filename().string().find("killed.json."), std::string::npos) << entry.path();
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

}  // namespace score_test
}  // namespace strata
