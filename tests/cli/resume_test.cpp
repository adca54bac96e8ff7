// Kills the program at any moment and fills its disk at any byte: the same command resumes, and writes the bytes of a
// run that was not disturbed. STRATA_KILLS=30 kills more often than CI does.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>

#include "core/file.h"
#include "core/json.h"
#include "core/random.h"

namespace strata {
namespace resume_test {

namespace fs = std::filesystem;

/// What ends a run before its time.
struct Disturbance {
  std::optional<std::size_t> kill_after_us{};  ///< by a timer that survives exec: nothing of the program runs any more
  std::optional<std::size_t> file_limit{};     ///< bytes that a file may have, as on a disk that is full
};

class Resume : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto* info = ::testing::UnitTest::GetInstance()->current_test_info();
    folder_ = fs::temp_directory_path() / fmt::format("strata-resume-{}-{}", getpid(), info->name());
    fs::create_directories(folder_);
    fs::copy(fs::path(STRATA_TEST_DATA) / "golden/models/llama_untied_sharded", folder_ / "model");
    write_tokenizer();
    write_text_file(folder_ / "calib.txt", text(4000));
    setenv("STRATA_NOTE_SECONDS", "0", 1);  // notes at the end of every block
  }
  void TearDown() override {
    unsetenv("STRATA_NOTE_SECONDS");
    fs::remove_all(folder_);
  }

