// The scales stand in the module of the attention, whose name is that of k's module without its last part.
// What declares them is config.json's kv_cache_scheme; nothing in it or in the tensors stops the reading of a model.
#include "model/cache_scales.h"

#include "model/model.h"

namespace strata::model {
namespace {

bool declares_fp8_cache(const json& config) {
  const auto quantization = config.find("quantization_config");
  if (quantization == config.end() || !quantization->is_object()) return false;
  const auto scheme = quantization->find("kv_cache_scheme");
  if (scheme == quantization->end() || !scheme->is_object()) return false;
  const auto is = [&](const char* key, const json& value, bool otherwise) {
    const auto it = scheme->find(key);
    return it == scheme->end() || it->is_null() ? otherwise : *it == value;
  };
  return is("num_bits", 8, true) && is("type", "float", false) && is("strategy", "tensor", true) &&
         is("dynamic", false, true);
}

}  // namespace

bool has_cached_keys(const Architecture& a, std::size_t block) {
  return a.attention[block].mixer == Mixer::attention && a.attention[block].keys_of == kOwnKeys && a.mixes(block) &&
         (a.has(block, Role::k) || a.has(block, Role::qkv));
}

CacheScaleNames cache_scale_names(const Architecture& a, std::size_t block) {
  const Linear& linear = a.linears[a.index(block, a.has(block, Role::k) ? Role::k : Role::qkv)];
  const std::string module = linear.module.substr(0, linear.module.rfind('.'));
  return {module + ".k_scale", module + ".v_scale"};
}

std::vector<CacheScales> Model::declared_cache() const {
  if (!declares_fp8_cache(config_)) return {};
  std::vector<CacheScales> scales(architecture_.blocks);
  for (std::size_t b = 0; b < architecture_.blocks; ++b) {
    if (!has_cached_keys(architecture_, b)) continue;
    const CacheScaleNames names = cache_scale_names(architecture_, b);
    const std::optional<float> k = source_->side_scale(names.k), v = source_->side_scale(names.v);
    if (k && v) scales[b] = {*k, *v};
  }
  return scales;
}

}  // namespace strata::model
