// What every verb of the command line shares: the table they are listed in, common options, and output.
// A new verb is one file that defines a Verb, and a line in verbs.cpp.
#pragma once
#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "core/json.h"

namespace strata::cli {

/// Options that all verbs have.
struct Common {
  bool json_output = false;
  std::size_t threads = 0;
  std::uint64_t seed = 0;
  std::string command;  ///< the whole command line, for reports
};

struct Verb {
  const char* name;
  const char* summary;   ///< one line
  const char* examples;  ///< shown below the options
  /// Declares the options on `app` and returns what to do once they are parsed.
  std::function<void()> (*setup)(CLI::App& app, const Common& common);
};

std::span<const Verb> verbs();

/// Text to stdout for people; nothing under --json.
template <class... Args>
void print(const Common& common, fmt::format_string<Args...> format, Args&&... args) {
  if (!common.json_output) fmt::print(format, std::forward<Args>(args)...);
}
/// The result to stdout under --json.
void print_json(const Common& common, const json& value);
/// A remark to stderr, under --json too.
template <class... Args>
void remark(fmt::format_string<Args...> format, Args&&... args) {
  fmt::print(stderr, format, std::forward<Args>(args)...);
}

/// Rows of cells, the first row a heading, columns aligned (numbers to the right), two spaces apart.
std::string table(const std::vector<std::vector<std::string>>& rows);

}  // namespace strata::cli
