// The message of a refusal, for tests of what errors say.
#pragma once
#include <functional>
#include <string>

#include "core/error.h"

namespace strata {

/// The message of the Error that `body` throws; empty when it throws none.
inline std::string error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

}  // namespace strata
