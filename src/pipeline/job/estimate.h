// What quantizing will take, before it starts: time from about two seconds of measuring this machine at work on the
// model's own block and codecs, memory and disk from sizes. Formulas: docs/methods.md ("Estimates").
#pragma once
#include <cstdint>
#include <optional>

#include "pipeline/job/quantize.h"

namespace strata::pipeline {

struct Estimate {
  double seconds = 0;              ///< of rounding and writing; scoring before and measuring behind it not counted
  std::uint64_t memory_bytes = 0;  ///< largest resident memory of this process
  std::uint64_t disk_bytes = 0;    ///< of the output, and of hidden states while they are spilled
  bool keeps_rows = false;         ///< RoundingOptions::keep_rows: there is room
  bool spills = false;             ///< hidden states go to a file, or the limit would not be kept
};

/// Of writing what was prepared. memory_limit: of QuantizeRequest. Throws Error when the limit cannot be kept, saying
/// the smallest that can. Takes about two seconds.
Estimate estimate_quantizing(const model::Model& model, const Prepared& prepared, const QuantizeRequest& request);

/// Resident memory that rounding and writing reach (the memory_bytes of the above) and whether hidden states are
/// spilled for it; needs no measuring.
Estimate estimate_memory(const model::Model& model, const Prepared& prepared, const QuantizeRequest& request);

}  // namespace strata::pipeline
