// kl: the KL divergence that one fusion group at one codec causes, all else original. The truth for a group, by which
// every other signal is judged.
#pragma once
#include <span>
#include <vector>

#include "codec/codec.h"
#include "core/journal.h"
#include "importance/divergence.h"

namespace strata::importance {

/// A group under one codec.
struct Measurement {
  const codec::Codec* codec;
  double value;           ///< nats per token
  double standard_error;  ///< over tokens
};

struct MeasureRequest {
  std::vector<const codec::Codec*> codecs;  ///< `keep` and those that cannot hold a group's shapes are passed over
  std::size_t tokens = 512;
  std::filesystem::path journal;  ///< empty: begins anew every time
};

/// By group of the architecture, the codecs in the request's order. Rounded to nearest with searched scales. Cost: for
/// every group and codec, the blocks from the group's own on and the head. Throws Error as run_calibration does and for
/// another job's journal; Interrupted after Ctrl-C. The journal is left for the next run, whose result is the same; the
/// caller removes it once the result is safe.
std::vector<std::vector<Measurement>> kl(engine::Engine& engine, const CalibrationSet& set,
                                         const InputMeanSquare& inputs, const MeasureRequest& request);

}  // namespace strata::importance
