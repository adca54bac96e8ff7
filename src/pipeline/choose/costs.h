// What codecs cost, from scores: which signals planning needs, and how they become costs.
// Used by `score`, `plan` and `quantize` alike.
#pragma once
#include <span>
#include <vector>

#include "importance/score.h"
#include "pipeline/choose/problem.h"

namespace strata::pipeline {

/// The signals that price these codecs: an alpha for each kind of grid among them.
std::vector<const importance::Signal*> price_signals(std::span<const codec::Codec* const> codecs);
/// The signals that the cost of a linear under these codecs is made of: act_mse, and those that price the codecs.
std::vector<const importance::Signal*> linear_cost_signals(std::span<const codec::Codec* const> codecs);

/// The cheapest signals that price these codecs for this model: act_mse, with fisher, or with alphas where the model
/// has no backward pass or what is summed over it takes more than 4 GiB.
std::vector<const importance::Signal*> cheapest_cost_signals(std::span<const codec::Codec* const> codecs,
                                                             const model::Architecture& architecture);

/// The signals and codecs to score before planning by `request`. confirm_costs corrects the errors of fisher.
importance::ScoreRequest scores_needed(const PlanRequest& request, const Target& target,
                                       const model::Architecture& architecture);

/// How a linear's codecs of different kinds of grid are priced against each other.
enum class Pricing {
  own,   ///< by the alpha of the codec's own kind of grid, as rounding to nearest costs
  mean,  ///< by the geometric mean of that and the first kind's: error feedback corrects part of what sets kinds apart
};

/// What a codec costs a linear, in nats. Scores with fisher and without an alpha: gradient_costs. Others: `kl` where
/// its group was measured (and in proportion to the relative act_mse for codecs that were not), else alpha x relative
/// act_mse, else the latter alone. Of several calibration sets, each
/// set's costs are divided by their sum, then combined, then multiplied by the mean of the sums, so that they stay nats
/// and no set outweighs another. Every block signal is turned so that higher is important. Signals that the scores do
/// not hold are not among the costs.
Costs costs_of(const importance::Scores& scores, const model::Architecture& architecture,
               Pricing pricing = Pricing::own);

/// Throws Error when the problem's costs hold nothing for any codec that could be chosen. The sentence names the
/// signals that are missing and the command that makes them.
void check_linear_costs(const Problem& problem);

/// The codecs that the target allows and a group could hold, but that no linear has a cost for: none is chosen.
std::vector<LeftOut> without_costs(const Problem& problem);

}  // namespace strata::pipeline
