// kl: the KL divergence that one fusion group at one codec causes when all else is original. It is the truth for a
// group, by which every other signal is judged.
#pragma once
#include <vector>

#include "importance/single_changes.h"

namespace strata::importance {

/// What a group under one codec costs.
struct Measurement {
  const codec::Codec* codec;
  double value;                 ///< nats per token
  double standard_error;        ///< over the measured sequences
  std::vector<double> samples;  ///< by sequence; empty when it was read from a file
};

/// What each unit costs, in their order (measure_changes, which says what it throws).
std::vector<Measurement> measurements(engine::Engine& engine, const CalibrationSet& set, const InputMeanSquare& inputs,
                                      const std::vector<SingleChange>& units, const MeasureRequest& request,
                                      const std::string& label);

/// Measures every group at every codec of the request that can hold it (measure_changes). By group of the architecture,
/// the codecs in the request's order.
std::vector<std::vector<Measurement>> kl(engine::Engine& engine, const CalibrationSet& set,
                                         const InputMeanSquare& inputs, const MeasureRequest& request);

}  // namespace strata::importance
