// The table of targets. A codec is judged by its container, family and width only: one that a compressed-tensors file
// can hold is taken unless a rule names what the runtime lacks. Whether it fits a linear's shape: codec::why_not.
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

bool is_plain_int(const Codec& c, unsigned bits) { return c.is_integer() && c.code_bits == bits && c.symmetric; }

/// int8_channel's weights, in the format whose kernels round the activations to 8 bits too.
bool quantizes_activations(const Codec& c) { return c.name == "int8_w8a8"; }

/// Empty when an output of this container can hold the codec, else whose it is.
std::string why_not_in(Container container, const Codec& c) {
  if (!c.has_codes() || c.container == container) return {};
  if (c.container == Container::gguf) return "a type of GGUF files; --for llama.cpp writes them";
  if (c.container == Container::mlx) return "a quantization of MLX; --for mlx writes it";
  return fmt::format("a compressed-tensors codec; {}",
                     container == Container::gguf ? "llama.cpp reads GGUF types only" : "MLX has its own");
}

std::string stock_gpu(const Codec& c) {
  if (std::string why = why_not_in(Container::compressed_tensors, c); !why.empty()) return why;
  if (quantizes_activations(c)) return "rounds activations to 8 bits; ask for it with --codecs and --for vllm:cpu";
  if (!c.is_integer() || is_plain_int(c, 4) || is_plain_int(c, 8)) return {};
  if (!c.symmetric)
    return "an asymmetric tensor next to a symmetric one in a fused layer loads wrong; --for vllm:cpu allows it";
  return "vLLM has no stock kernel for this width; --for transformers allows it";
}

std::string stock_sm100(const Codec& c) {
  if (c.family == Family::mxfp4 || c.family == Family::mxfp8)
    return "vLLM quantizes activations too on sm100, which the measured loss does not include";
  return stock_gpu(c);
}

std::string stock_cpu(const Codec& c) {
  if (std::string why = why_not_in(Container::compressed_tensors, c); !why.empty()) return why;
  if (!c.has_codes() || c.family == Family::fp8 || quantizes_activations(c)) return {};
  if (c.is_integer() && c.code_bits == 4) return {};
  return "vLLM has no CPU kernel for it";
}

std::string any_compressed_tensors(const Codec& c) {
  if (std::string why = why_not_in(Container::compressed_tensors, c); !why.empty()) return why;
  if (c.is_integer() && !c.symmetric) return "transformers 5 with compressed-tensors 0.20 fails on asymmetric weights";
  if (quantizes_activations(c)) return "rounds activations to 8 bits; int8_channel has the same weights without that";
  return {};
}

std::string llama_cpp(const Codec& c) { return why_not_in(Container::gguf, c); }

std::string mlx(const Codec& c) { return why_not_in(Container::mlx, c); }

// Experts: docs/formats/compressed-tensors.md ("Mixtures of experts").

std::string stock_experts(const Codec& c) {
  if (c.family == Family::mxfp8)
    return "vLLM rounds the activations of MXFP8 experts, which the measured loss does not include";
  return c.is_integer() && !c.symmetric ? "vLLM's experts have symmetric kernels only" : "";
}

std::string cpu_experts(const Codec& c) {
  return !c.has_codes() || is_plain_int(c, 4) ? "" : "vLLM has no CPU kernel for it in experts";
}

std::string transformers_experts(const Codec& c) {
  if (!c.has_codes()) return "transformers cannot load experts in bf16 beside quantized layers; --for vllm can";
  if (c.family == Family::nvfp4)
    return "transformers leaves out the global scale of NVFP4 experts; --for vllm allows it";
  if (c.family == Family::mxfp8) return "transformers fails on MXFP8 experts";
  return {};
}

std::string any_experts(const Codec&) { return {}; }

/// vLLM leaves whatever is in memory in such experts when they come one by one.
std::string vllm_stacks(const model::Experts& e) {
  if (!e.bias) return {};
  return "vLLM loads experts that have biases as the original's stacks only; keep them with --keep '\\.experts\\.', or "
         "use --for llama.cpp";
}

