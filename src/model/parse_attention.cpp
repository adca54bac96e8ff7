// config.json -> how blocks attend: windows, rotary embeddings, caps and factors.
// What is the same for all models of a family is in its row.
#include <algorithm>
#include <cmath>
#include <utility>

#include "model/config_values.h"
#include "model/parse.h"

namespace strata::model {
namespace {

constexpr const char* kDensePattern = "prefix_dense_sliding_window_pattern";

/// Windows on all blocks but every n-th. sliding_window_pattern is n, or a text of L (window) and G (all keys) that is
/// repeated.
std::vector<std::size_t> by_pattern(const json& config, const Family& family, std::size_t window, std::size_t blocks,
                                    const std::string& where) {
  std::vector<std::size_t> result(blocks, window);
  const auto given = config.find("sliding_window_pattern");
  if (given != config.end() && given->is_string()) {
    const auto text = given->get<std::string>();
    if (text.empty() || text.find_first_not_of("LG") != std::string::npos)
      fail("{}: 'sliding_window_pattern' is {}, expected a number or a text of L and G", where, brief(*given));
    for (std::size_t b = 0; b < blocks; ++b)
      if (text[b % text.size()] == 'G') result[b] = 0;
    return result;
  }
  const std::size_t every = size_or(config, "sliding_window_pattern", family.window_pattern, where);
  std::size_t first = 0;
  if (family.window == WindowRule::after_dense) {
    first = std::min<std::uint64_t>(get_or<std::uint64_t>(config, "first_k_dense_replace", 0, where), blocks);
    const std::size_t step = size_or(config, kDensePattern, 1, where);
    for (std::size_t b = 0; b < first; ++b)
      if ((b + 1) % step == 0) result[b] = 0;
  }
  for (std::size_t b = first; b < blocks; ++b)
    if ((b - first + 1) % every == 0) result[b] = 0;
  return result;
}

/// Which blocks are called "local": a name for each, or stretches of names with how often each is repeated; where
/// config.json says neither, every other one.
std::vector<std::string> kinds_of_blocks(const json& config, std::size_t blocks, const std::string& where) {
  if (has_value(config, "attention_layers")) return get<std::vector<std::string>>(config, "attention_layers", where);
  std::vector<std::string> kinds;
  if (!has_value(config, "attention_types"))
    for (std::size_t b = 0; b < blocks; ++b) kinds.push_back(b % 2 == 0 ? "global" : "local");
  for (const json& stretch : get_or<std::vector<json>>(config, "attention_types", {}, where)) {
    if (!stretch.is_array() || stretch.size() != 2 || !stretch[0].is_array() || !stretch[1].is_number_unsigned())
      fail("{}: 'attention_types' holds {}, expected names and a number", where, brief(stretch));
    for (std::uint64_t i = 0; i < stretch[1].get<std::uint64_t>() && kinds.size() < kMostBlocks; ++i)
      for (const json& name : stretch[0]) kinds.push_back(name.is_string() ? name.get<std::string>() : brief(name));
  }
  return kinds;
}

/// Windows on the blocks that are called "local".
std::vector<std::size_t> by_name(const json& config, std::size_t window, std::size_t blocks, const std::string& where) {
  const std::vector<std::string> kinds = kinds_of_blocks(config, blocks, where);
  if (kinds.size() != blocks) fail("{}: 'attention_types' names {} blocks of {}", where, kinds.size(), blocks);
  std::vector<std::size_t> result(blocks, 0);
  for (std::size_t b = 0; b < blocks; ++b) {
    if (kinds[b] != "local" && kinds[b] != "global")
      fail("{}: 'attention_types' holds '{}', expected local or global", where, kinds[b]);
    if (kinds[b] == "local") result[b] = window;
  }
  return result;
}

/// Keys that a token sees, by block; 0: all.
std::vector<std::size_t> windows(const json& config, const Family& family, std::size_t blocks,
                                 const std::string& where) {
  std::vector<std::size_t> result(blocks, 0);
  if (family.window == WindowRule::none) return result;
  if (family.window == WindowRule::refused && get_or<bool>(config, "use_sliding_window", false, where))
    fail("{}: sliding windows ('use_sliding_window') of {} models are not supported", where, family.model_type);
  const std::size_t window = size_or(config, "sliding_window", 0, where);
  if (window == 0) return result;
  if (family.window == WindowRule::local) return by_name(config, window, blocks, where);
  const bool by_step = family.window == WindowRule::pattern || family.window == WindowRule::after_dense;
  const bool always = family.window == WindowRule::every_block || by_step;
  if (!always && !get_or<bool>(config, "use_sliding_window", false, where)) return result;
  const auto types = config.find("layer_types");
  if (types != config.end() && types->is_array()) {
    if (types->size() != blocks) fail("{}: 'layer_types' has {} entries for {} blocks", where, types->size(), blocks);
    for (std::size_t b = 0; b < blocks; ++b) result[b] = (*types)[b] == "sliding_attention" ? window : 0;
    return result;
  }
  if (by_step) return by_pattern(config, family, window, blocks, where);
  std::size_t first = 0;
  if (family.window == WindowRule::upper_blocks) first = get_or<std::uint64_t>(config, "max_window_layers", 28, where);
  for (std::size_t b = first; b < blocks; ++b) result[b] = window;
  return result;
}

/// Whether rope_theta is given as null, which is another thing than leaving it out.
bool theta_is_null(const json& config) {
  for (const char* key : {"rope_scaling", "rope_parameters"})
    if (const auto it = config.find(key); it != config.end() && it->is_object() && it->contains("rope_theta"))
      return (*it)["rope_theta"].is_null();
  const auto it = config.find("rope_theta");
  return it != config.end() && it->is_null();
}

/// Whether each block has a rotary embedding.
std::vector<bool> rotated(const json& config, const Family& family, const Architecture& a, const std::string& where) {
  std::vector<bool> result(a.blocks, true);
  if (family.rope == RopeRule::every_block) return result;
  if (family.rope == RopeRule::when_theta) return std::vector<bool>(a.blocks, !theta_is_null(config));
  if (family.rope == RopeRule::never || family.rope == RopeRule::when_rope) {
    const bool named = family.rope == RopeRule::when_rope &&
                       get_or<std::string>(config, "position_embedding_type", "", where) == "rope";
    return std::vector<bool>(a.blocks, named);
  }
  if (family.rope == RopeRule::listed) {
    const auto list = get_or<std::vector<std::uint64_t>>(config, "no_rope_layers", {}, where);
    if (!list.empty() && list.size() < a.blocks)
      fail("{}: 'no_rope_layers' has {} entries for {} blocks", where, list.size(), a.blocks);
    const std::size_t every = size_or(config, "no_rope_layer_interval", 4, where);
    for (std::size_t b = 0; b < a.blocks; ++b) result[b] = list.empty() ? (b + 1) % every != 0 : list[b] != 0;
    return result;
  }
  if (family.rope == RopeRule::windowed_if_any && size_or(config, "sliding_window", 0, where) == 0) return result;
  const bool dense = family.rope == RopeRule::windowed_or_dense && size_or(config, kDensePattern, 1, where) == 1;
  for (std::size_t b = 0; b < a.blocks; ++b) result[b] = a.attention[b].window != 0 || (dense && !a.layout[b].mixture);
  return result;
}

/// The stretches that blocks with a rotary embedding see, unless layer_types says that they see all.
void parse_chunks(const json& config, const char* key, Architecture& a, const std::string& where) {
  const std::size_t chunk = key == nullptr ? 0 : size_or(config, key, 0, where);
  if (chunk == 0) return;
  const std::vector<std::string> types = names_by_block(config, "layer_types", a.blocks, where);
  for (std::size_t b = 0; b < a.blocks; ++b) {
    const bool chunked = types.empty() ? a.attention[b].rope != kNoRope : types[b] == "chunked_attention";
    if (chunked) a.attention[b].chunk = chunk;
  }
}

void parse_query_scale(const json& config, const QueryScaleKeys& keys, Architecture& a, const std::string& where) {
  if (keys.beta == nullptr) return;
  json settings = config;
  if (const auto it = config.find("rope_parameters"); it != config.end() && it->is_object()) settings.update(*it);
  if (keys.on != nullptr) {
    const auto on = settings.find(keys.on);  // true, or a number other than 0
    if (on == settings.end() || on->is_null() || *on == json(false) || *on == json(0)) return;
  }
  a.query_scale = {.beta = get_or<double>(settings, keys.beta, 0.0, where),
                   .length = positive(settings, keys.length, static_cast<double>(a.max_position), where),
                   .first = keys.first};
  if (a.query_scale.beta < 0) fail("{}: '{}' is negative", where, keys.beta);
  for (BlockAttention& block : a.attention)
    block.scales_query = a.query_scale.beta != 0 && (!keys.without_rope || block.rope == kNoRope);
}

/// A rotary embedding for each base that layer_rope_theta has; 0 is none.
void parse_layer_thetas(const json& config, Architecture& a, const std::string& where) {
  if (!has_value(config, "layer_rope_theta")) return;
  const auto thetas = get<std::vector<double>>(config, "layer_rope_theta", where);
  if (thetas.size() != a.blocks)
    fail("{}: 'layer_rope_theta' has {} entries for {} blocks", where, thetas.size(), a.blocks);
  const Rope usual = a.ropes.front();
  a.ropes.clear();
  for (std::size_t b = 0; b < a.blocks; ++b) {
    a.attention[b].rope = kNoRope;
    if (thetas[b] == 0.0) continue;
    if (!(thetas[b] > 0.0)) fail("{}: 'layer_rope_theta' holds {}", where, thetas[b]);
    const auto known = std::ranges::find(a.ropes, thetas[b], &Rope::theta);
    a.attention[b].rope = static_cast<std::size_t>(known - a.ropes.begin());
    if (known != a.ropes.end()) continue;
    a.ropes.push_back(usual);
    a.ropes.back().theta = thetas[b];
  }
  if (a.ropes.empty()) a.ropes.push_back(usual);
}

/// A positive number, or 0 when the key is missing, null or 0, or the family has none.
float cap(const json& config, const char* key, const std::string& where) {
  if (key == nullptr || get_or<double>(config, key, 0.0, where) == 0.0) return 0.0f;
  return static_cast<float>(positive(config, key, 1.0, where));
}

}  // namespace

void parse_attention(const json& config, const Family& family, Architecture& a, const std::string& where) {
  const std::vector<std::size_t> window = windows(config, family, a.blocks, where);
  for (std::size_t b = 0; b < a.blocks; ++b) a.attention[b].window = window[b];
  const std::vector<bool> has_rope = rotated(config, family, a, where);
  const bool latent = a.latent.kv_rank != 0;
  const std::size_t usual = latent ? a.latent.turned : a.head_dim;
  HeadSizes sizes{.full = usual, .windowed = usual};
  for (const BlockAttention& block : a.attention)  // blocks of one kind have heads of one size: parse_kinds checks it
    if (block.head_dim != 0) (block.window == 0 ? sizes.full : sizes.windowed) = block.head_dim;
  Ropes ropes = parse_ropes(config, family, sizes, a.max_position, where);
  const bool any_window = std::ranges::any_of(window, [](std::size_t keys) { return keys != 0; });
  const std::size_t windowed = ropes.windowed == ropes.full || !any_window ? 0 : 1;
  a.ropes = {std::move(ropes.full)};
  if (windowed != 0) a.ropes.push_back(std::move(ropes.windowed));
  for (std::size_t b = 0; b < a.blocks; ++b)
    a.attention[b].rope = !has_rope[b] ? kNoRope : window[b] == 0 ? 0 : windowed;
  parse_layer_thetas(config, a, where);
  // Yarn's factor for long contexts acts on the products, and so on the plain dimensions too.
  if (latent) a.scales.attention *= static_cast<float>(a.ropes[0].scores_factor);
  if (family.window == WindowRule::without_rope)
    for (BlockAttention& block : a.attention)
      if (block.rope != kNoRope) block.window = 0;
  parse_chunks(config, family.chunk_key, a, where);
  parse_query_scale(config, family.query_scale, a, where);
  a.qk_l2 = family.qk_l2_key != nullptr && get_or<bool>(config, family.qk_l2_key, true, where);
  a.sinks = family.sinks;
  if (family.alibi != 0.0) a.alibi = static_cast<float>(positive(config, "alibi_bias_max", family.alibi, where));
  a.clip_qkv = cap(config, "clip_qkv", where);
  a.attention_softcap = cap(config, family.attention_softcap_key, where);
  a.logit_softcap = cap(config, family.logit_softcap_key, where);
}

}  // namespace strata::model
