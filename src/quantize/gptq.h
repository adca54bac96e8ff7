// Rounding with error feedback over the inputs' second moments, for every codec: GPTQ, and coordinate descent after it.
// No worse than round to nearest in tr(dW H dW^T), in compared rows. Formulas, costs, sources: docs/methods.md.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "codec/codec.h"
#include "core/matrix.h"
#include "core/options.h"
#include "core/ranks.h"
#include "quantize/hessian.h"

namespace strata::quantize {

/// What a user may change. docs/methods.md has the figures that the defaults come from.
struct GptqOptions {
  std::optional<double> damping = {};  ///< share of the mean that is added to the Hessian's diagonal; unset: kDamping
  std::size_t refine = 1;              ///< passes of coordinate descent after the feedback
  bool activation_order = true;        ///< activation_order.h; else columns are rounded in rising order
};
void visit(GptqOptions& options, OptionVisitor& visitor);
/// The least damping that the feedback takes; it is raised when a Hessian needs more.
inline constexpr double kDamping = 0.01;

/// What the step that rounds a linear knows of it.
struct GptqTask {
  float tensor_scale;  ///< of codec::tensor_scale, over all linears that a runtime fuses
  codec::ScaleFit fit = codec::ScaleFit::search;
  bool keep_choice = false;  ///< whether the result holds its Choice, which takes a rank that is alone
  Ranks ranks{};             ///< that share the rows of the linear; all have the result
};
/// Rows [first, end) of a linear, those that this rank rounds.
struct RowShare {
  std::size_t first, end;
};
RowShare share_of_rows(const Ranks& ranks, std::size_t rows);

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

/// weights: (rows, cols), finite, of a shape that codec::why_not accepts; the Hessian's size is cols. Throws Error for
/// a Hessian that is not finite. Runs on all threads and ranks; bytes do not depend on their number, and weights are
/// read in the rank's share of rows alone. Memory: two (cols, cols) f32 beside the weights.
GptqResult quantize_gptq(const codec::Codec& codec, const MatrixView& weights, const Hessian& hessian,
                         const GptqOptions& options, const GptqTask& task);
/// quantize_gptq with a factorization of the Hessian that is there already, since linears with the same inputs share
/// it. Its order must keep the codec's groups together.
GptqResult quantize_gptq(const codec::Codec& codec, const MatrixView& weights, const Hessian& hessian,
                         const Feedback& feedback, const GptqOptions& options, const GptqTask& task);

/// Rows of a linear that a thread rounds together: more of a large linear, since packing the factors costs a product as
/// much as 15 rows do, and fewer of a small one, so that there are pieces for all threads.
std::size_t rows_of_a_stretch(std::size_t rows);

}  // namespace strata::quantize
