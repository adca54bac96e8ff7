// Ranks that round linears to nearest together: each has linears of its own, and sends them to the first one, which
// writes. A rank is one linear ahead of what was taken from it.
#pragma once
#include <cstddef>
#include <memory>
#include <vector>

#include "core/ranks.h"
#include "pipeline/output/linear_encoder.h"
#include "pipeline/output/output.h"

namespace strata::pipeline {

class SharedEncoding {
 public:
  /// linears: those that are rounded, rising; the same on all ranks. What is referred to outlives this.
  SharedEncoding(const model::Architecture& architecture, const Codecs& codecs, std::vector<std::size_t> linears,
                 const Ranks& ranks);

  /// The first rank's, as EncodeOptions::of_others. A linear that was taken before, or is not among those that are
  /// rounded together, is null.
  std::shared_ptr<const codec::Stored> take(std::size_t linear);
  /// The first rank's, when it has all that it wants: takes what is left from the others.
  void end();

  /// What this rank rounds after a linear, as EncodeOptions::next; the number of linears when that was the last.
  std::size_t next(std::size_t linear) const;
  /// The other ranks': rounds what is this rank's.
  void help(LinearEncoder& encoder) const;

 private:
  std::shared_ptr<const codec::Stored> receive(std::size_t linear) const;

  const model::Architecture& architecture_;
  const Codecs& codecs_;
  Ranks ranks_;
  std::vector<std::vector<std::size_t>> by_rank_;  ///< the linears of each rank, rising
  std::vector<std::size_t> owners_;                ///< by linear; the number of ranks where it is not rounded together
  std::vector<std::size_t> taken_;                 ///< by rank: how many of its linears have come
};

}  // namespace strata::pipeline
