// What rounding and writing will take, before they start: memory and disk from sizes, time from about two seconds of
// measuring this machine at work on the model's own block and codecs. Formulas: docs/methods.md ("Estimates").
#pragma once
#include <cstdint>

namespace strata::pipeline {

struct PlannedJob;

struct Forecast {
  double seconds = 0;          ///< of rounding and writing; the measurement of the result comes on top
  double scoring_seconds = 0;  ///< of scoring before that, as it was estimated; 0 where nothing was scored
  /// Largest resident memory of this process, mapped files included, which the system can take back.
  std::uint64_t memory_bytes = 0;
  std::uint64_t disk_bytes = 0;  ///< of the output, and of hidden states while they are spilled
  bool keeps_rows = false;       ///< a calibrated method has room to keep the inputs of o and down
  bool spills = false;           ///< hidden states go to a file, or the limit on memory would not be kept
};

/// All but the seconds, which need no measuring. Throws Error when --memory cannot be kept, saying the smallest limit
/// that can.
Forecast forecast_memory(const PlannedJob& job);
/// The same with the seconds. Takes about two seconds.
Forecast forecast(const PlannedJob& job);

}  // namespace strata::pipeline
