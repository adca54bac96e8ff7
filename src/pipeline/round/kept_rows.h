// The rows that o or down of a block reads, of a whole calibration set, kept from when their Hessian was summed until
// the linear is rounded: the half of the block before it need not run again. As bf16, which is what products take.
#pragma once
#include <cstddef>
#include <vector>

#include "core/numbers.h"

namespace strata::pipeline {

class SiteRows {
 public:
  /// Begins anew: sequences of `floats` numbers each, none there.
  void start(std::size_t sequences, std::size_t floats);
  /// Of sequences [first, first + some), one behind another.
  void put(std::size_t first, std::size_t some, const float* rows);
  /// True when every sequence is there.
  bool complete() const { return !there_.empty() && missing_ == 0; }
  void get(std::size_t first, std::size_t some, std::vector<float>& rows) const;
  /// Forgets the rows, and keeps the memory for the next.
  void clear();

 private:
  std::size_t floats_ = 0, missing_ = 0;
  std::vector<bool> there_;
  std::vector<bf16> rows_;
};

}  // namespace strata::pipeline
