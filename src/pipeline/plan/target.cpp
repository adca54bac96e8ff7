// The table of targets. A codec is judged by its family, width and format only;
// whether it fits a linear's shape is the codec's own business (codec::why_not).
#include "pipeline/plan/target.h"

#include <algorithm>
#include <array>

namespace strata::pipeline {
namespace {

using codec::Codec;

bool is_plain_int(const Codec& c, unsigned bits) { return c.family == "int" && c.code_bits == bits && c.symmetric; }

/// int8_channel's weights, in the format whose kernels round the activations to 8 bits too.
bool quantizes_activations(const Codec& c) { return c.name == "int8_w8a8"; }

constexpr const char* kOnlyGguf = "a type of GGUF files; --for llama.cpp writes them";

std::string stock_gpu(const Codec& c) {
  if (c.family == "ggml") return kOnlyGguf;
  if (quantizes_activations(c)) return "rounds activations to 8 bits; ask for it with --codecs and --for vllm:cpu";
  if (c.family == "keep" || is_plain_int(c, 4) || is_plain_int(c, 8)) return {};
  if (c.family == "fp8" || c.family == "nvfp4" || c.family == "mxfp4" || c.family == "mxfp8") return {};
  if (c.family == "int" && !c.symmetric)
    return "an asymmetric tensor next to a symmetric one in a fused layer loads wrong; --for vllm:cpu allows it";
  if (c.family == "int") return "vLLM has no stock kernel for this width; --for transformers allows it";
  return "not a compressed-tensors codec";
}

std::string stock_sm100(const Codec& c) {
  if (c.family == "mxfp4" || c.family == "mxfp8")
    return "vLLM quantizes activations too on sm100, which the measured loss does not include";
  return stock_gpu(c);
}

std::string stock_cpu(const Codec& c) {
  if (c.family == "ggml") return kOnlyGguf;
  if (c.family == "keep" || c.family == "fp8" || quantizes_activations(c)) return {};
  if (c.family == "int" && c.code_bits == 4) return {};
  return "vLLM has no CPU kernel for it";
}

std::string any_compressed_tensors(const Codec& c) {
  if (c.family == "ggml") return kOnlyGguf;
  if (c.family == "int" && !c.symmetric)
    return "transformers 5 with compressed-tensors 0.20 fails on asymmetric weights";
  if (quantizes_activations(c)) return "rounds activations to 8 bits; int8_channel has the same weights without that";
  static constexpr std::array<std::string_view, 6> families = {"keep", "int", "fp8", "nvfp4", "mxfp4", "mxfp8"};
  return std::find(families.begin(), families.end(), c.family) != families.end() ? ""
                                                                                 : "not a compressed-tensors codec";
}

std::string llama_cpp(const Codec& c) {
  return c.family == "keep" || c.family == "ggml" ? "" : "a compressed-tensors codec; llama.cpp reads GGUF types only";
}

// Experts: docs/formats/compressed-tensors.md ("Mixtures of experts").

std::string stock_experts(const Codec& c) {
  if (c.family == "mxfp8")
    return "vLLM rounds the activations of MXFP8 experts, which the measured loss does not include";
  return c.family == "int" && !c.symmetric ? "vLLM's experts have symmetric kernels only" : "";
}

std::string cpu_experts(const Codec& c) {
  return c.family == "keep" || is_plain_int(c, 4) ? "" : "vLLM has no CPU kernel for it in experts";
}

std::string transformers_experts(const Codec& c) {
  if (c.family == "keep") return "transformers cannot load experts in bf16 beside quantized layers; --for vllm can";
  if (c.family == "nvfp4") return "transformers leaves out the global scale of NVFP4 experts; --for vllm allows it";
  if (c.family == "mxfp8") return "transformers fails on MXFP8 experts";
  return {};
}

std::string any_experts(const Codec&) { return {}; }

using format::Activations;
constexpr Container kFolder = Container::safetensors_folder;
constexpr std::array<Target, 7> kTargets{{
    {"vllm", "what stock vLLM has kernels for on some GPU", Activations::dynamic, kFolder, stock_gpu, stock_experts},
    {"vllm:sm80", "vLLM on Ampere GPUs (A100, RTX 30)", Activations::dynamic, kFolder, stock_gpu, stock_experts},
    {"vllm:sm89", "vLLM on Ada and Hopper GPUs (L40, RTX 40, H100)", Activations::dynamic, kFolder, stock_gpu,
     stock_experts},
    {"vllm:sm100", "vLLM on Blackwell GPUs (B200)", Activations::dynamic, kFolder, stock_sm100, stock_experts},
    {"vllm:cpu", "vLLM on CPUs", Activations::dynamic, kFolder, stock_cpu, cpu_experts},
    {"transformers", "every compressed-tensors format that transformers loads", Activations::none, kFolder,
     any_compressed_tensors, transformers_experts, true},
    {"llama.cpp", "one GGUF file of types that every llama.cpp loads", Activations::none, Container::gguf_file,
     llama_cpp, any_experts},
}};

}  // namespace

std::span<const Target> targets() { return kTargets; }

const Target& target_by_name(std::string_view name) {
  std::string known;
  for (const Target& target : kTargets) {
    if (target.name == name) return target;
    known += (known.empty() ? "" : ", ") + std::string(target.name);
  }
  fail_usage("--for {}: unknown target; known are {}", name, known);
}

std::string why_not_shape(const Codec& codec, std::uint64_t rows, std::uint64_t cols) {
  std::string why = codec::why_not(codec, rows, cols);
  if (why.empty() && codec.family == "int" && !codec.symmetric && rows * codec.code_bits % 32 != 0)
    why = fmt::format("its zero points fill whole 32-bit words only when {} divides the {} rows", 32 / codec.code_bits,
                      rows);
  return why;
}

std::string why_not_group(const Target& target, const Codec& codec, const model::Architecture& architecture,
                          const model::FusionGroup& group) {
  std::string why = target.why_not(codec);
  if (why.empty() && architecture.linears[group.linears.front()].routed()) why = target.why_not_experts(codec);
  return why;
}

const Codec& smaller_blocks(const Codec& codec, std::uint64_t rows, std::uint64_t cols) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kInstead{{
      {"q2_k", "iq4_nl"},
      {"q3_k", "iq4_nl"},
      {"iq4_xs", "iq4_nl"},
      {"iq3_s", "iq4_nl"},
      {"iq3_xxs", "iq4_nl"},
      {"iq2_s", "iq4_nl"},
      {"iq2_xs", "iq4_nl"},
      {"iq2_xxs", "iq4_nl"},
      {"q4_k", "q5_0"},
      {"q5_k", "q5_1"},
      {"q6_k", "q8_0"},
  }};
  for (const auto& [name, instead] : kInstead)
    if (name == codec.name && codec::why_not(codec::by_name(instead), rows, cols).empty())
      return codec::by_name(instead);
  return codec::by_name("keep");
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
