// The program: parses the command line, runs a verb, and turns every failure into one sentence and an exit code.
// Exit codes: 0 when all is done, 1 when the input or the environment is at fault, 2 when the command line is, 130 when
// the user interrupted.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <optional>

#include "cli/verb.h"
#include "core/cpu.h"
#include "core/interrupt.h"
#include "core/ranks.h"
#include "core/threads.h"
#include "pipeline/report/data.h"

namespace {

using namespace strata;

/// Says what went wrong on stderr, and under --json on stdout as well. Of several ranks the first to say so ends all;
/// what all of them have met, such as a wrong option, is said by the first rank alone.
int tell(const cli::Common& common, int exit_code, const char* kind, const std::string& message) {
  if (JoinedRanks::ended_by_first_rank()) std::_Exit(exit_code);
  fmt::print(stderr, "strata: {}{}\n", cli::by_rank(), message);
  if (exit_code == 2) fmt::print(stderr, "Run `strata --help` or `strata VERB --help`.\n");
  cli::print_json(common, {{"error", {{"kind", kind}, {"message", message}}}});
  std::fflush(nullptr);
  JoinedRanks::end_all(exit_code);
  return exit_code;
}

/// Results and remarks are the first rank's to tell; errors are told by the rank that has them.
void keep_quiet_beside_first_rank() {
  if (!all_ranks().is_first() && std::freopen("/dev/null", "w", stdout) == nullptr) fail("/dev/null: cannot be opened");
}

void run(int argc, char** argv, cli::Common& common) {
  keep_quiet_beside_first_rank();
  std::setvbuf(stdout, nullptr, _IOLBF, BUFSIZ);  // in a pipe, too, lines come in the order of those on stderr
  std::vector<std::string> words(argv, argv + argc);
  if (!words.empty()) words[0] = "strata";
  common.command = pipeline::shell_command(words);
  if (!words.empty()) words.erase(words.begin());
  common.json_output = std::ranges::find(words, "--json") != words.end();  // for errors of the command line itself
  if (!words.empty() && words[0] == "help") {                              // `strata help VERB` is `strata VERB --help`
    words.erase(words.begin());
    words.emplace_back("--help");
  }
  const std::function<void()> action = cli::parse_command_line(words, common);
  if (!action) return;
  install_interrupt_handler();
  set_thread_count(common.threads);
  selected_isa();
  action();
  if (std::fflush(stdout) != 0) fail("standard output: writing failed");
}

}  // namespace

int main(int argc, char** argv) {
  cli::Common common;
  std::optional<JoinedRanks> ranks;  // which an error ends before it is left
  try {
    ranks.emplace();
    run(argc, argv, common);
    return 0;
  } catch (const strata::UsageError& e) {
    return tell(common, 2, "usage", e.what());
  } catch (const strata::Interrupted& e) {
    return tell(common, 130, "interrupted", e.what());
  } catch (const strata::Error& e) {
    return tell(common, 1, "input", e.what());
  } catch (const std::bad_alloc&) {
    return tell(common, 1, "memory", "not enough memory");
  } catch (const std::exception& e) {
    return tell(common, 1, "unexpected", e.what());
  }
}