/// transformers gives such experts random weights when they come one by one.
std::string transformers_stacks(const model::Experts& e) {
  if (e.stacks != model::Experts::Stacks::always) return {};
  return fmt::format(
      "transformers loads experts of this family as the original's stacks only; keep them with --keep "
      "'\\.experts\\.', or use --for {}",
      e.bias ? "llama.cpp" : "vllm");
}

std::string no_stacks(const model::Experts&) { return {}; }

using format::Activations;
constexpr auto kTargets = std::to_array<Target>({
    {.name = "vllm",
     .description = "what stock vLLM has kernels for on some GPU",
     .activations = Activations::dynamic,
     .container = Container::compressed_tensors,
     .gpu = true,
     .one_expert_codec = false,
     .why_not = stock_gpu,
     .why_not_experts = stock_experts,
     .why_no_codes = vllm_stacks},
    {.name = "vllm:sm80",
     .description = "vLLM on Ampere GPUs (A100, RTX 30)",
     .activations = Activations::dynamic,
     .container = Container::compressed_tensors,
     .gpu = true,
     .one_expert_codec = false,
     .why_not = stock_gpu,
     .why_not_experts = stock_experts,
     .why_no_codes = vllm_stacks},
    {.name = "vllm:sm89",
     .description = "vLLM on Ada and Hopper GPUs (L4, L40, RTX 40, H100, H200)",
     .activations = Activations::dynamic,
     .container = Container::compressed_tensors,
     .gpu = true,
     .one_expert_codec = false,
     .why_not = stock_gpu,
     .why_not_experts = stock_experts,
     .why_no_codes = vllm_stacks},
    {.name = "vllm:sm100",
     .description = "vLLM on Blackwell GPUs (B200, RTX 50)",
     .activations = Activations::dynamic,
     .container = Container::compressed_tensors,
     .gpu = true,
     .one_expert_codec = false,
     .why_not = stock_sm100,
     .why_not_experts = stock_experts,
     .why_no_codes = vllm_stacks},
    {.name = "vllm:cpu",
     .description = "vLLM on CPUs",
     .activations = Activations::dynamic,
     .container = Container::compressed_tensors,
     .gpu = false,
     .one_expert_codec = false,
     .integer_multiple = 32,
     .why_not = stock_cpu,
     .why_not_experts = cpu_experts,
     .why_no_codes = vllm_stacks},
    {.name = "transformers",
     .description = "every compressed-tensors format that transformers loads",
     .activations = Activations::none,
     .container = Container::compressed_tensors,
     .gpu = false,
     .one_expert_codec = true,
     .why_not = any_compressed_tensors,
     .why_not_experts = transformers_experts,
     .why_no_codes = transformers_stacks},
    {.name = "llama.cpp",
     .description = "one GGUF file of types that every llama.cpp loads",
     .activations = Activations::none,
     .container = Container::gguf,
     .gpu = false,
     .one_expert_codec = false,
     .why_not = llama_cpp,
     .why_not_experts = any_experts,
     .why_no_codes = no_stacks},
    {.name = "mlx",
     .description = "a folder that mlx_lm loads on Apple silicon",
     .activations = Activations::none,
     .container = Container::mlx,
     .gpu = false,
     .one_expert_codec = false,
     .why_not = mlx,
     .why_not_experts = any_experts,
     .why_no_codes = no_stacks},
});

constexpr auto kAliases = std::to_array<TargetAlias>({
    {"a100", "vllm:sm80"},
    {"a10", "vllm:sm80"},
    {"a40", "vllm:sm80"},
    {"rtx3090", "vllm:sm80"},
    {"l4", "vllm:sm89"},
    {"l40", "vllm:sm89"},
    {"l40s", "vllm:sm89"},
    {"rtx4090", "vllm:sm89"},
    {"h100", "vllm:sm89"},
    {"h200", "vllm:sm89"},
    {"b100", "vllm:sm100"},
    {"b200", "vllm:sm100"},
    {"gb200", "vllm:sm100"},
    {"rtx5090", "vllm:sm100"},
});

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
  const auto alias = std::ranges::find(kAliases, gpu, &TargetAlias::gpu);
  return alias == kAliases.end() ? std::string(name) : std::string(alias->target);
}

}  // namespace

