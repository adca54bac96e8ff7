// By how much channels are scaled so that neither what linears read nor their weights have large outliers: SmoothQuant
// (arXiv 2211.10438, equation 4), in powers of two.
#pragma once
#include <span>

#include "importance/pass.h"
#include "model/smoothing.h"

namespace strata::importance {

/// The exponents of the channels of model::smooth_sites(engine.model()), by a pass over the set and a look at the
/// weights: s_j = max|x_j|^alpha / max|w_j|^(1 - alpha) over the geometric mean of the site's, as the nearest power of
/// two. w_j are the weights of all linears that read channel j. 0 for a channel without inputs or weights, and where a
/// product would leave the range that bf16 and f32 hold exactly. 0 < alpha <= 1. Ranks at work share the pass. Throws
/// what run_calibration throws, and Error for a weight that is not finite.
model::ChannelExponents smooth_channels(engine::Engine& engine, const CalibrationSet& set, double alpha);

/// The model whose channels are scaled so, by products in bf16.
model::Model smoothed(const model::Model& model, const CalibrationSet& set, double alpha);

/// Mean squares of the inputs of every linear become those of the smoothed model's.
void scale_mean_squares(const model::Model& model, const model::ChannelExponents& exponents,
                        std::span<std::vector<float>> mean_squares);

}  // namespace strata::importance
