// The program as a user runs it, on a tiny golden model in a folder of the test's own: exit codes, and what goes to
// stdout and what to stderr.
#pragma once
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "core/file.h"
#include "core/json.h"
#include "support/temporary_folder.h"

namespace strata::fixtures {

namespace fs = std::filesystem;

struct Outcome {
  int exit_code;
  std::string out, err;
};

/// Runs `strata ARGUMENTS` in the folder, where it leaves the files stdout and stderr.
inline Outcome run_in(const fs::path& folder, const std::string& arguments) {
  const fs::path out = folder / "stdout", err = folder / "stderr";
  const std::string command = fmt::format("cd '{}' && '{}' {} >'{}' 2>'{}'", folder.string(), STRATA_BINARY, arguments,
                                          out.string(), err.string());
  const int status = std::system(command.c_str());
  EXPECT_TRUE(WIFEXITED(status)) << "ended by signal " << WTERMSIG(status) << ": " << arguments;
  return {WEXITSTATUS(status), read_text_file(out), read_text_file(err)};
}

class Cli : public ::testing::Test {
 protected:
  Cli() { fs::copy(fs::path(STRATA_TEST_DATA) / "golden/models/llama_tied", model_); }

  Outcome run(const std::string& arguments) const { return run_in(folder_, arguments); }
  /// Expects a sentence with `part` on stderr, and no file left behind but the model's.
  void expect_refused(const std::string& arguments, const std::string& part, int exit_code = 1) const {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, exit_code) << arguments << "\n" << outcome.err;
    EXPECT_NE(outcome.err.find(part), std::string::npos) << arguments << "\n" << outcome.err;
    if (exit_code == 2) {
      EXPECT_EQ(outcome.out, "") << arguments;
    }
    EXPECT_FALSE(fs::exists(folder_ / "out"));
    EXPECT_FALSE(fs::exists(folder_ / ".out.part"));
  }
  void edit_config(const std::function<void(json&)>& edit) const {
    json config = read_json_file(model_ / "config.json");
    edit(config);
    write_json_file(model_ / "config.json", config);
  }
  void edit_weights(const std::function<void(std::string&)>& edit) const {
    std::string bytes = read_text_file(model_ / "model.safetensors");
    edit(bytes);
    std::ofstream(model_ / "model.safetensors", std::ios::binary) << bytes;
  }
  static constexpr const char* kQuantize = "quantize model -o out --preset uniform:int4_g32 --scale minmax --no-verify";

  TemporaryFolder temporary_;
  const fs::path folder_ = temporary_.path(), model_ = folder_ / "model";
};

}  // namespace strata::fixtures
