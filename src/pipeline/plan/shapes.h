// Which shapes of a linear, or of the matrix that a runtime makes of fused ones, a codec can hold for a target, whole
// or cut in parts. Sources: vLLM 0.32, model_executor/layers/linear.py, parameter.py and
// quantization/compressed_tensors.
#pragma once
#include <cstdint>
#include <string>

#include "codec/codec.h"
#include "model/architecture.h"
#include "pipeline/plan/target.h"

namespace strata::pipeline {

/// The most parts that --tp takes.
inline constexpr std::uint64_t kMostParts = 64;

/// What each of `parts` GPUs holds of a linear: vLLM gives each the same number of rows, or of columns where the linear
/// reads what the rows of others have made (o, down), or all of it.
struct PartShape {
  std::uint64_t rows = 0, cols = 0;
};
PartShape part_of(const model::Architecture& architecture, const model::Linear& linear, std::uint64_t parts);

/// Throws UsageError, opening with --tp, when the target cannot hold the model in so many parts, whatever the codecs.
void check_parts(const Target& target, const model::Architecture& architecture, std::uint64_t parts);

/// Empty when runtimes load a (rows, cols) linear in this codec, else why not: codec::why_not, and the rule that zero
/// points of asymmetric codecs must fill whole 32-bit words (vLLM refuses the layer otherwise).
std::string why_not_shape(const codec::Codec& codec, std::uint64_t rows, std::uint64_t cols);

/// Empty when the target's kernels take the matrix that it makes of this group in the codec, and each of `parts` GPUs
/// can hold its part, else why not.
std::string why_not_fused(const Target& target, const codec::Codec& codec, const model::Architecture& architecture,
                          const model::FusionGroup& group, std::uint64_t parts);

/// Empty when the target has a kernel for the codec in this group, else why not.
std::string why_not_group(const Target& target, const codec::Codec& codec, const model::Architecture& architecture,
                          const model::FusionGroup& group, std::uint64_t parts);

}  // namespace strata::pipeline
