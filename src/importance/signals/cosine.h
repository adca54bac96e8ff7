// The cosine between two vectors, from sums in double.
// A zero vector has no direction: its cosine with anything is 0.
#pragma once
#include <cmath>
#include <cstddef>

namespace strata::importance {

struct Products {
  double xy = 0.0, xx = 0.0, yy = 0.0;

  void operator+=(const Products& other) {
    xy += other.xy;
    xx += other.xx;
    yy += other.yy;
  }
  double cosine() const { return xx > 0.0 && yy > 0.0 ? xy / (std::sqrt(xx) * std::sqrt(yy)) : 0.0; }
};

/// x.y, x.x, y.y of `count` floats each.
inline Products products(const float* x, const float* y, std::size_t count) {
  constexpr std::size_t lanes = 4;
  double xy[lanes] = {}, xx[lanes] = {}, yy[lanes] = {};
  const auto add = [&](std::size_t lane, double a, double b) {
    xy[lane] += a * b;
    xx[lane] += a * a;
    yy[lane] += b * b;
  };
  std::size_t i = 0;
  for (; i + lanes <= count; i += lanes)
    for (std::size_t j = 0; j < lanes; ++j) add(j, static_cast<double>(x[i + j]), static_cast<double>(y[i + j]));
  for (; i < count; ++i) add(0, static_cast<double>(x[i]), static_cast<double>(y[i]));
  const auto sum = [](const double(&v)[lanes]) { return (v[0] + v[1]) + (v[2] + v[3]); };
  return {sum(xy), sum(xx), sum(yy)};
}

}  // namespace strata::importance
