// The normal distribution of Random.
// Box-Muller in double; the second value is not kept, so that the stream position stays simple.
#include "core/random.h"

#include <cmath>
#include <numbers>

namespace strata {

double Random::normal() {
  const double radius = std::sqrt(-2.0 * std::log(1.0 - uniform()));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

}  // namespace strata
