// The hidden states of a set of sequences between two blocks: in memory, or in a temporary file when memory is too
// small for them. A caller with two streams (the rounded model's and the original's) has two of these.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

namespace strata::engine {

class HiddenStates {
 public:
  /// `count` sequences of `floats` numbers each (tokens x hidden), all zero. With a folder they lie in a nameless file
  /// there, which the system removes when the process ends; memory then holds only what is borrowed. Throws Error when
  /// the folder's disk cannot hold all of them.
  HiddenStates(std::size_t count, std::size_t floats, const std::filesystem::path& spill_folder = {});
  ~HiddenStates();
  HiddenStates(const HiddenStates&) = delete;
  HiddenStates& operator=(const HiddenStates&) = delete;

  std::size_t count() const { return count_; }
  std::size_t floats() const { return floats_; }
  bool spilled() const { return descriptor_ >= 0; }

  /// Sequences [first, first + count), one after another, valid until the next call. Changes last only after keep().
  float* borrow(std::size_t first, std::size_t count);
  /// Stores the sequences that were borrowed last as they are now. Throws Error naming the folder when that fails.
  void keep();

 private:
  std::uint64_t offset(std::size_t first) const { return std::uint64_t{first} * floats_ * sizeof(float); }

  std::size_t count_, floats_;
  std::filesystem::path folder_;
  int descriptor_ = -1;
  std::vector<float> values_;  ///< all sequences, or the borrowed ones of a file
  std::size_t borrowed_first_ = 0, borrowed_count_ = 0;
};

}  // namespace strata::engine