  /// Letters for the model's 80 tokens; calibration needs no better tokenizer.
  void write_tokenizer() const {
    json vocab;
    for (char c = 'a'; c <= 'z'; ++c) vocab[std::string(1, c)] = c - 'a';
    const json special = {{"id", 26},        {"content", "<s>"},    {"single_word", false}, {"lstrip", false},
                          {"rstrip", false}, {"normalized", false}, {"special", true}};
    write_json_file(folder_ / "model/tokenizer.json",
                    {{"version", "1.0"},
                     {"added_tokens", {special}},
                     {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", json::array()}}}});
    write_json_file(folder_ / "model/tokenizer_config.json", {{"bos_token", "<s>"}, {"eos_token", "<s>"}});
  }
  static std::string text(std::size_t letters) {
    std::string result;
    Random random(5);
    for (std::size_t i = 0; i < letters; ++i) result += static_cast<char>('a' + random.below(26));
    return result;
  }

  struct Outcome {
    bool killed;
    int exit_code;
    std::string err;
  };
  Outcome run(const std::string& command, const Disturbance& disturbance = {}) const {
    std::istringstream words(command);
    std::vector<std::string> arguments = {STRATA_BINARY};
    for (std::string word; words >> word;) arguments.push_back(word);
    const pid_t child = fork();
    if (child == 0) {
      if (chdir(folder_.c_str()) != 0) _exit(100);
      if (freopen("stdout", "w", stdout) == nullptr || freopen("stderr", "w", stderr) == nullptr) _exit(101);
      if (disturbance.file_limit) {
        const rlimit limit = {*disturbance.file_limit, *disturbance.file_limit};
        setrlimit(RLIMIT_FSIZE, &limit);
      }
      if (disturbance.kill_after_us) {
        const auto us = static_cast<suseconds_t>(*disturbance.kill_after_us);
        const itimerval timer = {{0, 0}, {us / 1000000, us % 1000000}};
        setitimer(ITIMER_REAL, &timer, nullptr);
      }
      std::vector<char*> raw;
      for (std::string& argument : arguments) raw.push_back(argument.data());
      raw.push_back(nullptr);
      execv(raw[0], raw.data());
      _exit(102);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return {WIFSIGNALED(status), WIFEXITED(status) ? WEXITSTATUS(status) : -1, read_text_file(folder_ / "stderr")};
  }

  /// The files of an output that is a folder, one file, or several of the same stem.
  std::vector<fs::path> files_of(const std::string& output) const {
    std::vector<fs::path> files;
    const bool whole = fs::is_directory(folder_ / output);
    for (const auto& entry : fs::directory_iterator(whole ? folder_ / output : folder_))
      if (whole || entry.path().filename().string().starts_with(fs::path(output).stem().string()))
        files.push_back(entry.path());
    return files;
  }
  /// Their bytes, by name without the stem.
  std::map<std::string, std::string> bytes_of(const std::string& output) const {
    std::map<std::string, std::string> bytes;
    for (const fs::path& file : files_of(output)) {
      const std::string name = file.filename();
      const std::string stem = fs::path(output).stem();
      bytes[name.starts_with(stem) ? name.substr(stem.size()) : name] = read_text_file(file);
    }
    return bytes;
  }
  void expect_nothing_left() const {
    for (const auto& entry : fs::directory_iterator(folder_))
      EXPECT_FALSE(entry.path().filename().string().starts_with(".")) << entry.path();
  }

  /// The run before may have been killed when nothing was left to do.
  static bool is_done(const Outcome& outcome) {
    return outcome.exit_code == 0 || outcome.err.find("exists already") != std::string::npos;
  }

  void survive_kills(const std::string& options, const std::string& output) const {
    const char* const wanted = std::getenv("STRATA_KILLS");
    const std::size_t kills = wanted == nullptr ? 5 : static_cast<std::size_t>(std::atoi(wanted));
    const std::string whole = "whole" + fs::path(output).extension().string();
    const auto begin = std::chrono::steady_clock::now();
    ASSERT_EQ(run(fmt::format("quantize model -o {} {}", whole, options)).exit_code, 0)
        << read_text_file(folder_ / "stderr");
    const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
    const std::string command = fmt::format("quantize model -o {} {}", output, options);
    Random random(11);
    std::size_t killed = 0;
    for (std::size_t kill = 0; kill < kills; ++kill) {
      const auto us = static_cast<std::size_t>(took.count() * random.uniform());
      const Outcome outcome = run(command, {.kill_after_us = std::max<std::size_t>(us, 1)});
      killed += outcome.killed ? 1 : 0;
      if (outcome.killed) continue;
      ASSERT_TRUE(is_done(outcome)) << outcome.err;
      EXPECT_EQ(bytes_of(output), bytes_of(whole));
      for (const fs::path& file : files_of(output)) fs::remove(file);
      fs::remove_all(folder_ / output);
    }
    EXPECT_GT(killed, 0u);
    const Outcome last = run(command);
    ASSERT_TRUE(is_done(last)) << last.err;
    EXPECT_EQ(bytes_of(output), bytes_of(whole));
    expect_nothing_left();
  }

  void survive_full_disks(const std::string& options, const std::string& output) const {
    const std::string whole = "whole" + fs::path(output).extension().string();
    ASSERT_EQ(run(fmt::format("quantize model -o {} {}", whole, options)).exit_code, 0)
        << read_text_file(folder_ / "stderr");
    const std::string command = fmt::format("quantize model -o {} {}", output, options);
    std::size_t refused = 0;
    for (const std::size_t limit : {200, 3000, 9000, 20000, 40000}) {
      const Outcome outcome = run(command, {.file_limit = limit});
      ASSERT_FALSE(outcome.killed);
      if (outcome.exit_code == 0) break;
      EXPECT_EQ(outcome.exit_code, 1);
      EXPECT_NE(outcome.err.find("File too large"), std::string::npos) << outcome.err;
      EXPECT_FALSE(fs::exists(folder_ / output));
      ++refused;
    }
    EXPECT_GT(refused, 1u);
    if (!fs::exists(folder_ / output)) {
      ASSERT_EQ(run(command).exit_code, 0);
    }
    EXPECT_EQ(bytes_of(output), bytes_of(whole));
    expect_nothing_left();
  }

  fs::path folder_;
};

constexpr const char* kNearest =
    "--preset uniform:int4_g32 --shard-size 12KB --samples 4 --seq-len 32 --no-verify --no-report";
constexpr const char* kGptq =
    "--preset uniform:int4_g32 --method gptq --calib calib.txt --samples 6 --seq-len 32 --verify-samples 1 --no-report";
constexpr const char* kBudget =
    "--bits 5 --method gptq --for transformers --shard-size 16KB --samples 4 --seq-len 16 "
    "--no-verify --no-report";
constexpr const char* kMaxKl =
    "--max-kl 0.002 --for transformers --shard-size 16KB --samples 6 --seq-len 32 --no-verify --no-report";
constexpr const char* kSplit =
    "--preset uniform:q4_0 --shard-size 8KB --samples 4 --seq-len 32 --no-verify --no-report";
constexpr const char* kSmooth =
    "--preset uniform:nvfp4_a4 --codecs nvfp4_a4 --for b200 --samples 4 --seq-len 32 --no-verify --no-report";
constexpr const char* kGguf = "--preset uniform:q8_0 --method gptq --samples 4 --seq-len 32 --no-verify --no-report";

TEST_F(Resume, KillsWhileRoundingToNearestIntoShards) { survive_kills(kNearest, "out"); }
TEST_F(Resume, KillsWhileRoundingWithFeedback) { survive_kills(kGptq, "out"); }
TEST_F(Resume, KillsWhileScalingChannels) { survive_kills(kSmooth, "out"); }
TEST_F(Resume, KillsWhileScoringAndPlanning) { survive_kills(kBudget, "out"); }
TEST_F(Resume, KillsWhileScoringAndMeasuringPlans) { survive_kills(kMaxKl, "out"); }
TEST_F(Resume, KillsWhileWritingGguf) { survive_kills(kGguf, "out.gguf"); }
TEST_F(Resume, KillsWhileWritingSplitGguf) { survive_kills(kSplit, "out.gguf"); }
TEST_F(Resume, AFinishedSplitGgufIsRefusedBeforeAnyWork) {
  const std::string command = fmt::format("quantize model -o out.gguf {}", kSplit);
  ASSERT_EQ(run(command).exit_code, 0);
  fs::create_directory(folder_ / ".out.gguf.part");  // killed when the journal was gone and its folder was not
  const Outcome again = run(command);
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_NE(again.err.find("out-00001-of-"), std::string::npos) << again.err;
  EXPECT_NE(again.err.find("exists already"), std::string::npos) << again.err;
  expect_nothing_left();
}
TEST_F(Resume, FullDisksOfAFolder) { survive_full_disks(kGptq, "out"); }
TEST_F(Resume, FullDisksOfGguf) { survive_full_disks(kGguf, "out.gguf"); }

TEST_F(Resume, AChangedJobIsRefusedSayingWhatChanged) {
  const std::string command = fmt::format("quantize model -o out {} ", kGptq);
  ASSERT_EQ(run(command, {.file_limit = 9000}).exit_code, 1);
  ASSERT_TRUE(fs::exists(folder_ / ".out.part"));
  const auto refused = [&](const std::string& changed, const std::string& part) {
    const Outcome outcome = run(changed);
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_NE(outcome.err.find(part), std::string::npos) << outcome.err;
    EXPECT_NE(outcome.err.find("--restart"), std::string::npos) << outcome.err;
  };
  refused(command + "--refine 3", "another --refine (1, now 3)");
  refused(command + "--for transformers", "another --for");
  refused(command + "--seed 4", "another --seed (0, now 4)");
  write_text_file(folder_ / "calib.txt", text(3999) + "z");
  refused(command, "another --calib (a file of other content)");
  write_text_file(folder_ / "calib.txt", text(4000));
  EXPECT_NE(run(command).err.find("resuming"), std::string::npos);
}

TEST_F(Resume, RestartDropsTheWork) {
  const std::string command = fmt::format("quantize model -o out {} ", kGptq);
  ASSERT_EQ(run(command, {.file_limit = 9000}).exit_code, 1);
  const Outcome outcome = run(command + "--refine 0 --restart");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  expect_nothing_left();
}

}  // namespace resume_test
}  // namespace strata
