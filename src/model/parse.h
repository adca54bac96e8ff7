// The parts of config.json's reading, each of which fills its members of the Architecture. Keys and defaults are those
// of transformers; `where` names the file in errors. What a kind of mixer reads is in its file in mixers/.
#pragma once
#include <string>

#include "core/json.h"
#include "model/architecture.h"
#include "model/families.h"

namespace strata::model {

/// Sizes of heads by kind of block (with a window or without), keys that are values, and blocks that share keys. Writes
/// layer_types as it holds for the model.
void parse_kinds(json& config, Architecture& architecture, const std::string& where);
/// Names of norms, heads of keys, and the size of dense parts, in the keys that other families have for them.
void parse_decoder(json& config, Architecture& architecture, const std::string& where);
/// The rows that every token has for every block, the factor of what a block puts out, and wide dense parts.
void parse_block_embedding(const json& config, Architecture& architecture, const std::string& where);
/// Throws Error for heads that cannot be: of an odd size, too large, or not shared evenly by those of keys.
void check_heads(std::size_t heads, std::size_t kv_heads, std::size_t head_dim, const std::string& where);
/// Windows, stretches, rotary embeddings, caps, sinks and factors of attention, by block.
void parse_attention(const json& config, const Family& family, Architecture& architecture, const std::string& where);
/// Sizes of the mixture and which blocks are mixtures; all blocks are dense without one.
void parse_mixture(const json& config, const Mixture* mixture, Architecture& architecture, const std::string& where);

}  // namespace strata::model
