// What a single fusion group at a single codec costs when all else is original: the measurements that kl and alpha are
// made of. Each is a unit of a journal, so that both signals share them and a stopped run can be resumed.
#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "codec/rounded_inputs.h"
#include "importance/divergence.h"
#include "importance/samples.h"

namespace strata::importance {

struct MeasureRequest {
  std::vector<const codec::Codec*> codecs;  ///< `keep` and those that cannot hold a group's shapes are passed over
  std::size_t tokens = 512;                 ///< as many whole sequences are measured as have this many tokens in all
  std::filesystem::path journal = {};       ///< without one every run begins anew
  /// Called after the first unit that is really measured, with the signal's name, the number of units and the seconds
  /// that all of them will take by the time of the first.
  std::function<void(const std::string& label, std::size_t units, double seconds)> announce = {};
  codec::RoundedInputs rounded_inputs = {};  ///< how a group reads its inputs while it is at a codec
};

struct SingleChange {
  std::size_t group;
  const codec::Codec* codec;
};

/// D(original || group at codec) in nats per token, for every unit and sequence. The group is rounded to nearest with
/// searched scales, and reads its inputs as the request says. Products are made from changes (Engine::follow), so that
/// a measurement has no noise floor; the sequences are measured in parts whose recording takes at most kRecordingBytes.
/// Cost: for every unit, the blocks from the group's own on and the head. Throws Error as run_calibration does and for
/// another job's journal; Interrupted after Ctrl-C. Ranks at work share the units, and all have the result; the first
/// one has the journal. It is left for the next run, whose result is then the same. The caller removes it once the
/// result is safe.
Samples measure_changes(engine::Engine& engine, const CalibrationSet& set, const InputMeanSquare& inputs,
                        const std::vector<SingleChange>& units, const MeasureRequest& request,
                        const std::string& label);
/// Throws Error for another job's journal, as measure_changes would. Call it before any work that would be lost then.
void check_journal(const engine::Engine& engine, const CalibrationSet& set, const MeasureRequest& request);
inline constexpr std::size_t kRecordingBytes = std::size_t{1} << 30;

}  // namespace strata::importance
