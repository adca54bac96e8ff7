// The cut of a calibration set by which sums over it are made: batches of sequences, and runs of batches, the parts
// (quantize/sum_nodes.h). It depends on the model and the set alone, and so do the sums, whoever makes them.
#pragma once
#include <algorithm>
#include <cstddef>

#include "core/checked.h"
#include "core/ranks.h"
#include "quantize/sum_nodes.h"

namespace strata::pipeline {

class CalibrationParts {
 public:
  /// together: sequences of a batch. Ranks share the parts.
  CalibrationParts(std::size_t sequences, std::size_t together, const Ranks& ranks)
      : sequences_(sequences),
        together_(together),
        batches_(ceil_div(sequences, together)),
        count_(std::min(quantize::kMostParts, batches_)),
        first_(ranks.first_of(count_)),
        end_(ranks.end_of(count_)) {}

  std::size_t count() const { return count_; }
  /// Those of this rank are the parts [first, end), which hold the sequences [first_sequence, end_sequence).
  std::size_t first() const { return first_; }
  std::size_t end() const { return end_; }
  std::size_t first_sequence() const { return begin_of(first_); }
  std::size_t end_sequence() const { return begin_of(end_); }
  std::size_t sequences() const { return end_sequence() - first_sequence(); }
  /// The part of the batch that begins with a sequence, counted from this rank's first one.
  std::size_t of(std::size_t sequence) const {
    const std::size_t batch = (first_sequence() + sequence) / together_;
    return ((batch + 1) * count_ - 1) / batches_;
  }

 private:
  std::size_t begin_of(std::size_t part) const { return std::min(sequences_, part * batches_ / count_ * together_); }

  std::size_t sequences_, together_, batches_, count_, first_, end_;
};

}  // namespace strata::pipeline
