// How good a signal is: its agreement with `kl`, the truth for one group.
// Block signals are held against the sum over the block's groups.
#pragma once
#include <string>
#include <vector>

#include "importance/scores.h"

namespace strata::importance {

struct Judgement {
  std::string signal;
  std::string_view level;  ///< "block" or "group"
  double spearman;         ///< rank correlation with kl
  double top_quarter;      ///< share of the quarter that kl finds most important which the signal finds too
};

/// The codecs that most groups were measured with, in the order of the codec table. Throws Error when the scores hold
/// no kl.
std::vector<const codec::Codec*> judged_codecs(const Scores& scores);
/// The first of judged_codecs, for callers that show one table only.
const codec::Codec& judged_codec(const Scores& scores);

/// Compares every signal of the scores with kl at one codec, best first within a level. Groups that kl was not measured
/// for with this codec are left out. Throws Error when the scores hold no kl, or kl of fewer than 4 groups.
std::vector<Judgement> judge(const Scores& scores, const model::Architecture& architecture, const codec::Codec& codec);

}  // namespace strata::importance
