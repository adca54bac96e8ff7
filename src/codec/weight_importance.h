// How much an error of each weight of a row matters, as fits take it: a number a weight, or nothing where all matter
// alike.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "codec/group_params.h"

namespace strata::codec {

/// `importance`, or as many ones as there are weights when it is empty and the fit looks at it.
class Importance {
 public:
  Importance(std::span<const float> importance, std::size_t count, ScaleFit fit) : data_(importance.data()) {
    if (!importance.empty() || fit == ScaleFit::minmax) return;
    ones_.assign(count, 1.0f);
    data_ = ones_.data();
  }
  const float* data() const { return data_; }

 private:
  std::vector<float> ones_;
  const float* data_;
};

/// The importance of the weights from `first` on; null where there is none.
inline const float* importance_from(const float* importance, std::size_t first) {
  return importance == nullptr ? nullptr : importance + first;
}

}  // namespace strata::codec