std::span<const Target> targets() { return kTargets; }
std::span<const TargetAlias> target_aliases() { return kAliases; }

const Target& target_by_name(std::string_view name) {
  const std::string wanted = resolved(name);
  std::vector<std::string> known;
  for (const Target& target : kTargets) {
    if (target.name == wanted) return target;
    known.emplace_back(target.name);
  }
  for (const TargetAlias& alias : kAliases) known.emplace_back(alias.gpu);
  fail_usage("--for {}: unknown target{}; known are {}", name, did_you_mean(name, known), target_names());
}

const Target& default_target(const std::filesystem::path& output) {
  for (const Target& target : kTargets)
    if (!target.extension().empty() && output.string().ends_with(target.extension())) return target;
  return kTargets.front();
}

std::string target_names() {
  std::vector<std::string_view> names, gpus;
  for (const Target& target : kTargets) names.push_back(target.name);
  for (const TargetAlias& alias : kAliases) gpus.push_back(alias.gpu);
  return fmt::format("{} (or a GPU by its name: {})", fmt::join(names, ", "), fmt::join(gpus, ", "));
}

void declare_target(std::string& name, OptionVisitor& visitor) {
  visitor.option(
      {.name = "--for", .help = "Runtime that will load the result: " + target_names(), .example = "transformers"},
      name);
}

std::string why_not_shape(const Codec& codec, std::uint64_t rows, std::uint64_t cols) {
  std::string why = codec::why_not(codec, rows, cols);
  if (why.empty() && codec.is_integer() && !codec.symmetric && rows * codec.code_bits % 32 != 0)
    why = fmt::format("its zero points fill whole 32-bit words only when {} divides the {} rows", 32 / codec.code_bits,
                      rows);
  return why;
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

std::string why_not_fused(const Target& target, const Codec& codec, const model::Architecture& architecture,
                          const model::FusionGroup& group) {
  const model::Linear& first = architecture.linears[group.linears.front()];
  if (target.container == Container::gguf && first.role == model::Role::kv_b && codec.has_codes())
    return "llama.cpp has kv_b in two matrices, the rows of one being columns of kv_b, where codes are of other "
           "weights";
  if (target.container == Container::mlx && codec.has_codes() && model::taken_apart_by_mlx(architecture, first))
    return "mlx_lm makes two matrices of kv_b as it loads it, and their codes would be of other weights";
  if (first.routed() || !codec.is_integer() || quantizes_activations(codec)) return {};
  std::uint64_t rows = 0;
  for (const std::size_t l : group.linears) {
    const model::Linear& linear = architecture.linears[l];
    const bool twice =
        linear.role == model::Role::k && architecture.attention[linear.block].k_is_v;  // in v's place too
    rows += (twice ? 2 : 1) * linear.rows;
  }
  if (rows % target.integer_multiple == 0 && first.cols % target.integer_multiple == 0) return {};
  return fmt::format("the kernel of {} for integers takes multiples of {}, not {} rows of {} columns", target.name,
                     target.integer_multiple, rows, first.cols);
}

std::string why_not_group(const Target& target, const Codec& codec, const model::Architecture& architecture,
                          const model::FusionGroup& group) {
  std::string why = target.why_not(codec);
  if (why.empty() && architecture.linears[group.linears.front()].routed())
    why = why_not_experts(target, codec, architecture.experts);
  return why.empty() ? why_not_fused(target, codec, architecture, group) : why;
}

std::string targets_that_can(const Codec& codec) {
  std::string names;
  for (const Target& target : kTargets)
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
    if (why.empty())
      result.codecs.push_back(&codec);
    else
      result.left_out.push_back({codec.name, std::move(why)});
  }
  return result;
}

}  // namespace strata::pipeline
