// Keys or values of attention in bf16, for which a sequence's later tokens come again and again: those of a head lie
// together, in the order of their positions, so that processors foresee what is read next.
#pragma once
#include <cstddef>
#include <vector>

#include "core/numbers.h"

namespace strata::engine {

class HeadRows {
 public:
  /// rows: (tokens, heads * dim), the next positions. heads and dim are those of every call before.
  void append(const float* rows, std::size_t tokens, std::size_t heads, std::size_t dim);

  /// (heads, capacity, dim); positions after the last one that was appended are zeros.
  const bf16* data() const { return values_.data(); }
  std::size_t capacity() const { return capacity_; }
  std::size_t positions() const { return positions_; }

 private:
  void grow(std::size_t least, std::size_t heads, std::size_t dim);

  std::vector<bf16> values_;
  std::size_t capacity_ = 0, positions_ = 0;
};

}  // namespace strata::engine
