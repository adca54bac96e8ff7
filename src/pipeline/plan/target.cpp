// Names of targets, and what follows from a target's facts (target_table.cpp) for a codec. Whether a codec fits a
// linear's shape: shapes.h.
#include "pipeline/plan/target.h"

#include <array>
#include <cctype>

#include "core/suggest.h"
#include "model/gguf/check.h"
#include "model/mlx/families.h"

namespace strata::pipeline {
namespace {

using codec::Codec;
using codec::Container;
using codec::Family;

/// The types of kRareGgufTypes.
constexpr std::array<std::string_view, 5> kRare{"nvfp4_gguf", "tq2_0", "tq1_0", "iq1_m", "iq1_s"};

/// What the first refusal that holds the scheme says, else `otherwise`.
std::string reason(std::span<const Reason> refusals, Schemes scheme, std::string_view otherwise) {
  for (const Reason& refusal : refusals)
    if (refusal.schemes.hold(scheme)) return std::string(refusal.why);
  return std::string(otherwise);
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

/// The target's own name for a name that a user gives.
std::string resolved(std::string_view name) {
  const std::string text = lower(name);
  constexpr std::string_view kRuntime = "vllm:";
  const std::string_view gpu = text.starts_with(kRuntime) ? std::string_view(text).substr(kRuntime.size()) : text;
  const auto alias = std::ranges::find(target_aliases(), gpu, &TargetAlias::gpu);
  return alias == target_aliases().end() ? std::string(name) : std::string(alias->target);
}

}  // namespace

Schemes scheme_of(const Codec& codec) {
  if (codec.container == codec::Container::mlx) return kMlxTypes;
  const bool rounds_inputs = codec.activations != codec::ActivationRounding::Kind::none;
  switch (codec.family) {
    case Family::keep:
      return kKept;
    case Family::integer:
      if (rounds_inputs) return kInt8Activations;
      return codec.symmetric ? symmetric(codec.code_bits) : asymmetric(codec.code_bits);
    case Family::fp8:
      return codec.group_size != 0 ? kFp8Block : rounds_inputs ? kFp8Static : kFp8;
    case Family::nvfp4:
      return rounds_inputs ? kNvfp4A4 : kNvfp4;
    case Family::mxfp4:
      return rounds_inputs ? kMxfp4A4 : kMxfp4;
    case Family::mxfp8:
      return rounds_inputs ? kMxfp8A8 : kMxfp8;
    case Family::affine:
    case Family::ggml:
      break;
  }
  return std::ranges::find(kRare, codec.name) == std::end(kRare) ? kGgufTypes : kRareGgufTypes;
}

std::string Target::why_not(const Codec& codec) const {
  const Schemes scheme = scheme_of(codec);
  return dense.hold(scheme) ? std::string() : reason(refusals, scheme, no_kernel);
}

std::string Target::why_not_experts(const Codec& codec) const {
  const Schemes scheme = scheme_of(codec);
  if (!experts.hold(scheme)) return reason(expert_refusals, scheme, std::string(no_kernel) + " in experts");
  if (codec.is_integer() && codec.group_size == 0 && !expert_rows.hold(scheme))
    return "vLLM takes experts of this kind with scales of groups only, not of whole rows";
  return {};
}

std::string Target::why_not_embedding(const Codec& codec) const {
  if (!fuses() || embeddings.hold(scheme_of(codec))) return {};
  if (embeddings.bits == 0) return "it keeps embeddings in bf16";
  return "vLLM looks embeddings up in integers of 2, 4 and 8 bits without zero points only";
}

std::string Target::why_no_codes(const model::Experts& e) const {
  if (stacks == ExpertStacks::without_biases && e.bias)
    return "vLLM loads experts that have biases as the original's stacks only; keep them with --keep '\\.experts\\.', "
           "or use --for llama.cpp";
  if (stacks == ExpertStacks::one_by_one && e.stacks == model::Experts::Stacks::always)
    return fmt::format(
        "transformers loads experts of this family as the original's stacks only; keep them with --keep "
        "'\\.experts\\.', or use --for {}",
        e.bias ? "llama.cpp" : "vllm");
  return {};
}

const Target& target_by_name(std::string_view name) {
  const std::string wanted = resolved(name);
  std::vector<std::string> known;
  for (const Target& target : targets()) {
    if (target.name == wanted) return target;
    known.emplace_back(target.name);
  }
  for (const TargetAlias& alias : target_aliases()) known.emplace_back(alias.gpu);
  fail_usage("--for {}: unknown target{}; known are {}", name, did_you_mean(name, known), target_names());
}

const Target& default_target(const std::filesystem::path& output) {
  for (const Target& target : targets())
    if (!target.extension().empty() && output.string().ends_with(target.extension())) return target;
  return targets().front();
}

std::string target_names() {
  std::vector<std::string_view> names, gpus;
  for (const Target& target : targets()) names.push_back(target.name);
  for (const TargetAlias& alias : target_aliases()) gpus.push_back(alias.gpu);
  return fmt::format("{} (or a GPU by its name: {})", fmt::join(names, ", "), fmt::join(gpus, ", "));
}

void declare_target(std::string& name, OptionVisitor& visitor) {
  visitor.option(
      {.name = "--for", .help = "Runtime that will load the result: " + target_names(), .example = "transformers"},
      name);
}

std::string why_not_experts(const Target& target, const Codec& codec, const model::Experts& experts) {
  // Kept experts of such a family stay in stacks, which runtimes load whatever the other linears are.
  if (!codec.has_codes() && experts.stacks == model::Experts::Stacks::always) return {};
  std::string why = codec.has_codes() ? target.why_no_codes(experts) : std::string();
  return why.empty() ? target.why_not_experts(codec) : why;
}

std::string why_not_family(const Target& target, const model::Architecture& architecture) {
  switch (target.container) {
    case Container::gguf:
      return model::has_gguf_files(architecture)
                 ? ""
                 : fmt::format("it loads GGUF files only, and those of {} models are not written here",
                               architecture.model_type);
    case Container::mlx:
      return model::why_not_mlx(architecture);
    default:
      return {};
  }
}

std::string targets_that_can(const Codec& codec) {
  std::string names;
  for (const Target& target : targets())
    if (target.why_not(codec).empty()) names += (names.empty() ? "" : ", ") + std::string(target.name);
  return names;
}

AllowedCodecs allowed_codecs(const Target& target, std::span<const std::string> only) {
  AllowedCodecs result;
  for (const std::string& name : only) {
    const Codec& codec = codec::by_name(name);
    if (const std::string why = target.why_not(codec); !why.empty()) {
      const std::string others = targets_that_can(codec);
      fail("{} cannot be used for {}: {}{}", name, target.name, why,
           others.empty() ? "" : fmt::format(" (targets that can: {})", others));
    }
    result.codecs.push_back(&codec);
  }
  if (!only.empty()) return result;
  for (const Codec& codec : codec::all()) {
    std::string why = target.why_not(codec);
    if (why.empty() && target.on_request.hold(scheme_of(codec))) why = "a choice only where --codecs names it";
    if (why.empty())
      result.codecs.push_back(&codec);
    else
      result.left_out.push_back({codec.name, std::move(why)});
  }
  return result;
}

}  // namespace strata::pipeline
