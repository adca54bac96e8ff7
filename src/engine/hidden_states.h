// The hidden states of a set of sequences between two blocks: in memory, or in a temporary file when they are more than
// that. A caller with two streams (the rounded model's and the original's) has two of these.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

namespace strata::engine {

class HiddenStates {
 public:
  /// `count` sequences of `floats` numbers each (tokens x hidden), all zero. With a folder they lie in a file there
  /// that has no name and goes with the process; memory is then that of what is borrowed. Throws Error when the
  /// folder's disk cannot hold them, which is found out here.
  HiddenStates(std::size_t count, std::size_t floats, const std::filesystem::path& spill_folder = {});
  ~HiddenStates();
  HiddenStates(const HiddenStates&) = delete;
  HiddenStates& operator=(const HiddenStates&) = delete;

  std::size_t count() const { return count_; }
  std::size_t floats() const { return floats_; }
  bool spilled() const { return descriptor_ >= 0; }

  /// Sequences [first, first + some), one behind another, valid until the next call. Changes last only after keep().
  float* borrow(std::size_t first, std::size_t some);
  /// Stores what was borrowed last as it now is. Throws Error naming the folder when that fails.
  void keep();

 private:
  std::uint64_t offset(std::size_t first) const { return std::uint64_t{first} * floats_ * sizeof(float); }

  std::size_t count_, floats_;
  std::filesystem::path folder_;
  int descriptor_ = -1;
  std::vector<float> values_;  ///< all of them, or the borrowed ones of a file
  std::size_t first_ = 0, some_ = 0;
};

}  // namespace strata::engine
