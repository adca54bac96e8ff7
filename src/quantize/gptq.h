// Rounding with error feedback over the inputs' second moments, for every codec: GPTQ, and coordinate descent after it.
// No worse than round to nearest in tr(dW H dW^T), in compared rows. Formulas, costs, sources: docs/methods.md.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

#include "codec/codec.h"
#include "core/matrix.h"
#include "quantize/hessian.h"

namespace strata::quantize {

struct GptqOptions {
  codec::ScaleFit fit = codec::ScaleFit::search;
  double damping = 0.01;         ///< share of the mean diagonal that is added to it; raised when that is not enough
  std::size_t refine = 0;        ///< passes of coordinate descent after the feedback
  bool activation_order = true;  ///< activation_order.h; else columns are rounded in rising order
  bool choice = false;           ///< the result holds its Choice
};

/// What a rounding chose, (rows, cols) and (rows, groups); empty for codecs without codes.
struct Choice {
  std::vector<std::uint8_t> codes;
  std::vector<codec::GroupParams> groups;
  std::vector<float> wanted;  ///< the weights that were rounded: the original ones, and the feedback on them
};

/// Errors are tr(dW H dW^T) with the Hessian as given, undamped.
struct GptqResult {
  codec::Stored stored;
  Choice choice;  ///< when it was asked for
  double error = 0.0;
  double energy = 0.0;         ///< tr(W H W^T)
  double nearest_error = 0.0;  ///< of round to nearest, scales under diag(H); with 1,024 rows or more, estimated
  double damping = 0.0;        ///< that the factorization needed
  double relative() const { return energy > 0.0 ? error / energy : 0.0; }
};

/// weights: (rows, cols), finite, of a shape that codec::why_not accepts; the Hessian's size is cols. tensor_scale: of
/// codec::tensor_scale (over all linears that a runtime fuses). Throws Error for a Hessian that is not finite. Runs on
/// all threads; bytes do not depend on their number. Memory: two (cols, cols) f32 beside the weights.
GptqResult quantize_gptq(const codec::Codec& codec, const MatrixView& weights, const Hessian& hessian,
                         const GptqOptions& options, float tensor_scale);
/// The same with a factorization of the Hessian, in any order that keeps the codec's groups together, which linears
/// with the same inputs share.
GptqResult quantize_gptq(const codec::Codec& codec, const MatrixView& weights, const Hessian& hessian,
                         const Feedback& feedback, const GptqOptions& options, float tensor_scale);

}  // namespace strata::quantize
