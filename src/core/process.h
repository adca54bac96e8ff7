// Other programs, run as a person would run them: they share the terminal, and Ctrl-C reaches them too.
#pragma once
#include <optional>
#include <string>
#include <vector>

namespace strata {

/// Runs a program (words[0], found along the PATH unless it has a slash) and waits for its end: its exit code, 128 plus
/// the number of the signal that ended it, or nothing when there is no such program. Both outputs of the program go to
/// this one's standard error. Throws Error when no process can be made, and Interrupted when Ctrl-C came meanwhile.
std::optional<int> run_process(const std::vector<std::string>& words);

}  // namespace strata
