// The weight matrices of a model as flat data: each linear with its place, and the groups that must share a codec.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "model/tensor_names.h"

namespace strata::model {

inline constexpr std::size_t kNoBlock = static_cast<std::size_t>(-1);       ///< in place of a block's index
inline constexpr std::size_t kNoLinear = static_cast<std::size_t>(-1);      ///< in place of a linear's index
inline constexpr std::size_t kNoExpert = static_cast<std::size_t>(-1);      ///< in place of an expert's index
inline constexpr std::size_t kSharedExpert = static_cast<std::size_t>(-2);  ///< the expert that every token goes to

/// One weight matrix (rows, cols) = (out, in).
struct Linear {
  std::string module;  ///< "model.layers.3.mlp.down_proj": the weight is named module + ".weight"
  Role role;
  std::size_t block;  ///< kNoBlock for lm_head and the embedding
  std::size_t rows, cols;
  bool bias;
  std::size_t group;               ///< index into Architecture::groups; linears of one group share a codec
  std::size_t expert = kNoExpert;  ///< for gate, up and down of a mixture: the expert's index, or kSharedExpert
  bool routed() const { return expert != kNoExpert && expert != kSharedExpert; }
};

/// A block's stretch of Architecture::linears. It holds q, k, v (or qkv), o, then gate, up (or gate_up), down of a
/// dense block; in a mixture gate, up, down of the shared expert (if there is one), then of each expert in turn. Narrow
/// experts have to_latent before the shared expert and from_latent behind all others. A BlockEmbedding's embed_gate and
/// embed_out are last.
struct BlockLinears {
  std::size_t first, count;
  bool mixture;
  std::size_t first_expert = 0;  ///< index into Architecture::linears of the first expert's first, in a mixture
  bool feeds = true;             ///< the block has a feed-forward part; false: it is a mixer
  std::size_t widening = 1;      ///< its dense part is so many times Architecture::intermediate wide
};

/// Which matrices a runtime wants in one codec, and in which order it has heads (head_order.h).
enum class Fusion {
  fused,            ///< q, k, v together, and gate with up; the embedding stays dense
  fused_embedding,  ///< the same, but the embedding is one of them, if its codec is asked for (vLLM on CUDA)
  single,           ///< every matrix alone, and the embedding is one of them (GGUF)
};

/// How vLLM's class of a family asks the configuration for the codec of its embedding.
enum class EmbeddingQuery {
  never,  ///< it is dense whatever the configuration says
  by_class,
  by_name,
};

/// Linears that a runtime fuses: they must share one codec.
struct FusionGroup {
  std::string name;  ///< "model.layers.3.self_attn.qkv_proj"
  std::size_t block;
  std::vector<std::size_t> linears;  ///< indices into Architecture::linears
};

}  // namespace strata::model
