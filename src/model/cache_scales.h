// A cache of keys and values in FP8: what a code of 1 stands for in each block, and the tensors that hold it.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace strata::model {

struct Architecture;

/// Of one block; 0 where its cache is not in FP8.
struct CacheScales {
  float k = 0.0f, v = 0.0f;
  bool rounds() const { return k > 0.0f && v > 0.0f; }
  bool operator==(const CacheScales&) const = default;
};

/// Whether a block keeps keys and values of heads, which an FP8 cache can hold. Mixers that keep anything else, and
/// blocks that read another block's keys, have no scales.
bool has_cached_keys(const Architecture& architecture, std::size_t block);
/// "model.layers.3.self_attn.k_scale" and "...v_scale", as vLLM reads them. The block has_cached_keys().
struct CacheScaleNames {
  std::string k, v;
};
CacheScaleNames cache_scale_names(const Architecture& architecture, std::size_t block);

}  // namespace strata::model
