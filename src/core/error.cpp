// Reports a broken invariant and aborts.
// Input never gets here: it is refused with strata::Error.
#include "core/error.h"

#include <cstdio>
#include <cstdlib>

namespace strata {

void check_failed(const char* file, int line, const char* condition, const std::string& values) {
  std::fprintf(stderr, "strata: internal error at %s:%d: %s does not hold. %s\n", file, line, condition,
               values.c_str());
  std::abort();
}

}  // namespace strata
