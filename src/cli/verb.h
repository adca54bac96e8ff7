// What every verb of the command line shares: the table they are listed in, common options, and output.
// A new verb is one file that defines a Verb, and a line in verbs.cpp.
#pragma once
#include <fmt/format.h>

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "cli/command_line.h"
#include "core/json.h"
#include "core/ranks.h"

namespace strata::cli {

/// Options that all verbs have.
struct Common {
  bool json_output = false;
  std::size_t threads = 0;
  std::string command;  ///< the whole command line, for reports
};
void visit(Common& common, OptionVisitor& visitor);

/// Of several ranks (core/ranks.h).
enum class RunBy {
  first_rank,  ///< the others wait for its end
  all_ranks,   ///< they share the work
};

struct Verb {
  const char* name;
  const char* summary;   ///< one line
  const char* examples;  ///< shown below the options
  /// Declares the options and returns what to do once they are set.
  std::function<void()> (*setup)(CommandLine& line, const Common& common);
  RunBy run_by = RunBy::first_rank;
};

std::span<const Verb> verbs();

/// Reads a command line, without the program's name, and returns what the verb does; nothing when a help page or the
/// version was asked for and printed. Throws UsageError.
std::function<void()> parse_command_line(std::vector<std::string> words, Common& common);

/// Text to stdout for people; nothing under --json.
template <class... Args>
void print(const Common& common, fmt::format_string<Args...> format, Args&&... args) {
  if (!common.json_output) fmt::print(format, std::forward<Args>(args)...);
}
/// The result to stdout under --json.
void print_json(const Common& common, const json& value);
/// A remark to stderr, under --json too; of several ranks the first one's alone.
template <class... Args>
void remark(fmt::format_string<Args...> format, Args&&... args) {
  if (all_ranks().is_first()) fmt::print(stderr, format, std::forward<Args>(args)...);
}
/// What opens an error of a rank: "rank 3 on HOST: "; nothing for the first.
std::string by_rank();

/// Rows of cells, the first row a heading, columns aligned (numbers to the right), two spaces apart.
std::string table(const std::vector<std::vector<std::string>>& rows);

}  // namespace strata::cli
