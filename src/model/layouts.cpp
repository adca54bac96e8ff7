// The table of layouts. The first row whose mark is found in a name counts: marks of whole tools stand before those of
// how one tensor is laid out.
#include "model/layouts.h"

#include <algorithm>
#include <array>

namespace strata::model {
namespace {

struct Layout {
  std::string_view mark;  ///< part of a tensor's name
  std::string_view text;
};

constexpr std::string_view kAdapter =
    "looks like part of an adapter (LoRA), not of a model: merge it into its base model first (peft: merge_and_unload)";
constexpr std::string_view kGptq =
    "looks like a weight that GPTQ or AWQ has quantized: give the original that it was made from";
constexpr std::string_view kBitsAndBytes =
    "looks like a weight that bitsandbytes has quantized: give the original that it was made from";
constexpr std::string_view kCompressed =
    "looks like a quantized weight, but config.json has no quantization_config that says how it is stored: take the "
    "config.json that belongs to these files";
constexpr std::string_view kCompiled =
    "looks like a model saved from within a training wrapper: save the module that is wrapped";
constexpr std::string_view kPackedExperts =
    "looks like all experts of a block in one tensor (packed), but this family is read with one tensor an expert: save "
    "it with transformers' save_pretrained(save_original_format=True)";
constexpr std::string_view kFusedAttention =
    "looks like q, k and v in one tensor (fused), but this family is read with one tensor each: convert it with the "
    "script of the model's page, or take the published files";
constexpr std::string_view kFusedGate =
    "looks like gate and up in one tensor (fused), but this family is read with one tensor each: convert it with the "
    "script of the model's page, or take the published files";

constexpr auto kLayouts = std::to_array<Layout>({
    {".lora_A", kAdapter},
    {".lora_B", kAdapter},
    {".lora_magnitude_vector", kAdapter},
    {"base_model.model.", kAdapter},
    {".qweight", kGptq},
    {".qzeros", kGptq},
    {".g_idx", kGptq},
    {".absmax", kBitsAndBytes},
    {".quant_map", kBitsAndBytes},
    {".quant_state", kBitsAndBytes},
    {".SCB", kBitsAndBytes},
    {".weight_packed", kCompressed},
    {".weight_scale", kCompressed},
    {".weight_zero_point", kCompressed},
    {"_orig_mod.", kCompiled},
    {"_fsdp_wrapped_module.", kCompiled},
    {".experts.gate_up_proj", kPackedExperts},
    {".experts.gate_proj", kPackedExperts},
    {".experts.up_proj", kPackedExperts},
    {".experts.down_proj", kPackedExperts},
    {".input_linear", kPackedExperts},
    {".qkv_proj", kFusedAttention},
    {".query_key_value", kFusedAttention},
    {".W_pack", kFusedAttention},
    {".c_attn", kFusedAttention},
    {".Wqkv", kFusedAttention},
    {".gate_up_proj", kFusedGate},
});

}  // namespace

std::string_view layout_of(std::string_view tensor) {
  const auto row =
      std::ranges::find_if(kLayouts, [&](const Layout& layout) { return tensor.find(layout.mark) != tensor.npos; });
  return row == kLayouts.end() ? std::string_view() : row->text;
}

}  // namespace strata::model
