// All signals of one model on its calibration text: scores.json, the file between `score` and `plan`. Texts that count
// separately are scored each, and combined. The schema is in docs/files.md.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "codec/codec.h"
#include "core/json.h"
#include "importance/calibration.h"
#include "importance/signal.h"
#include "importance/snapshot.h"

namespace strata::importance {

/// The values of a signal for every block, every linear (Architecture::linears) or every fusion group
/// (Architecture::groups).
struct ItemScores {
  std::vector<double> values;
  std::vector<double> standard_errors;  ///< over calibration sequences; empty when there is no such spread
};

/// The score of a linear under one codec.
struct CodecScore {
  const codec::Codec* codec;
  std::uint64_t bytes;  ///< on disk, side tensors included
  double error;
  double standard_error = 0.0;  ///< the error's spread over parts of the calibration set
};

struct LinearScores {
  std::string module;
  double normalizer = 0.0;         ///< the error when every weight is 0; 1 for a signal in nats
  std::vector<CodecScore> codecs;  ///< those that can hold the linear's shape
  /// error / normalizer; 0 when the linear's inputs are all 0.
  double relative(const CodecScore& score) const { return normalizer > 0.0 ? score.error / normalizer : 0.0; }
};

void visit(ItemScores& scores, Snapshot& snapshot);
void visit(CodecScore& score, Snapshot& snapshot);
void visit(LinearScores& scores, Snapshot& snapshot);

/// Sum of the relative errors of a group's linears under a codec; those without it count as 0. scores: by linear.
double relative_error(const std::vector<LinearScores>& scores, const model::FusionGroup& group,
                      const codec::Codec& codec);

/// How values of several calibration sets become one.
enum class Combine { mean, max };

struct Scores {
  static constexpr std::uint64_t kVersion = 1;

  std::string fingerprint;  ///< Model::fingerprint of the scored model
  CalibrationSource calibration;
  codec::ScaleFit fit = codec::ScaleFit::search;  ///< how the scales were fitted for the errors in `linears`
  /// How codecs read inputs in `linears` and in the choices of kl: codec::RoundedInputs::names of the target scored
  /// for.
  std::map<std::string, std::string> rounded_inputs;
  double smoothing = 0.0;  ///< alpha of smooth_channels, by which the scored model was smoothed; 0: it was not
  // Values by the name of the signal; Level (signal.h) says which member a signal is in.
  std::map<std::string, ItemScores> blocks;
  std::map<std::string, ItemScores> modules;  ///< values of linears, whatever their codec
  std::map<std::string, ItemScores> groups;
  /// Errors of linears under codecs, for all of Architecture::linears in their order.
  std::map<std::string, std::vector<LinearScores>> linears;
  /// Measurements of fusion groups under codecs: by group, the codecs that were measured.
  std::map<std::string, std::vector<std::vector<Measurement>>> choices;

  /// Calibration tokens that were routed to each expert, by block (empty for dense ones); for people. Empty when no
  /// block has experts.
  std::vector<std::vector<std::size_t>> routed_tokens;

  /// Rank correlation between a signal's values on the two halves of the calibration set, by signal; of several sets
  /// the least. Signals that need no calibration are not in it; for a single sequence it is empty.
  std::map<std::string, double> stability;

  std::vector<Scores> sets;  ///< when there are several calibration sets, the scores of each, which these combine
  Combine combine = Combine::mean;

  /// The values of a signal of blocks by block, turned so that higher means more important. Throws Error when the
  /// scores do not hold it.
  std::vector<double> importance(std::string_view signal) const;

  json to_json() const;
  /// The file is hostile. Throws Error naming `where` and the place for another model's scores, another version,
  /// missing or superfluous entries, unknown signals or codecs, values of the wrong type, not finite or negative where
  /// they cannot be, bytes that are not the codec's, and sets that do not hold the same. Of several sets, these are
  /// combined anew.
  static Scores from_json(const json& value, const model::Model& model, const std::string& where);
};

/// Spearman's rank correlation of the values of two scores over blocks, linears or groups, for every signal that both
/// hold; of a signal with codecs, the mean over these.
std::map<std::string, double> rank_agreement(const Scores& a, const Scores& b);

/// Combines the scores of several sets into one, which keeps them in `sets`. Values of groups and linears are divided
/// by their set's mean before they are combined, and multiplied by the mean of these means: no set outweighs another
/// because its text is harder. Throws Error unless all hold the same.
Scores combine(std::vector<Scores> sets, Combine how);

std::string_view fit_name(codec::ScaleFit fit);
std::string_view combine_name(Combine how);

}  // namespace strata::importance
