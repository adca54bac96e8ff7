// The rows that o or down of one block reads over a whole calibration set. They are stored while their Hessian is
// summed, in bf16 as products take them, so that the half of the block before the linear need not run again.
#pragma once
#include <cstddef>
#include <vector>

#include "core/numbers.h"

namespace strata::pipeline {

class SiteRows {
 public:
  /// Empties the store and makes room for `sequences` sequences of `floats` numbers each.
  void start(std::size_t sequences, std::size_t floats);
  /// Stores the rows of sequences [first, first + some), which lie one after another in `rows`.
  void put(std::size_t first, std::size_t some, const float* rows);
  /// True when the rows of every sequence are stored.
  bool complete() const { return !there_.empty() && missing_ == 0; }
  /// Sets `rows` to those of sequences [first, first + some). The store must be complete.
  void get(std::size_t first, std::size_t some, std::vector<float>& rows) const;
  /// Forgets the rows and keeps the memory for the next linear.
  void clear();

 private:
  std::size_t floats_ = 0, missing_ = 0;
  std::vector<bool> there_;
  std::vector<bf16> rows_;
};

}  // namespace strata::pipeline
