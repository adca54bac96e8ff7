// alpha: how much a unit of relative weight error in one fusion group costs in KL divergence of the logits. Measured, a
// group at a time; the cost of a codec is then alpha times its relative error (linearity theorem, arXiv 2411.17525).
#pragma once
#include <functional>
#include <vector>

#include "core/statistics.h"
#include "importance/input_mean_square.h"
#include "importance/signal.h"

namespace strata::importance {

/// Tokens that a measurement runs on: as many whole sequences of the calibration set as give these.
inline constexpr std::size_t kAlphaTokens = 512;

/// Per group of the architecture: KL divergence D(original || one group rounded) in nats per token over the relative
/// error of that group (sum over its linears of error / energy, weighted as act_mse), with the standard error over the
/// measured tokens. The group is rounded by nvfp4 where its shape allows, else by another codec of about four bits.
/// Cost: for every group, the blocks from its own on. Throws Error as run_calibration does.
std::vector<Estimate> alpha(engine::Engine& engine, const CalibrationSet& set, const InputMeanSquare& inputs);

}  // namespace strata::importance
