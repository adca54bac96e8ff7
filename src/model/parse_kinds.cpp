// config.json -> what differs between blocks that see all keys and blocks with a window, and what blocks leave to each
// other. Keys and defaults are those of transformers' configuration_gemma4.py.
#include <algorithm>

#include "model/config_values.h"
#include "model/parse.h"

namespace strata::model {
namespace {

/// Whether each block sees all keys; the last one always does.
std::vector<bool> full_blocks(const json& config, std::size_t blocks, const std::string& where) {
  constexpr std::size_t usual = 6;  // one of so many
  std::vector<bool> result(blocks);
  const std::vector<std::string> types = names_by_block(config, "layer_types", blocks, where);
  for (std::size_t b = 0; b < blocks; ++b) {
    if (!types.empty() && types[b] != "full_attention" && types[b] != "sliding_attention")
      fail("{}: 'layer_types' names '{}', expected full_attention or sliding_attention", where, types[b]);
    result[b] = b + 1 == blocks || (types.empty() ? (b + 1) % usual == 0 : types[b] == "full_attention");
  }
  return result;
}

/// transformers 5 writes the sizes of single blocks, by their indices.
void parse_own_sizes(const json& config, Architecture& a, const std::string& where) {
  const auto sizes = get<json>(config, "per_layer_config", where);
  if (!sizes.is_object()) fail("{}: 'per_layer_config' is {}, expected an object", where, brief(sizes));
  for (std::size_t b = 0; b < a.blocks; ++b) {
    const auto own = sizes.find(std::to_string(b));
    if (own == sizes.end()) continue;
    const std::string inside = fmt::format("{}: 'per_layer_config' of block {}", where, b);
    if (!own->is_object()) fail("{} is {}, expected an object", inside, brief(*own));
    for (const auto& [key, value] : own->items())
      if (key != "head_dim" && key != "num_key_value_heads") fail("{}: '{}' is not supported", inside, key);
    a.attention[b].head_dim = size_or(*own, "head_dim", a.head_dim, inside);
    a.attention[b].kv_heads = size_or(*own, "num_key_value_heads", a.kv_heads, inside);
  }
}

void size_heads(const json& config, const std::vector<bool>& full, bool k_is_v, Architecture& a,
                const std::string& where) {
  constexpr std::size_t usual_head_dim = 512;
  if (has_value(config, "per_layer_config")) {
    parse_own_sizes(config, a, where);
  } else {
    const std::size_t head_dim = size_or(config, "global_head_dim", usual_head_dim, where),
                      kv_heads = size_or(config, "num_global_key_value_heads", a.kv_heads, where);
    for (std::size_t b = 0; b < a.blocks; ++b)
      if (full[b]) {
        a.attention[b].head_dim = head_dim;
        a.attention[b].kv_heads = k_is_v ? kv_heads : a.kv_heads;
      }
  }
  const bool windows = size_or(config, "sliding_window", 0, where) != 0;  // without them all blocks are of one kind
  std::size_t of_kind[2] = {0, 0};  // one rotary embedding turns the heads of all blocks of a kind
  for (std::size_t b = 0; b < a.blocks; ++b) {
    BlockAttention& block = a.attention[b];
    block.head_dim = a.head_size(block);
    block.kv_heads = a.kv_heads_of(block);
    check_heads(a.heads, block.kv_heads, block.head_dim, where);
    std::size_t& size = of_kind[full[b] || !windows ? 1 : 0];
    if (size != 0 && size != block.head_dim)
      fail("{}: heads of {} and {} in blocks of one kind are not supported", where, size, block.head_dim);
    size = block.head_dim;
  }
}

/// The last blocks read the keys and values of the last block before them that is of their kind.
void share_keys(const json& config, const std::vector<bool>& full, Architecture& a, const std::string& where) {
  const auto sharing = get_or<std::uint64_t>(config, "num_kv_shared_layers", 0, where);
  if (sharing >= a.blocks) fail("{}: 'num_kv_shared_layers' is {}, but there are {} blocks", where, sharing, a.blocks);
  const std::size_t first = a.blocks - static_cast<std::size_t>(sharing);
  for (std::size_t b = first; b < a.blocks; ++b) {
    std::size_t from = first;
    while (from > 0 && full[from - 1] != full[b]) --from;
    if (from == 0)
      fail("{}: block {} reads keys and values of an earlier block, but none before {} is of its kind", where, b,
           first);
    --from;
    BlockAttention& giver = a.attention[from];
    if (giver.head_dim != a.attention[b].head_dim || giver.kv_heads != a.attention[b].kv_heads)
      fail("{}: block {} reads keys and values of block {}, whose heads are of another size or number", where, b, from);
    a.attention[b].keys_of = from;
    if (giver.shared_at != kNotShared) continue;
    giver.shared_at = a.shared_size;
    a.shared_size += 2 * a.kv_size(from);
  }
}

}  // namespace

void parse_kinds(json& config, Architecture& a, const std::string& where) {
  if (get_or<std::string>(config, "use_bidirectional_attention", "", where) == "all")
    fail("{}: 'use_bidirectional_attention' is 'all': models whose tokens see those after them are not supported",
         where);
  a.v_norm = true;
  const std::vector<bool> full = full_blocks(config, a.blocks, where);
  const bool k_is_v = get_or<bool>(config, "attention_k_eq_v", false, where);
  json types = json::array();
  for (const bool sees_all : full) types.push_back(sees_all ? "full_attention" : "sliding_attention");
  config["layer_types"] = std::move(types);
  size_heads(config, full, k_is_v, a, where);
  for (std::size_t b = 0; b < a.blocks; ++b) a.attention[b].k_is_v = k_is_v && full[b];
  share_keys(config, full, a, where);
}

void parse_block_embedding(const json& config, Architecture& a, const std::string& where) {
  a.block_scale = true;
  a.block_embedding.size = get_or<std::uint64_t>(config, "hidden_size_per_layer_input", 0, where);
  if (a.block_embedding.size > kLargestSize / a.blocks)
    fail("{}: 'hidden_size_per_layer_input' is {}, too large for {} blocks", where, a.block_embedding.size, a.blocks);
  if (a.block_embedding.size != 0) a.block_embedding.tokens = size_of(config, "vocab_size_per_layer_input", where);
  if (!get_or<bool>(config, "use_double_wide_mlp", false, where)) return;
  for (std::size_t b = 0; b < a.blocks; ++b)
    if (a.attention[b].keys_of != kOwnKeys) a.layout[b].widening = 2;
}

}  // namespace strata::model
