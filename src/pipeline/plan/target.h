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
#include "pipeline/plan/roundings.h"
#include "pipeline/plan/schemes.h"

namespace strata::pipeline {

/// Why a target does not take these schemes.
struct Reason {
  Schemes schemes;
  std::string_view why;
};

/// A runtime's version, and what it has that older ones lack.
struct Release {
  std::string_view version;  ///< "vLLM 0.29"
  Schemes dense, experts;
};

/// Experts that a runtime cannot load in codes, which come one by one.
enum class ExpertStacks {
  any,             ///< it loads all
  without_biases,  ///< vLLM leaves whatever is in memory in experts that have biases
  one_by_one,      ///< transformers gives random weights to experts that it holds as stacks (model::Experts::Stacks)
};

/// All but the names are facts, which target_table.cpp states with their sources.
struct Target {
  std::string_view name;         ///< "vllm", "vllm:cpu", "transformers"
  std::string_view description;  ///< one line for --help and the dry run
  format::Activations activations;
  Roundings roundings;         ///< of inputs: those that its kernels do where a checkpoint declares them
  bool fp8_cache = false;      ///< it keeps keys and values in FP8 where a checkpoint declares that
  codec::Container container;  ///< what its outputs are; pipeline/output has a class for each
  bool gpu;                    ///< it runs on a GPU, which has a context and takes longer stretches of a prompt at once
  bool one_expert_codec;       ///< the runtime loads one scheme for all experts of a model

  Schemes dense;                 ///< what the runtime has kernels for
  Schemes experts;               ///< of these, what it has kernels for in the experts of a mixture
  Schemes expert_rows = {};      ///< of these, integers that may have one scale a row ("channel") in experts
  Schemes embeddings = {};       ///< of these, what it looks rows of an embedding up in; none: embeddings are dense
  Schemes on_request = {};       ///< of `dense`, what is a choice only where the user names it
  std::string_view no_kernel{};  ///< why other codecs are not taken, where no refusal says so
  std::span<const Reason> refusals{}, expert_refusals{};  ///< the first that holds the scheme counts
  ExpertStacks stacks = ExpertStacks::any;

  /// Rows and columns of a matrix of integers must be multiples of this, the linears that the runtime fuses being one.
  std::uint64_t integer_multiple = 1;
  /// Experts with one scale a row read rows of a multiple of this.
  std::uint64_t expert_row_multiple = 1;
  bool whole_words = false;             ///< packed rows of integers must fill whole 32-bit words
  bool cuts = false;                    ///< it can hold a model in parts (--tp)
  std::span<const Release> releases{};  ///< the newest first, the last with all schemes; empty where nobody looked

  /// Empty when the runtime has a kernel for the codec, else why not.
  std::string why_not(const codec::Codec& codec) const;
  /// Empty when the runtime also has a kernel for the codec in the experts of a mixture, else why not. It is asked
  /// about codecs that why_not allows.
  std::string why_not_experts(const codec::Codec& codec) const;
  /// Empty when the runtime looks an embedding up in the codec, else why not. It is asked about codecs with codes.
  std::string why_not_embedding(const codec::Codec& codec) const;
  /// Empty when the runtime loads experts of this kind in any codec that has codes, else why not, and what to do.
  std::string why_no_codes(const model::Experts& experts) const;
  /// llama.cpp and MLX fuse nothing, and hold the embedding in any codec.
  constexpr bool fuses() const { return container == codec::Container::compressed_tensors; }
  constexpr model::Fusion fusion() const {
    if (!fuses()) return model::Fusion::single;
    return embeddings.bits == 0 ? model::Fusion::fused : model::Fusion::fused_embedding;
  }
  /// What the name of an output must end in; empty for a folder, which may have any other name.
  constexpr std::string_view extension() const { return container == codec::Container::gguf ? ".gguf" : ""; }
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

/// Empty when the target loads a mixture's experts in this codec, which its why_not allows, else why not.
std::string why_not_experts(const Target& target, const codec::Codec& codec, const model::Experts& experts);

/// Empty when outputs for the target can hold models of this family, else why not.
std::string why_not_family(const Target& target, const model::Architecture& architecture);

/// A codec that a target leaves out, and why.
struct LeftOut {
  std::string codec, reason;
};
struct AllowedCodecs {
  std::vector<const codec::Codec*> codecs;
  std::vector<LeftOut> left_out;
};
/// The codecs a plan for `target` may use. `only` has the names that the user asked for; when it is empty, all are
/// considered but those on request. Throws Error for a codec that the target has no kernel for, naming the targets that
/// have one.
AllowedCodecs allowed_codecs(const Target& target, std::span<const std::string> only);

/// What a tensor of a GGUF file becomes when `codec` cannot hold its shape: the next larger type with blocks of 32
/// whose error is no larger, else "keep". In MLX it is the codec of as many bits with smaller groups.
const codec::Codec& smaller_blocks(const codec::Codec& codec, std::uint64_t rows, std::uint64_t cols);

/// The targets that can use a codec, as "transformers, vllm:cpu".
std::string targets_that_can(const codec::Codec& codec);

}  // namespace strata::pipeline
