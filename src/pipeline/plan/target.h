// What a plan is for: the runtime decides which codecs may be used, and why others may not.
// Sources: docs/formats/compressed-tensors.md ("What the runtimes load"), docs/formats/gguf.md, mlx.md.
#pragma once
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codec/codec.h"
#include "core/options.h"
#include "format/compressed_tensors.h"
#include "model/architecture.h"

namespace strata::pipeline {

struct Target {
  std::string_view name;         ///< "vllm", "vllm:cpu", "transformers"
  std::string_view description;  ///< one line for --help and the dry run
  format::Activations activations;
  codec::Container container;  ///< what its outputs are; pipeline/output has a class for each
  bool gpu;                    ///< it runs on a GPU, which has a context and takes longer stretches of a prompt at once
  bool one_expert_codec;       ///< the runtime loads one scheme for all experts of a model
  /// Rows and columns of a matrix of integers must be multiples of this, the linears that the runtime fuses being one.
  std::uint64_t integer_multiple = 1;
  /// Empty when the runtime has a kernel for the codec, else why not.
  std::string (*why_not)(const codec::Codec&);
  /// Empty when the runtime also has a kernel for the codec in the experts of a mixture, else why not. It is asked
  /// about codecs that why_not allows.
  std::string (*why_not_experts)(const codec::Codec&);
  /// Empty when the runtime loads experts of this kind in any codec that has codes, else why not, and what to do.
  std::string (*why_no_codes)(const model::Experts&);
  /// llama.cpp and MLX fuse nothing, and hold the embedding in any codec.
  model::Fusion fusion() const {
    return container == codec::Container::compressed_tensors ? model::Fusion::fused : model::Fusion::single;
  }
  /// What the name of an output must end in; empty for a folder, which may have any other name.
  std::string_view extension() const { return container == codec::Container::gguf ? ".gguf" : ""; }
};

std::span<const Target> targets();

/// A GPU by its name, and the target that it is.
struct TargetAlias {
  std::string_view gpu;  ///< "a100"; "vllm:a100" is the same
  std::string_view target;
};
std::span<const TargetAlias> target_aliases();

/// The target of this name, or of the GPU of this name (in upper or lower case). Throws UsageError listing the known
/// names, the nearest first.
const Target& target_by_name(std::string_view name);
/// The target of an output of this name where the user names none: llama.cpp when it ends in .gguf, else vllm.
const Target& default_target(const std::filesystem::path& output);
/// "vllm, vllm:sm80, ... (a GPU's name is one too: a100, ...)", for help.
std::string target_names();

/// Declares --for.
void declare_target(std::string& name, OptionVisitor& visitor);

/// Empty when runtimes load a (rows, cols) linear in this codec, else why not: codec::why_not, and the rule that zero
/// points of asymmetric codecs must fill whole 32-bit words (vLLM refuses the layer otherwise).
std::string why_not_shape(const codec::Codec& codec, std::uint64_t rows, std::uint64_t cols);

/// Empty when the target loads a mixture's experts in this codec, which its why_not allows, else why not.
std::string why_not_experts(const Target& target, const codec::Codec& codec, const model::Experts& experts);

/// Empty when outputs for the target can hold models of this family, else why not.
std::string why_not_family(const Target& target, const model::Architecture& architecture);

/// Empty when the target's kernels take the matrix that it makes of this group in the codec, else why not.
std::string why_not_fused(const Target& target, const codec::Codec& codec, const model::Architecture& architecture,
                          const model::FusionGroup& group);

/// Empty when the target has a kernel for the codec in this group, else why not.
std::string why_not_group(const Target& target, const codec::Codec& codec, const model::Architecture& architecture,
                          const model::FusionGroup& group);

/// A codec that a target leaves out, and why.
struct LeftOut {
  std::string codec, reason;
};
struct AllowedCodecs {
  std::vector<const codec::Codec*> codecs;
  std::vector<LeftOut> left_out;
};
/// The codecs a plan for `target` may use. `only` has the names that the user asked for; when it is empty, all are
/// considered. Throws Error for a codec that the target has no kernel for, naming the targets that have one.
AllowedCodecs allowed_codecs(const Target& target, std::span<const std::string> only);

/// What a tensor of a GGUF file becomes when `codec` cannot hold its shape: the next larger type with blocks of 32
/// whose error is no larger, else "keep". In MLX it is the codec of as many bits with smaller groups.
const codec::Codec& smaller_blocks(const codec::Codec& codec, std::uint64_t rows, std::uint64_t cols);

/// The targets that can use a codec, as "transformers, vllm:cpu".
std::string targets_that_can(const codec::Codec& codec);

}  // namespace strata::pipeline
