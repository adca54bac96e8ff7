// config.json -> Architecture: sizes that are checked, and what a family's row makes of the other keys.
// Keys and defaults are those of transformers.
#include "model/architecture.h"

#include <algorithm>
#include <cmath>

#include "model/config_values.h"
#include "model/families.h"

namespace strata::model {
namespace {

/// Keys that a token sees, by block; 0: all.
std::vector<std::size_t> windows(const json& config, const Family& family, std::size_t blocks,
                                 const std::string& where) {
  std::vector<std::size_t> result(blocks, 0);
  if (family.window == WindowRule::none) return result;
  if (family.window == WindowRule::refused && get_or<bool>(config, "use_sliding_window", false, where))
    fail("{}: sliding windows ('use_sliding_window') of {} models are not supported", where, family.model_type);
  const std::size_t window = size_or(config, "sliding_window", 0, where);
  if (window == 0) return result;
  if (family.window != WindowRule::every_block && !get_or<bool>(config, "use_sliding_window", false, where))
    return result;
  const auto types = config.find("layer_types");
  if (types != config.end() && types->is_array()) {
    if (types->size() != blocks) fail("{}: 'layer_types' has {} entries for {} blocks", where, types->size(), blocks);
    for (std::size_t b = 0; b < blocks; ++b) result[b] = (*types)[b] == "sliding_attention" ? window : 0;
    return result;
  }
  std::size_t first = 0;
  if (family.window == WindowRule::upper_blocks) first = get_or<std::uint64_t>(config, "max_window_layers", 28, where);
  for (std::size_t b = first; b < blocks; ++b) result[b] = window;
  return result;
}

bool bias(Bias rule, const json& config, const std::string& where) {
  if (rule == Bias::config) return get_or<bool>(config, "attention_bias", false, where);
  if (rule == Bias::unless_off) return get_or<bool>(config, "qkv_bias", true, where);
  return rule == Bias::always;
}

void parse_experts(const json& config, const Mixture& mixture, Architecture& a, const std::string& where) {
  constexpr std::size_t most_experts = std::size_t{1} << 17;  // in all blocks together
  Experts& e = a.experts = mixture.experts;
  const char* count_key = mixture.count_key;
  for (const char* key : {"num_local_experts", "n_routed_experts"})
    if (config.contains(key)) count_key = key;
  e.count = size_of(config, count_key, where);
  e.used = size_of(config, "num_experts_per_tok", where);
  e.intermediate = size_of(config, mixture.size_key, where);
  if (e.count * a.blocks > most_experts || e.count * e.intermediate > kLargestSize)
    fail("{}: '{}' is {}, too many for {} blocks of experts with {} rows", where, count_key, e.count, a.blocks,
         e.intermediate);
  if (e.used > e.count) fail("{}: 'num_experts_per_tok' is {}, but there are {} experts", where, e.used, e.count);
  e.normalize = get_or<bool>(config, "norm_topk_prob", e.normalize, where);
  if (mixture.shared_size_key != nullptr) e.shared_intermediate = size_of(config, mixture.shared_size_key, where);
  if (mixture.shared_count_key != nullptr) {
    e.shared_intermediate = size_of(config, mixture.shared_count_key, where) * e.intermediate;
    if (e.shared_intermediate > kLargestSize)
      fail("{}: the shared expert has {} rows, expected at most {}", where, e.shared_intermediate, kLargestSize);
  }
  if (e.score == Experts::Score::sigmoid) {
    e.scale = static_cast<float>(positive(config, "routed_scaling_factor", 1.0, where));
    e.groups = size_or(config, "n_group", 1, where);
    e.groups_used = size_or(config, "topk_group", 1, where);
    if (e.count % e.groups != 0 || e.groups_used > e.groups || e.count / e.groups < 2 ||
        e.used > e.count / e.groups * e.groups_used)
      fail("{}: {} of {} experts cannot be chosen from {} of 'n_group' {}", where, e.used, e.count, e.groups_used,
           e.groups);
  }
}

/// Finds out which blocks are mixtures.
void parse_layout(const json& config, const Mixture* mixture, Architecture& a, const std::string& where) {
  a.layout.assign(a.blocks, {0, 0, mixture != nullptr});
  if (mixture == nullptr) return;
  const auto dense = get_or<std::uint64_t>(config, "first_k_dense_replace", mixture->first_dense, where);
  const std::size_t step = size_or(config, "decoder_sparse_step", 1, where);
  for (std::size_t b = 0; b < a.blocks; ++b) a.layout[b].mixture = b >= dense && (b + 1) % step == 0;
  const auto listed = config.find("mlp_only_layers");
  if (listed == config.end() || listed->is_null()) return;
  for (const auto block : get<std::vector<std::uint64_t>>(config, "mlp_only_layers", where))
    if (block < a.blocks) a.layout[block].mixture = false;
}

/// Windows and rotary embeddings of all blocks.
void parse_attention(const json& config, const Family& family, Architecture& a, const std::string& where) {
  a.attention.resize(a.blocks);
  const std::vector<std::size_t> window = windows(config, family, a.blocks, where);
  for (std::size_t b = 0; b < a.blocks; ++b) a.attention[b].window = window[b];
  a.ropes = {parse_rope(config, family, a.head_dim, a.max_position, where)};
  if (family.window_rope_key == nullptr) return;
  a.ropes.push_back(
      {.theta = positive(config, family.window_rope_key, family.default_rope_theta, where), .dims = a.ropes[0].dims});
  for (BlockAttention& block : a.attention) block.rope = block.window == 0 ? 0 : 1;
}

Scales parse_scales(const json& config, const Family& family, const Architecture& a, const std::string& where) {
  const auto factor = [&](const char* key, double fallback) {
    return key == nullptr ? fallback : positive(config, key, fallback, where);
  };
  const ScaleKeys& keys = family.scales;
  const double hidden = keys.embedding_by_hidden ? std::sqrt(static_cast<double>(a.hidden)) : 1.0;
  const double query_size = factor(keys.query_size, static_cast<double>(a.head_dim));
  return {.embedding = static_cast<float>(factor(keys.embedding, hidden)),
          .attention = static_cast<float>(factor(keys.attention, 1.0 / std::sqrt(query_size))),
          .residual = static_cast<float>(factor(keys.residual, 1.0)),
          .logits = static_cast<float>(1.0 / factor(keys.logits_divisor, 1.0))};
}

Activation parse_activation(const json& config, const Family& family, const std::string& where) {
  const auto name = get_or<std::string>(config, family.activation_key, "silu", where);
  if (name == "silu" || name == "swish") return Activation::silu;
  if (name == "gelu_pytorch_tanh" || name == "gelu_new") return Activation::gelu_tanh;
  fail("{}: {} '{}' is not supported; known are silu, gelu_pytorch_tanh", where, family.activation_key, name);
}

void parse_sizes(const json& config, const Family& family, Architecture& a, const std::string& where) {
  a.hidden = size_of(config, "hidden_size", where);
  a.blocks = size_of(config, "num_hidden_layers", where);
  a.heads = size_of(config, "num_attention_heads", where);
  a.kv_heads = size_or(config, "num_key_value_heads", a.heads, where);
  a.intermediate = size_of(config, "intermediate_size", where);
  a.vocab = size_of(config, "vocab_size", where);
  a.max_position = size_or(config, "max_position_embeddings", 2048, where);
  a.head_dim =
      size_or(config, "head_dim", family.default_head_dim != 0 ? family.default_head_dim : a.hidden / a.heads, where);
  if (a.blocks > 10000) fail("{}: 'num_hidden_layers' is {}, expected at most 10000", where, a.blocks);
  if (a.heads % a.kv_heads != 0)
    fail("{}: {} attention heads cannot be shared by {} key-value heads", where, a.heads, a.kv_heads);
  if (a.head_dim == 0 || a.head_dim % 2 != 0) fail("{}: head_dim {} must be even and positive", where, a.head_dim);
  if (a.heads > kLargestSize / a.head_dim) fail("{}: {} heads of {} are too large", where, a.heads, a.head_dim);
}

}  // namespace

bool Architecture::has(Norm norm) const {
  const bool of_heads = norm == Norm::q || norm == Norm::k;
  return of_heads ? qk_norm != QkNorm::none : !names.norm(norm).empty();
}

std::size_t Architecture::norm_size(Norm norm) const {
  if (norm != Norm::q && norm != Norm::k) return hidden;
  if (qk_norm == QkNorm::per_head) return head_dim;
  return norm == Norm::q ? q_size() : kv_size();
}

bool Architecture::adds_outputs_plainly() const {
  return !has(Norm::after_attention) && !has(Norm::after_feed_forward) && scales.residual == 1.0f;
}

std::uint64_t Architecture::block_linear_weights() const {
  std::uint64_t total = 0;
  for (const Linear& linear : linears)
    if (linear.block != kNoBlock) total += linear.rows * linear.cols;
  return total;
}

std::size_t Architecture::activations_per_token() const {
  const std::size_t widest = std::max({intermediate, experts.intermediate, experts.shared_intermediate});
  return 4 * hidden + 2 * q_size() + 2 * kv_size() + 2 * widest + (experts.count == 0 ? 0 : 2 * hidden + experts.count);
}

Architecture parse_architecture(const json& config, const std::string& where, std::span<const Family> table) {
  if (!config.is_object()) fail("{}: expected a JSON object", where);
  const auto type = get<std::string>(config, "model_type", where);
  const Family* family = find_family(type, table);
  if (family == nullptr) fail("{}: model_type '{}' is not known; known are {}", where, type, known_families(table));

  Architecture a;
  a.model_type = type;
  a.names = family->names;
  parse_sizes(config, *family, a, where);
  a.norm_epsilon = static_cast<float>(positive(config, "rms_norm_eps", family->default_norm_epsilon, where));
  a.norm_offset = family->norm_offset;
  a.activation = parse_activation(config, *family, where);
  a.qkv_bias = bias(family->qkv_bias, config, where);
  a.o_bias = bias(family->o_bias, config, where);
  a.mlp_bias = family->mlp_bias_key && get_or<bool>(config, "mlp_bias", false, where);
  if (!family->qk_norm_key || get_or<bool>(config, "use_qk_norm", false, where)) a.qk_norm = family->qk_norm;
  if (const auto clip = config.find("clip_qkv"); clip != config.end() && !clip->is_null())
    fail("{}: 'clip_qkv' is not supported", where);
  a.tied = get_or<bool>(config, "tie_word_embeddings", family->default_tied, where);
  a.scales = parse_scales(config, *family, a, where);
  parse_attention(config, *family, a, where);
  if (family->mixture != nullptr) parse_experts(config, *family->mixture, a, where);
  parse_layout(config, family->mixture, a, where);
  list_linears(a);
  return a;
}

Architecture parse_architecture(const json& config, const std::string& where) {
  return parse_architecture(config, where, families());
}

}  // namespace strata::model
