// The three kinds of failure: strata::Error (the input or the machine is at fault), STRATA_CHECK (a bug of ours),
// and assert (inner loops only; input never reaches one).
#pragma once
#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace strata {

/// The user, the input or the environment is at fault. The message is one sentence: what, where, and what to do.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The command line is wrong (exit code 2 instead of 1).
class UsageError : public Error {
 public:
  using Error::Error;
};

/// Throws Error with a formatted message.
template <class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw Error(fmt::format(format, std::forward<Args>(args)...));
}

/// Throws UsageError with a formatted message.
template <class... Args>
[[noreturn]] void fail_usage(fmt::format_string<Args...> format, Args&&... args) {
  throw UsageError(fmt::format(format, std::forward<Args>(args)...));
}

/// Prints where and what, then aborts. Called by STRATA_CHECK only.
[[noreturn]] void check_failed(const char* file, int line, const char* condition, const std::string& values);

}  // namespace strata

/// Aborts with file, line and the formatted values when a condition that only a bug can break does not hold.
#define STRATA_CHECK(condition, ...)                                                         \
  do {                                                                                       \
    if (!(condition)) [[unlikely]]                                                           \
      ::strata::check_failed(__FILE__, __LINE__, #condition, ::fmt::format("" __VA_ARGS__)); \
  } while (false)
