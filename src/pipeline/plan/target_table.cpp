// The table of targets: a row each, whose fields are facts. The rules that read them are in target.cpp and shapes.cpp.
// Sources: vLLM 0.32, and for versions those back to 0.24; transformers 5.23 with compressed-tensors 0.20. vLLM's own
// selection of kernels is asked in tests/peers/test_vllm_kernels.py; docs/formats/consumers.md shows the table.
#include <array>

#include "pipeline/plan/target.h"

namespace strata::pipeline {
namespace {

using codec::Container;
using format::Activations;

constexpr Schemes kFloats = kFp8 | kNvfp4 | kMxfp4 | kMxfp8;
/// vLLM makes the same layers of these as of kFloats, and rounds inputs where the GPU multiplies such numbers.
constexpr Schemes kRoundedInputs = kFp8Static | kFp8Block | kNvfp4A4 | kMxfp4A4 | kMxfp8A8;
/// vLLM's Marlin kernels have the integers of 4 and 8 bits; its Humming kernels, since 0.25, those of 2 to 8.
constexpr Schemes kMarlin = symmetric(4) | symmetric(8);
constexpr Schemes kHumming = symmetric(2, 8) | asymmetric(2, 8);
constexpr Schemes kHummingExperts = kHumming - asymmetric(8);
/// Only Marlin takes experts with one scale a row. On Hopper vLLM asks Humming first, and fails; but 4 bits with zero
/// points and one scale a row Humming refuses, so that Marlin gets them there too.
constexpr Schemes kExpertRows = kMarlin | asymmetric(4), kExpertRowsOnHopper = asymmetric(4);
/// vLLM looks an embedding's rows up with a kernel in Triton, which takes codes of any width apart as if none lay in
/// two words.
constexpr Schemes kLookedUp = symmetric(2) | symmetric(4) | symmetric(8);
/// From 5 bits on a zero point saves next to nothing, and every codec that is considered must be priced.
constexpr Schemes kLargeWithZeros = asymmetric(5, 8);

constexpr Schemes kAllGgufTypes = kGgufTypes | kRareGgufTypes;

constexpr Reason kOnlyGguf{kAllGgufTypes, "a type of GGUF files; --for llama.cpp writes them"};
constexpr Reason kOnlyMlx{kMlxTypes, "a quantization of MLX; --for mlx writes it"};
constexpr Reason kRoundsActivations{kInt8Activations,
                                    "rounds activations to 8 bits; ask for it with --codecs and --for vllm:cpu"};
constexpr auto kCudaRefusals = std::to_array<Reason>({kOnlyGguf, kOnlyMlx, kRoundsActivations});
constexpr auto kTuringRefusals = std::to_array<Reason>(
    {kOnlyGguf, kOnlyMlx, kRoundsActivations, {kMxfp4 | kMxfp4A4, "vLLM has no kernel for it before sm80"}});
constexpr auto kBlackwellRefusals = std::to_array<Reason>(
    {kOnlyGguf,
     kOnlyMlx,
     kRoundsActivations,
     {kMxfp4 | kMxfp8, "vLLM rounds activations too on sm100; mxfp4_a4 and mxfp8_a8 say so, with --codecs"}});
constexpr auto kMarlinRefusals =
    std::to_array<Reason>({kOnlyGguf,
                           kOnlyMlx,
                           kRoundsActivations,
                           {asymmetric(2, 8), "this target takes no zero points; --for vllm does"},
                           {symmetric(2, 8), "vLLM's Marlin kernels lack this width; --for vllm allows it"}});
constexpr auto kCpuRefusals = std::to_array<Reason>({kOnlyGguf, kOnlyMlx});
constexpr auto kTransformersRefusals = std::to_array<Reason>(
    {kOnlyGguf,
     kOnlyMlx,
     {asymmetric(2, 8), "transformers 5 with compressed-tensors 0.20 fails on asymmetric weights"},
     {kInt8Activations, "rounds activations to 8 bits; int8_channel has the same weights without that"},
     {kRoundedInputs, "rounds activations; fp8_channel, nvfp4, mxfp4 and mxfp8 have the same weights without that"}});
constexpr auto kLlamaRefusals =
    std::to_array<Reason>({kOnlyMlx, {kAnyScheme, "a compressed-tensors codec; llama.cpp reads GGUF types only"}});
constexpr auto kMlxRefusals =
    std::to_array<Reason>({kOnlyGguf, {kAnyScheme, "a compressed-tensors codec; MLX has its own"}});

// Experts: docs/formats/compressed-tensors.md ("Mixtures of experts").
constexpr auto kCudaExpertRefusals = std::to_array<Reason>(
    {{kMxfp8, "vLLM rounds the activations of MXFP8 experts, which the measured loss does not include"},
     {kFp8Static, "vLLM rounds what experts in FP8 read by token; fp8_channel says so"},
     {kMxfp4A4 | kMxfp8A8, "nobody looked whether vLLM rounds what experts read so"},
     {asymmetric(8), "vLLM has no kernel for it in experts"}});
constexpr auto kTransformersExpertRefusals =
    std::to_array<Reason>({{kKept, "transformers cannot load experts in bf16 beside quantized layers; --for vllm can"},
                           {kNvfp4, "transformers leaves out the global scale of NVFP4 experts; --for vllm allows it"},
                           {kMxfp8, "transformers fails on MXFP8 experts"}});

// Inputs: FP8 is multiplied with FP8 from sm89 on; before that vLLM takes Marlin or Humming, whose inputs are bf16. FP4
// with FP4 is for sm100. On CPUs torch multiplies FP8, and blocks of it are multiplied with bf16.
using enum codec::ActivationRounding::Kind;
constexpr Roundings kInt8Inputs{int8_token}, kFp8Inputs{e4m3_token, e4m3_groups, e4m3_tensor};
constexpr Roundings kBlackwellInputs = kFp8Inputs | Roundings{nvfp4, mxfp4, mxfp8};

/// The newest first.
constexpr auto kVllmReleases = std::to_array<Release>({
    {"vLLM 0.31", asymmetric(2, 8) - asymmetric(4) - asymmetric(8), asymmetric(2, 8)},
    {"vLLM 0.29", kNoScheme, symmetric(2, 8) - symmetric(4)},
    {"vLLM 0.25", (symmetric(2, 8) - kMarlin) | asymmetric(8), kNoScheme},
    {"vLLM 0.24", kAnyScheme, kAnyScheme},
});

/// What vLLM is on every NVIDIA GPU; rows differ from it in what they say besides.
constexpr Target kCuda = {.name = "vllm",
                          .description = "stock vLLM on NVIDIA GPUs from sm80 on",
                          .activations = Activations::dynamic,
                          .roundings = kInt8Inputs | kFp8Inputs,
                          .fp8_cache = true,
                          .container = Container::compressed_tensors,
                          .gpu = true,
                          .one_expert_codec = false,
                          .dense = kKept | kFloats | kRoundedInputs | kHumming,
                          .experts = (kKept | kFloats | kFp8Block | kNvfp4A4 | kHummingExperts) - kMxfp8,
                          .expert_rows = kExpertRowsOnHopper,
                          .embeddings = kLookedUp,
                          .on_request = kLargeWithZeros | kRoundedInputs,
                          .no_kernel = "vLLM has no kernel for it",
                          .refusals = kCudaRefusals,
                          .expert_refusals = kCudaExpertRefusals,
                          .stacks = ExpertStacks::without_biases,
                          .expert_row_multiple = 128,
                          .whole_words = true,
                          .cuts = true,
                          .releases = kVllmReleases};

constexpr Target on_cuda(std::string_view name, std::string_view description, Roundings roundings, Schemes lacks,
                         Schemes expert_rows, std::span<const Reason> refusals) {
  Target target = kCuda;
  target.name = name;
  target.description = description;
  target.roundings = roundings;
  target.dense = target.dense - lacks;
  target.experts = target.experts - lacks;
  target.expert_rows = expert_rows;
  target.refusals = refusals;
  return target;
}

constexpr auto kTargets = std::to_array<Target>({
    kCuda,
    on_cuda("vllm:sm75", "vLLM on Turing GPUs (T4, RTX 20)", kInt8Inputs, kMxfp4 | kMxfp4A4, kExpertRows,
            kTuringRefusals),
    on_cuda("vllm:sm80", "vLLM on Ampere GPUs (A100, RTX 30)", kInt8Inputs, kNoScheme, kExpertRows, kCudaRefusals),
    on_cuda("vllm:sm89", "vLLM on Ada and Hopper GPUs (L4, L40, RTX 40, H100, H200)", kInt8Inputs | kFp8Inputs,
            kNoScheme, kExpertRowsOnHopper, kCudaRefusals),
    on_cuda("vllm:sm100", "vLLM on Blackwell GPUs (B200, RTX 50)", kBlackwellInputs, kMxfp4 | kMxfp8, kExpertRows,
            kBlackwellRefusals),
    {.name = "vllm:marlin",
     .description = "vLLM on NVIDIA GPUs by its Marlin kernels, which older versions have too",
     .activations = Activations::dynamic,
     .roundings = kInt8Inputs | kFp8Inputs,
     .fp8_cache = true,
     .container = Container::compressed_tensors,
     .gpu = true,
     .one_expert_codec = false,
     .dense = kKept | kFloats | kRoundedInputs | kMarlin,
     .experts = (kKept | kFloats | kFp8Block | kNvfp4A4 | kMarlin) - kMxfp8,
     .expert_rows = kMarlin,
     .on_request = kRoundedInputs,
     .no_kernel = "vLLM has no kernel for it",
     .refusals = kMarlinRefusals,
     .expert_refusals = kCudaExpertRefusals,
     .stacks = ExpertStacks::without_biases,
     .cuts = true,
     .releases = kVllmReleases},
    {.name = "vllm:cpu",
     .description = "vLLM on CPUs",
     .activations = Activations::dynamic,
     .roundings = kInt8Inputs | Roundings{e4m3_token, e4m3_tensor},
     .fp8_cache = true,
     .container = Container::compressed_tensors,
     .gpu = false,
     .one_expert_codec = false,
     .dense = kKept | kFp8 | kFp8Static | kInt8Activations | symmetric(4) | asymmetric(4),
     .experts = kKept | symmetric(4),
     .expert_rows = symmetric(4),
     .on_request = kFp8Static,
     .no_kernel = "vLLM has no CPU kernel for it",
     .refusals = kCpuRefusals,
     .stacks = ExpertStacks::without_biases,
     .integer_multiple = 32,
     .cuts = true,
     .releases = kVllmReleases},
    {.name = "vllm:rocm",
     .description = "vLLM on AMD GPUs (MI300)",
     .activations = Activations::dynamic,
     .roundings = kInt8Inputs | kFp8Inputs,
     .fp8_cache = true,
     .container = Container::compressed_tensors,
     .gpu = true,
     .one_expert_codec = false,
     .dense = kKept | kFp8 | kFp8Static | symmetric(4) | asymmetric(4),
     .experts = kKept | kFp8 | symmetric(4) | asymmetric(4),
     .on_request = kFp8Static,
     .no_kernel = "vLLM has no kernel for it on AMD GPUs",
     .refusals = kCudaRefusals,
     .stacks = ExpertStacks::without_biases,
     .integer_multiple = 8,
     .whole_words = true,
     .cuts = true,
     .releases = kVllmReleases},
    {.name = "transformers",
     .description = "every compressed-tensors format that transformers loads",
     .activations = Activations::none,
     .roundings = {},
     .container = Container::compressed_tensors,
     .gpu = false,
     .one_expert_codec = true,
     .dense = kKept | kFloats | symmetric(2, 8),
     .experts = kFp8 | kMxfp4 | symmetric(2, 8),
     .expert_rows = symmetric(2, 8),
     .on_request = symmetric(7),
     .refusals = kTransformersRefusals,
     .expert_refusals = kTransformersExpertRefusals,
     .stacks = ExpertStacks::one_by_one},
    {.name = "llama.cpp",
     .description = "one GGUF file of types that every llama.cpp loads",
     .activations = Activations::none,
     .roundings = {},
     .container = Container::gguf,
     .gpu = false,
     .one_expert_codec = false,
     .dense = kKept | kAllGgufTypes,
     .experts = kKept | kAllGgufTypes,
     .on_request = kRareGgufTypes,
     .refusals = kLlamaRefusals,
     .stacks = ExpertStacks::any},
    {.name = "mlx",
     .description = "a folder that mlx_lm loads on Apple silicon",
     .activations = Activations::none,
     .roundings = {},
     .container = Container::mlx,
     .gpu = false,
     .one_expert_codec = false,
     .dense = kKept | kMlxTypes,
     .experts = kKept | kMlxTypes,
     .refusals = kMlxRefusals,
     .stacks = ExpertStacks::any},
});

constexpr auto kAliases = std::to_array<TargetAlias>({
    {"t4", "vllm:sm75"},
    {"rtx2080", "vllm:sm75"},
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
    {"mi300x", "vllm:rocm"},
});

}  // namespace

std::span<const Target> targets() { return kTargets; }
std::span<const TargetAlias> target_aliases() { return kAliases; }

}  // namespace strata::pipeline
