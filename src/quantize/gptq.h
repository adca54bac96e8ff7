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
  bool choice = false;           ///< whether the result holds its Choice
};

/// What a rounding chose; all empty for codecs without codes.
struct Choice {
  std::vector<std::uint8_t> codes;         ///< (rows, cols)
  std::vector<codec::GroupParams> groups;  ///< (rows, groups)
  std::vector<float> wanted;               ///< (rows, cols): the weights that were rounded, feedback included
};

/// Errors are tr(dW H dW^T) with the Hessian as given, undamped.
struct GptqResult {
  codec::Stored stored;
  Choice choice;  ///< empty unless it was asked for
  double error = 0.0;
  double energy = 0.0;  ///< tr(W H W^T)
  double nearest_error =
      0.0;               ///< the error of round to nearest with scales under diag(H); estimated from 1,024 rows on
  double damping = 0.0;  ///< the damping that the factorization needed
  double relative() const { return energy > 0.0 ? error / energy : 0.0; }
};

/// weights: (rows, cols), finite, of a shape that codec::why_not accepts; the Hessian's size is cols. tensor_scale:
/// from codec::tensor_scale over all linears that a runtime fuses. Throws Error for a Hessian that is not finite. Runs
/// on all threads; bytes do not depend on their number. Memory: two (cols, cols) f32 beside the weights.
GptqResult quantize_gptq(const codec::Codec& codec, const MatrixView& weights, const Hessian& hessian,
                         const GptqOptions& options, float tensor_scale);
/// quantize_gptq with a factorization of the Hessian that is there already, since linears with the same inputs share
/// it. Its order must keep the codec's groups together.
GptqResult quantize_gptq(const codec::Codec& codec, const MatrixView& weights, const Hessian& hessian,
                         const Feedback& feedback, const GptqOptions& options, float tensor_scale);

}  // namespace strata::quantize
