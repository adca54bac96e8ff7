// All signals of one model on one calibration set: scores.json, the file between `score` and `plan`.
// Its schema is in docs/files.md.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "codec/codec.h"
#include "core/json.h"
#include "importance/calibration.h"
#include "importance/signal.h"

namespace strata::importance {

/// A signal of every block.
struct BlockScores {
  std::vector<double> values;           ///< by block (or by group)
  std::vector<double> standard_errors;  ///< over calibration sequences; empty when there is no such spread
};

/// A signal of every fusion group, in the order of Architecture::groups.
using GroupScores = BlockScores;

/// A linear under one codec.
struct CodecScore {
  const codec::Codec* codec;
  std::uint64_t bytes;  ///< on disk, side tensors included
  double error;
};

struct LinearScores {
  std::string module;
  double normalizer = 0.0;         ///< the error when every weight is 0
  std::vector<CodecScore> codecs;  ///< those that can hold the linear's shape
  /// error / normalizer; 0 when the linear's inputs are all 0.
  double relative(const CodecScore& score) const { return normalizer > 0.0 ? score.error / normalizer : 0.0; }
};

/// Sum of the relative errors of a group's linears under a codec; those without it count as 0. scores: by linear.
double relative_error(const std::vector<LinearScores>& scores, const model::FusionGroup& group,
                      const codec::Codec& codec);

struct Scores {
  static constexpr std::uint64_t kVersion = 1;

  std::string fingerprint;  ///< Model::fingerprint of the model they are of
  CalibrationSource calibration;
  codec::ScaleFit fit = codec::ScaleFit::search;  ///< the scales of the errors per linear and codec
  std::map<std::string, BlockScores> blocks;      ///< by signal
  std::map<std::string, GroupScores> groups;      ///< by signal
  /// By signal; each has all of Architecture::linears, in their order.
  std::map<std::string, std::vector<LinearScores>> linears;
  /// By signal, then by group: the codecs that were measured.
  std::map<std::string, std::vector<std::vector<Measurement>>> choices;

  /// A block signal turned so that higher means more important; by block. Throws Error when the scores do not hold it.
  std::vector<double> importance(std::string_view signal) const;

  json to_json() const;
  /// The file is hostile. Throws Error naming `where` and the place for another model's scores, another version,
  /// missing or superfluous entries, unknown signals or codecs, values of the wrong type, not finite or negative where
  /// they cannot be, and bytes that are not the codec's.
  static Scores from_json(const json& value, const model::Model& model, const std::string& where);
};

}  // namespace strata::importance
