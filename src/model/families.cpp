// The rows of the family table.
// A new dense family is a row here, tiny-model goldens, and nothing else.
#include "model/families.h"

#include <array>

namespace strata::model {
namespace {

constexpr std::array<Family, 4> kFamilies{{
    {"llama", "LlamaForCausalLM", "llama", Bias::config, Bias::config, true, false, WindowRule::none, 0, 1e-6, 10000.0},
    {"mistral", "MistralForCausalLM", "llama", Bias::never, Bias::never, false, false, WindowRule::every_block, 0, 1e-6,
     10000.0},
    {"qwen2", "Qwen2ForCausalLM", "qwen2", Bias::always, Bias::never, false, false, WindowRule::upper_blocks, 0, 1e-6,
     10000.0},
    {"qwen3", "Qwen3ForCausalLM", "qwen3", Bias::config, Bias::config, false, true, WindowRule::upper_blocks, 128, 1e-6,
     10000.0},
}};

}  // namespace

std::span<const Family> families() { return kFamilies; }

const Family* find_family(std::string_view model_type) {
  for (const Family& family : kFamilies)
    if (family.model_type == model_type) return &family;
  return nullptr;
}

std::string known_families() {
  std::string names;
  for (const Family& family : kFamilies) names += (names.empty() ? "" : ", ") + std::string(family.model_type);
  return names;
}

}  // namespace strata::model
