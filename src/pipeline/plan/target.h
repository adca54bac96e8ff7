// What a plan is for: the runtime decides which codecs may be used, and why others may not.
// Sources: docs/formats/compressed-tensors.md ("What the runtimes load"), docs/formats/gguf.md.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codec/codec.h"
#include "format/compressed_tensors.h"
#include "model/architecture.h"

namespace strata::pipeline {

/// What an output is on disk. pipeline/output has a class for each.
enum class Container {
  safetensors_folder,  ///< a folder in Hugging Face's form
  gguf_file,           ///< one GGUF file, or several that llama.cpp opens by the first
};

struct Target {
  std::string_view name;         ///< "vllm", "vllm:cpu", "transformers"
  std::string_view description;  ///< one line for --help and the dry run
  format::Activations activations;
  Container container;
  /// Empty when the runtime has a kernel for the codec, else why not.
  std::string (*why_not)(const codec::Codec&);
  /// The same for experts of a mixture, of a codec that the runtime has a kernel for.
  std::string (*why_not_experts)(const codec::Codec&);
  bool one_expert_codec = false;  ///< the runtime loads one scheme for all experts of the model
  /// llama.cpp fuses nothing, and holds the embedding in any type.
  model::Fusion fusion() const {
    return container == Container::gguf_file ? model::Fusion::single : model::Fusion::fused;
  }
  /// What the name of an output must end in; empty for a folder, which may have any other name.
  std::string_view extension() const { return container == Container::gguf_file ? ".gguf" : ""; }
};

std::span<const Target> targets();
/// Throws UsageError listing the known names.
const Target& target_by_name(std::string_view name);

/// Empty when a (rows, cols) linear in this codec is one that runtimes load, else why not: codec::why_not, and that
/// zero points of asymmetric codecs must fill whole 32-bit words (vLLM refuses the layer otherwise).
std::string why_not_shape(const codec::Codec& codec, std::uint64_t rows, std::uint64_t cols);

/// why_not and, for a group of experts, why_not_experts.
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
/// The codecs a plan for `target` may use. `only`: names that the user asked for ("" or empty: all); asking for one
/// that the target has no kernel for is an Error that names a target which has.
AllowedCodecs allowed_codecs(const Target& target, std::span<const std::string> only);

/// What a tensor of a GGUF file becomes when `codec` cannot hold its shape: the next larger type with blocks of 32
/// whose error is no larger, else "keep".
const codec::Codec& smaller_blocks(const codec::Codec& codec, std::uint64_t rows, std::uint64_t cols);

/// The targets that can use a codec, as "transformers, vllm:cpu".
std::string targets_that_can(const codec::Codec& codec);

}  // namespace strata::pipeline
