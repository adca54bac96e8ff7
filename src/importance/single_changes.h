// What single fusion groups at single codecs cost, all else original: the measurements that kl and alpha are made of.
// Each is a unit of a journal, so that the two share them and a stopped run goes on.
#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "importance/divergence.h"
#include "importance/samples.h"

namespace strata::importance {

struct MeasureRequest {
  std::vector<const codec::Codec*> codecs;  ///< `keep` and those that cannot hold a group's shapes are passed over
  std::size_t tokens = 512;                 ///< whole sequences of the calibration set that have these together
  std::filesystem::path journal = {};       ///< empty: begins anew every time
  /// Told before a long measurement begins, from the time of its first unit: what it is of, and how long it will take.
  std::function<void(const std::string& label, std::size_t units, double seconds)> announce = {};
};

struct SingleChange {
  std::size_t group;
  const codec::Codec* codec;
};

/// D(original || group at codec) in nats per token of every unit, by sequence. Rounded to nearest with searched scales.
/// Products are made from changes (Engine::follow), so that a measurement has no noise floor; the sequences are
/// measured in parts whose recording takes at most kRecordingBytes. Cost: for every unit, the blocks from the group's
/// own on and the head. Throws Error as run_calibration does and for another job's journal; Interrupted after Ctrl-C.
/// The journal is left for the next run, whose result is the same; the caller removes it once the result is safe.
Samples measure_changes(engine::Engine& engine, const CalibrationSet& set, const InputMeanSquare& inputs,
                        const std::vector<SingleChange>& units, const MeasureRequest& request,
                        const std::string& label);
/// Throws Error as measure_changes does for another job's journal, before the work that comes first is done for
/// nothing.
void check_journal(const engine::Engine& engine, const CalibrationSet& set, const MeasureRequest& request);
inline constexpr std::size_t kRecordingBytes = std::size_t{1} << 30;

}  // namespace strata::importance
