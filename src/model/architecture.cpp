// config.json -> Architecture: sizes that are checked, and what a family's row makes of the other keys.
// Keys and defaults are those of transformers.
#include "model/architecture.h"

#include <algorithm>
#include <cmath>

#include "model/config_values.h"
#include "model/families.h"
#include "model/mixers/mixer.h"
#include "model/parse.h"
#include "model/tensors.h"
#include "model/text_configuration.h"

namespace strata::model {
namespace {

bool bias(Bias rule, const char* key, const json& config, const std::string& where) {
  if (rule == Bias::config) return get_or<bool>(config, key, false, where);
  if (rule == Bias::unless_off) return get_or<bool>(config, "qkv_bias", true, where);
  return rule == Bias::always;
}

Scales parse_scales(const json& config, const Family& family, const Architecture& a, const std::string& where) {
  const auto factor = [&](const char* key, double fallback) {
    return key == nullptr ? fallback : positive(config, key, fallback, where);
  };
  const ScaleKeys& keys = family.scales;
  const bool by_hidden = keys.embedding_by_hidden &&
                         (keys.embedding_on == nullptr || get_or<bool>(config, keys.embedding_on, false, where));
  const double hidden = by_hidden ? std::sqrt(static_cast<double>(a.hidden)) : 1.0;
  const double query_size = factor(keys.query_size, static_cast<double>(a.head_dim));
  const double depth = std::sqrt(static_cast<double>(a.blocks)), width = static_cast<double>(a.hidden);
  const double attention = keys.plain_attention ? 1.0 : 1.0 / std::sqrt(query_size);
  return {.embedding = static_cast<float>(factor(keys.embedding, hidden)),
          .attention = static_cast<float>(factor(keys.attention, attention)),
          .residual = static_cast<float>(factor(keys.residual, 1.0) * (factor(keys.depth, depth) / depth)),
          .logits = static_cast<float>(factor(keys.logits, 1.0) / factor(keys.logits_divisor, 1.0) *
                                       (factor(keys.width, width) / width))};
}

Activation parse_activation(const json& config, const Family& family, const std::string& where) {
  if (family.clamped_swiglu) return Activation::clamped_swiglu;
  const auto name = get_or<std::string>(config, family.activation_key, "silu", where);
  if (name == "relu2" && !family.gated) return Activation::relu_squared;
  if (name == "relu" && !family.gated) return Activation::relu;
  if (name == "xielu" && !family.gated) return Activation::xielu;
  if (name == "silu" || name == "swish") return Activation::silu;
  if (name == "gelu_pytorch_tanh" || name == "gelu_new") return Activation::gelu_tanh;
  if (name == "gelu") return Activation::gelu;
  fail("{}: {} '{}' is not supported; known are silu, gelu_pytorch_tanh, gelu{}", where, family.activation_key, name,
       family.gated ? "" : ", relu, relu2, xielu");
}

void parse_sizes(const json& config, const Family& family, Architecture& a, const std::string& where) {
  a.hidden = size_of(config, "hidden_size", where);
  a.blocks = size_of(config, "num_hidden_layers", where);
  if (a.blocks > kMostBlocks) fail("{}: 'num_hidden_layers' is {}, expected at most {}", where, a.blocks, kMostBlocks);
  a.heads = size_of(config, "num_attention_heads", where);
  a.kv_heads = size_or(config, "num_key_value_heads", a.heads, where);
  if (const char* key = family.multi_query_key) a.kv_heads = get_or<bool>(config, key, true, where) ? 1 : a.heads;
  const std::size_t wide = family.default_widening * a.hidden;
  const char* width = family.intermediate_key;
  if (family.intermediate_fallback != nullptr && !has_value(config, width)) width = family.intermediate_fallback;
  a.intermediate = wide != 0 ? size_or(config, width, wide, where) : size_of(config, width, where);
  a.vocab = size_of(config, "vocab_size", where);
  a.max_position = size_or(config, "max_position_embeddings", 2048, where);
  if (!a.names.positions.empty()) a.learned = {.positions = a.max_position, .first = family.first_position};
}

/// How many heads each block has, where config.json says it by block.
void parse_heads(const json& config, const char* key, Architecture& a, const std::string& where) {
  if (key == nullptr || !has_value(config, key)) return;
  const auto heads = get<std::vector<std::uint64_t>>(config, key, where);
  if (heads.size() != a.blocks) fail("{}: '{}' has {} entries for {} blocks", where, key, heads.size(), a.blocks);
  for (std::size_t b = 0; b < a.blocks; ++b) {
    if (heads[b] == 0 || heads[b] > kLargestSize) fail("{}: '{}' holds {}", where, key, heads[b]);
    check_heads(heads[b], a.kv_heads, a.head_dim, where);
    a.attention[b].heads = heads[b];
  }
}

/// Whether a gate of what attention puts out is one a head.
bool gates_by_head(const json& config, const Family& family, const std::string& where) {
  if (family.gate_key == nullptr || !config.contains(family.gate_key)) return family.gate_by_head;
  const json& said = config[family.gate_key];
  if (said == json(true) || said == json("per-head")) return true;
  if (said == json("per-element")) return false;
  fail("{}: '{}' is {}, expected true, per-head or per-element", where, family.gate_key, brief(said));
}

/// Experts, mixers, and the sizes of heads unless the mixer has sized them.
void parse_parts(const json& config, const Family& family, Architecture& a, const std::string& where) {
  parse_mixture(config, family.mixture, a, where);
  a.attention.resize(a.blocks);
  mixer_kind(family.mixer).parse(config, family, a, where);
  if (a.head_dim != 0) return;
  a.head_dim =
      size_or(config, "head_dim", family.default_head_dim != 0 ? family.default_head_dim : a.hidden / a.heads, where);
  check_heads(a.heads, a.kv_heads, a.head_dim, where);
  parse_heads(config, family.heads_key, a, where);
}

/// Gives config.json the spelling that most families share and the family's defaults, and refuses what is not computed.
void settle_keys(json& config, const Family& family, bool wrapped, const std::string& where) {
  const std::string type(family.model_type);
  if (const char* key = family.inner_key; key != nullptr && config.contains(key) && config[key].is_object())
    config.update(json(config[key]));
  const json spelled = parse_json(family.spelled, "spellings of " + type);
  for (const auto& [key, own] : spelled.items())
    if (const auto it = config.find(own.get<std::string>()); it != config.end() && !config.contains(key))
      config[key] = json(*it);
  json defaults = parse_json(family.defaults, "defaults of " + type);
  if (wrapped) defaults.update(parse_json(family.text_defaults, "defaults of text parts of " + type));
  const auto says_nothing = [&](const std::string& key) {  // null turns windows and caps off, but is no activation
    return !config.contains(key) || (key == family.activation_key && config[key].is_null());
  };
  for (const auto& [key, value] : defaults.items())
    if (says_nothing(key)) config[key] = value;

  const json only = parse_json(family.only, "what is computed of " + type);
  const auto computed = [](const json& value, const json& given) {
    return value.is_array() ? std::ranges::find(value, given) != value.end() : value == given;
  };
  for (const auto& [key, value] : only.items())
    if (has_value(config, key.c_str()) && !computed(value, config[key]))
      fail("{}: '{}' is {}, and what {} models compute then is not computed here", where, key, brief(config[key]),
           type);
}

}  // namespace

void check_heads(std::size_t heads, std::size_t kv_heads, std::size_t head_dim, const std::string& where) {
  if (heads % kv_heads != 0)
    fail("{}: {} attention heads cannot be shared by {} key-value heads", where, heads, kv_heads);
  if (head_dim == 0 || head_dim % 2 != 0) fail("{}: head_dim {} must be even and positive", where, head_dim);
  if (heads > kLargestSize / head_dim) fail("{}: {} heads of {} are too large", where, heads, head_dim);
}

std::size_t Architecture::q_size() const {
  std::size_t most = attention.empty() ? heads * head_dim : 0;
  for (const BlockAttention& of : attention) most = std::max(most, heads_of(of) * head_size(of));
  return most;
}

std::size_t Architecture::kv_size() const {
  std::size_t most = attention.empty() ? kv_heads * head_dim : 0;
  for (const BlockAttention& of : attention) most = std::max(most, kv_heads_of(of) * head_size(of));
  return most;
}

std::size_t Architecture::dense_size() const {
  std::size_t most = intermediate;
  for (std::size_t b = 0; b < layout.size(); ++b) most = std::max(most, dense_size(b));
  return most;
}

std::size_t Architecture::mixed_size(std::size_t block) const {
  return mixer_kind(*this, block).sizes(*this, block).mixed;
}

std::size_t Architecture::mixed_size() const {
  std::size_t most = 0;
  for (std::size_t b = 0; b < blocks; ++b) most = std::max(most, mixed_size(b));
  return most;
}

std::size_t Architecture::cache_size(std::size_t block) const {
  return mixer_kind(*this, block).sizes(*this, block).cache;
}

std::size_t Architecture::state_size(std::size_t block) const {
  return mixer_kind(*this, block).sizes(*this, block).state;
}

namespace {
/// Whether only a block whose dense part stands beside its experts has such a norm.
bool stands_beside_experts(Norm norm) {
  return norm == Norm::after_dense || norm == Norm::before_experts || norm == Norm::after_experts;
}

bool is_of_mixer(Norm norm) { return std::ranges::find(kMixerNorms, norm) != kMixerNorms.end(); }
}  // namespace

bool Architecture::has(Norm norm, std::size_t block) const {
  if (block == kNoBlock) return norm == Norm::last || (norm == Norm::first && has(norm));
  if (is_of_mixer(norm)) return norm_size(norm, block) != 0;
  if (stands_beside_experts(norm) && !layout[block].mixture) return false;
  if ((norm == Norm::before_attention || norm == Norm::after_attention) && !mixes(block)) return false;
  if ((norm == Norm::before_feed_forward || norm == Norm::after_feed_forward) && !feeds(block)) return false;
  return norm != Norm::last && norm != Norm::first && has(norm) && !norm_part(*this, norm, block).empty();
}

bool Architecture::has(Norm norm) const {
  if (is_of_mixer(norm)) {
    std::size_t block = 0;
    while (block < blocks && !has(norm, block)) ++block;
    return block < blocks;
  }
  if (stands_beside_experts(norm) && !experts.beside_dense) return false;
  if (norm == Norm::after_embedding && block_embedding.size == 0) return false;
  return !names.norm(norm).empty() || (names.attending != nullptr && !names.attending->norm(norm).empty());
}

bool Architecture::has_weights(Norm norm) const { return norm_weights || is_of_mixer(norm); }

bool Architecture::has_bias(Norm norm) const { return norm_bias && !is_of_mixer(norm); }

std::size_t Architecture::norm_size(Norm norm, std::size_t block) const {
  return is_of_mixer(norm) ? mixer_kind(*this, block).norm_size(*this, norm, block) : hidden;
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
  const std::size_t widest = std::max({dense_size(), experts.intermediate, experts.shared_intermediate});
  const std::size_t beside = shared_size + (block_embedding.size == 0 ? 0 : 2 * hidden + 2 * block_embedding.size);
  std::size_t mixers = 0;
  for (const MixerKind* kind : mixer_kinds()) mixers += kind->floats(*this);
  return 4 * hidden + mixers + 2 * widest + beside +
         (experts.count == 0 ? 0 : 2 * hidden + 2 * experts.latent + experts.count);
}

namespace {

Architecture parse_of_family(json config, const Family* family, bool wrapped, const std::string& where) {
  const auto type = get<std::string>(config, "model_type", where);
  settle_keys(config, *family, wrapped, where);
  mixer_kind(family->mixer).prepare(config, *family, where);

  Architecture a;
  a.model_type = type;
  static_cast<TensorNames&>(a.names) = family->names;
  if (family->by_decoder) parse_decoder(config, a, where);
  parse_sizes(config, *family, a, where);
  a.norm_epsilon = static_cast<float>(positive(config, family->norm_epsilon_key, family->default_norm_epsilon, where));
  if (family->index_key != nullptr) a.whole_positions = size_of(config, family->index_key, where);
  a.norm_offset = family->norm_offset;
  a.norm_kind = family->norm_kind;
  if (const char* key = family->rms_epsilon_key; key != nullptr && has_value(config, key)) {
    a.norm_kind = NormKind::rms;
    a.norm_epsilon = static_cast<float>(positive(config, key, 1.0, where));
  }
  a.norm_bias = family->norm_bias;
  a.norm_weights = family->norm_weights;
  a.parallel = family->parallel;
  if (family->parallel_key != nullptr) a.parallel = get_or<bool>(config, family->parallel_key, a.parallel, where);
  a.activation = parse_activation(config, *family, where);
  a.gated = family->gated;
  a.swiglu = {.limit = static_cast<float>(positive(config, "swiglu_limit", 7.0, where)),
              .alpha = static_cast<float>(positive(config, "swiglu_alpha", 1.702, where))};
  a.qkv_bias = bias(family->qkv_bias, family->qkv_bias_key, config, where);
  a.o_bias = bias(family->o_bias, family->o_bias_key, config, where);
  a.mlp_bias = family->mlp_bias_key != nullptr && get_or<bool>(config, family->mlp_bias_key, false, where);
  a.qkv_by_key_heads = family->qkv_by_key_heads;
  a.turned_linears = family->turned_linears;
  a.embedding_query = family->embedding_query;
  if (family->gate_apart) a.output_gate = OutputGate::apart;
  a.gate_by_head = gates_by_head(config, *family, where);
  a.gate_softplus = family->gate_softplus;
  a.qk_norm_turned = family->qk_norm_turned;
  if (!family->qk_norm_key || get_or<bool>(config, "use_qk_norm", false, where)) a.qk_norm = family->qk_norm;
  a.tied = get_or<bool>(config, "tie_word_embeddings", family->default_tied, where);
  if (family->tied_key != nullptr) a.tied = get_or<bool>(config, family->tied_key, a.tied, where);
  a.head_bias = family->head_bias_key != nullptr && get_or<bool>(config, family->head_bias_key, false, where);
  if (a.tied && a.head_bias) fail("{}: a head that is the embedding and has a bias is not computed here", where);
  parse_parts(config, *family, a, where);
  a.scales = parse_scales(config, *family, a, where);
  if (family->by_kind) parse_kinds(config, a, where);
  parse_attention(config, *family, a, where);
  if (family->by_kind) parse_block_embedding(config, a, where);
  list_linears(a);
  return a;
}

/// What files of the family call the keys that a message names. Empty where it names none.
std::string own_names(std::string_view message, const json& config, const Family& family) {
  std::string names;
  const json spelled = parse_json(family.spelled, "spellings of a family");
  for (const auto& [key, own] : spelled.items())
    if (!config.contains(key) && message.find(fmt::format("'{}'", key)) != std::string_view::npos)
      names += fmt::format("; '{}' is called '{}' in files of {}", key, own.get<std::string>(), family.model_type);
  return names;
}

}  // namespace

Architecture parse_architecture(const json& whole, const std::string& where, std::span<const Family> table) {
  const json config = text_configuration(whole, where);
  const auto type = get<std::string>(config, "model_type", where);
  const Family* family = find_family(type, table);
  if (family == nullptr) fail("{}: model_type '{}' is not known; known are {}", where, type, known_families(table));
  try {
    return parse_of_family(config, family, is_wrapper(whole), where);
  } catch (const Error& error) {
    throw Error(error.what() + own_names(error.what(), config, *family));
  }
}

Architecture parse_architecture(const json& config, const std::string& where) {
  return parse_architecture(config, where, families());
}

}  // namespace strata::model
