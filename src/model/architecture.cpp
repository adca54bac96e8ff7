// config.json -> Architecture: checked sizes, the rotary embedding, and the list of linears with their fusion groups.
// Keys and defaults are those of transformers (both the rope_scaling of version 4 and the rope_parameters of 5).
#include "model/architecture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "model/families.h"

namespace strata::model {
namespace {

constexpr std::size_t kLargestSize = std::size_t{1} << 24;

std::size_t size_of(const json& config, const char* key, const std::string& where) {
  const auto value = get<std::uint64_t>(config, key, where);
  if (value == 0 || value > kLargestSize) fail("{}: '{}' is {}, expected 1 to {}", where, key, value, kLargestSize);
  return value;
}

std::size_t size_or(const json& config, const char* key, std::size_t fallback, const std::string& where) {
  const auto it = config.find(key);
  return it == config.end() || it->is_null() ? fallback : size_of(config, key, where);
}

double positive(const json& object, const char* key, double fallback, const std::string& where) {
  const auto value = get_or<double>(object, key, fallback, where);
  if (!(value > 0) || !std::isfinite(value)) fail("{}: '{}' is {}, expected a positive number", where, key, value);
  return value;
}

Rope parse_rope(const json& config, const Family& family, std::size_t max_position, const std::string& where) {
  Rope rope;
  rope.theta = positive(config, "rope_theta", family.default_rope_theta, where);
  rope.original_max_position = max_position;
  const char* key = config.contains("rope_parameters") ? "rope_parameters" : "rope_scaling";
  const auto it = config.find(key);
  if (it == config.end() || it->is_null()) return rope;
  if (!it->is_object()) fail("{}: '{}' is not an object", where, key);
  const json& scaling = *it;
  rope.theta = positive(scaling, "rope_theta", rope.theta, where);
  const auto kind =
      get_or<std::string>(scaling, "rope_type", get_or<std::string>(scaling, "type", "default", where), where);
  if (kind == "default") return rope;
  if (kind == "linear") {
    rope.scaling = Rope::Scaling::linear;
  } else if (kind == "dynamic") {
    rope.scaling = Rope::Scaling::dynamic;
  } else if (kind == "llama3") {
    rope.scaling = Rope::Scaling::llama3;
    rope.low_freq_factor = positive(scaling, "low_freq_factor", 1.0, where);
    rope.high_freq_factor = positive(scaling, "high_freq_factor", 4.0, where);
    rope.original_max_position = size_or(scaling, "original_max_position_embeddings", max_position, where);
    if (rope.high_freq_factor <= rope.low_freq_factor)
      fail("{}: '{}.high_freq_factor' must exceed low_freq_factor", where, key);
  } else {
    fail("{}: rope type '{}' is not supported; known are default, linear, dynamic, llama3", where, kind);
  }
  rope.factor = positive(scaling, "factor", 1.0, where);
  return rope;
}

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

/// Rotated dimensions of a head.
std::size_t rotary_dims(const json& config, const Family& family, std::size_t head_dim, const std::string& where) {
  double share = positive(config, "partial_rotary_factor", family.default_rotary_share, where);
  for (const char* key : {"rope_parameters", "rope_scaling"})
    if (const auto it = config.find(key); it != config.end() && it->is_object())
      share = positive(*it, "partial_rotary_factor", share, where);
  const auto dims = static_cast<std::size_t>(static_cast<double>(head_dim) * std::min(share, 2.0));
  if (dims == 0 || dims % 2 != 0 || dims > head_dim)
    fail("{}: 'partial_rotary_factor' {} of a head of {} is not an even part of it", where, share, head_dim);
  return dims;
}

void parse_experts(const json& config, const Mixture& mixture, Architecture& a, const std::string& where) {
  constexpr std::size_t most_experts = std::size_t{1} << 17;  // of all blocks
  Experts& e = a.experts = mixture.experts;
  const char* count_key = "num_experts";
  for (const char* key : {"num_local_experts", "n_routed_experts"})
    if (config.contains(key)) count_key = key;
  e.count = size_of(config, count_key, where);
  e.used = size_of(config, "num_experts_per_tok", where);
  e.intermediate = size_of(config, std::string(mixture.size_key).c_str(), where);
  if (e.count * a.blocks > most_experts || e.count * e.intermediate > kLargestSize)
    fail("{}: '{}' is {}, too many for {} blocks of experts with {} rows", where, count_key, e.count, a.blocks,
         e.intermediate);
  if (e.used > e.count) fail("{}: 'num_experts_per_tok' is {}, but there are {} experts", where, e.used, e.count);
  e.normalize = get_or<bool>(config, "norm_topk_prob", e.normalize, where);
  if (!mixture.shared_size_key.empty())
    e.shared_intermediate = size_of(config, std::string(mixture.shared_size_key).c_str(), where);
  if (!mixture.shared_count_key.empty()) {
    e.shared_intermediate = size_of(config, std::string(mixture.shared_count_key).c_str(), where) * e.intermediate;
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

/// Which blocks are mixtures.
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

}  // namespace

std::string_view role_name(Role role) {
  constexpr std::array<std::string_view, 9> names = {"q", "k", "v", "o", "gate", "up", "down", "lm_head", "embed"};
  return names[static_cast<std::size_t>(role)];
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

Architecture parse_architecture(const json& config, const std::string& where) {
  if (!config.is_object()) fail("{}: expected a JSON object", where);
  const auto type = get<std::string>(config, "model_type", where);
  const Family* family = find_family(type);
  if (family == nullptr) fail("{}: model_type '{}' is not known; known are {}", where, type, known_families());

  Architecture a;
  a.model_type = type;
  a.hidden = size_of(config, "hidden_size", where);
  a.blocks = size_of(config, "num_hidden_layers", where);
  a.heads = size_of(config, "num_attention_heads", where);
  a.kv_heads = size_or(config, "num_key_value_heads", a.heads, where);
  a.intermediate = size_of(config, "intermediate_size", where);
  a.vocab = size_of(config, "vocab_size", where);
  a.max_position = size_or(config, "max_position_embeddings", 2048, where);
  a.head_dim =
      size_or(config, "head_dim", family->default_head_dim != 0 ? family->default_head_dim : a.hidden / a.heads, where);
  if (a.blocks > 10000) fail("{}: 'num_hidden_layers' is {}, expected at most 10000", where, a.blocks);
  if (a.heads % a.kv_heads != 0)
    fail("{}: {} attention heads cannot be shared by {} key-value heads", where, a.heads, a.kv_heads);
  if (a.head_dim == 0 || a.head_dim % 2 != 0) fail("{}: head_dim {} must be even and positive", where, a.head_dim);
  if (a.heads > kLargestSize / a.head_dim) fail("{}: {} heads of {} are too large", where, a.heads, a.head_dim);

  a.norm_epsilon = static_cast<float>(positive(config, "rms_norm_eps", family->default_norm_epsilon, where));
  const auto act = get_or<std::string>(config, "hidden_act", "silu", where);
  if (act == "silu" || act == "swish")
    a.activation = Activation::silu;
  else if (act == "gelu_pytorch_tanh" || act == "gelu_new")
    a.activation = Activation::gelu_tanh;
  else
    fail("{}: hidden_act '{}' is not supported; known are silu, gelu_pytorch_tanh", where, act);
  a.qkv_bias = bias(family->qkv_bias, config, where);
  a.o_bias = bias(family->o_bias, config, where);
  a.mlp_bias = family->mlp_bias_key && get_or<bool>(config, "mlp_bias", false, where);
  if (!family->qk_norm_key || get_or<bool>(config, "use_qk_norm", false, where)) a.qk_norm = family->qk_norm;
  if (const auto clip = config.find("clip_qkv"); clip != config.end() && !clip->is_null())
    fail("{}: 'clip_qkv' is not supported", where);
  a.tied = get_or<bool>(config, "tie_word_embeddings", false, where);
  a.window = windows(config, *family, a.blocks, where);
  a.rope = parse_rope(config, *family, a.max_position, where);
  a.rope.dims = rotary_dims(config, *family, a.head_dim, where);
  if (family->mixture != nullptr) parse_experts(config, *family->mixture, a, where);
  parse_layout(config, family->mixture, a, where);
  list_linears(a);
  return a;
}

std::size_t Architecture::first_block(const FusionGroup& group) const {
  if (linears[group.linears.front()].role == Role::embed) return 0;
  return std::min(group.block, blocks);
}

std::size_t Architecture::index(std::size_t block, Role role, std::size_t expert) const {
  const auto at = static_cast<std::size_t>(role);
  constexpr auto gate = static_cast<std::size_t>(Role::gate);
  if (at < gate || !layout[block].mixture) return layout[block].first + at;
  constexpr std::size_t each = 3;
  const std::size_t shared = experts.shared_intermediate == 0 ? 0 : each;
  STRATA_CHECK(expert < experts.count || (expert == kSharedExpert && shared != 0), "expert {} of {}", expert,
               experts.count);
  return layout[block].first + at + (expert == kSharedExpert ? 0 : shared + each * expert);
}

namespace {

/// Appends linears and groups in their order.
class Lister {
 public:
  Lister(Architecture& a, Fusion fusion) : a_(a), single_(fusion == Fusion::single) {}

  /// Of the linears that follow, which may each be a group of its own instead.
  void group(std::string name, std::size_t block) {
    block_ = block;
    if (!single_) a_.groups.push_back({std::move(name), block, {}});
  }
  void linear(std::string module, Role role, std::size_t rows, std::size_t cols, bool bias,
              std::size_t expert = kNoExpert) {
    if (single_) a_.groups.push_back({module, block_, {}});
    append(a_.groups.size() - 1, std::move(module), role, rows, cols, bias, expert);
  }

  void attention(std::size_t b) {
    const std::string prefix = fmt::format("model.layers.{}.self_attn.", b);
    group(prefix + "qkv_proj", b);
    linear(prefix + "q_proj", Role::q, a_.q_size(), a_.hidden, a_.qkv_bias);
    linear(prefix + "k_proj", Role::k, a_.kv_size(), a_.hidden, a_.qkv_bias);
    linear(prefix + "v_proj", Role::v, a_.kv_size(), a_.hidden, a_.qkv_bias);
    group(prefix + "o_proj", b);
    linear(prefix + "o_proj", Role::o, a_.hidden, a_.q_size(), a_.o_bias);
  }

  /// gate and up share a runtime's matrix, down has its own.
  void feed_forward(const std::string& prefix, std::size_t b, std::size_t intermediate, bool bias,
                    std::size_t expert = kNoExpert) {
    group(prefix + "gate_up_proj", b);
    linear(prefix + "gate_proj", Role::gate, intermediate, a_.hidden, bias, expert);
    linear(prefix + "up_proj", Role::up, intermediate, a_.hidden, bias, expert);
    group(prefix + "down_proj", b);
    linear(prefix + "down_proj", Role::down, a_.hidden, intermediate, bias, expert);
  }

  /// Runtimes stack all experts of a block, so that they share one codec; GGUF has a stack each of gate, up and down.
  void mixture(std::size_t b) {
    const Experts& e = a_.experts;
    const std::string prefix = fmt::format("model.layers.{}.{}.", b, e.module);
    if (e.shared_intermediate != 0)
      feed_forward(fmt::format("{}{}.", prefix, e.shared_module), b, e.shared_intermediate, false, kSharedExpert);
    const std::size_t first = a_.groups.size(), next = single_ ? 1 : 0;
    if (single_)
      for (const std::string_view name : {e.gate, e.up, e.down})
        a_.groups.push_back({fmt::format("{}experts.{}", prefix, name), b, {}});
    else
      a_.groups.push_back({prefix + "experts", b, {}});
    for (std::size_t i = 0; i < e.count; ++i) {
      const std::string expert = fmt::format("{}experts.{}.", prefix, i);
      append(first, expert + std::string(e.gate), Role::gate, e.intermediate, a_.hidden, false, i);
      append(first + next, expert + std::string(e.up), Role::up, e.intermediate, a_.hidden, false, i);
      append(first + 2 * next, expert + std::string(e.down), Role::down, a_.hidden, e.intermediate, false, i);
    }
  }

 private:
  void append(std::size_t group, std::string module, Role role, std::size_t rows, std::size_t cols, bool bias,
              std::size_t expert) {
    a_.groups[group].linears.push_back(a_.linears.size());
    a_.linears.push_back({std::move(module), role, a_.groups[group].block, rows, cols, bias, group, expert});
  }

  Architecture& a_;
  bool single_;
  std::size_t block_ = 0;
};

}  // namespace

void list_linears(Architecture& a, Fusion fusion) {
  a.linears.clear();
  a.groups.clear();
  a.layout.resize(a.blocks, {0, 0, false});
  Lister list(a, fusion);
  for (std::size_t b = 0; b < a.blocks; ++b) {
    BlockLinears& block = a.layout[b];
    block.first = a.linears.size();
    list.attention(b);
    if (block.mixture)
      list.mixture(b);
    else
      list.feed_forward(fmt::format("model.layers.{}.mlp.", b), b, a.intermediate, a.mlp_bias);
    block.count = a.linears.size() - block.first;
  }
  if (!a.tied || fusion == Fusion::single) list.group("lm_head", kNoBlock);
  if (!a.tied) list.linear("lm_head", Role::lm_head, a.vocab, a.hidden, false);
  if (fusion == Fusion::single) list.linear("model.embed_tokens", Role::embed, a.vocab, a.hidden, false);
}

std::vector<double> inverse_frequencies(const Architecture& a, std::size_t last_position) {
  const Rope& rope = a.rope;
  const auto dim = static_cast<double>(rope.dims);
  double theta = rope.theta;
  const auto length = static_cast<double>(last_position + 1);
  const auto original = static_cast<double>(rope.original_max_position);
  if (rope.scaling == Rope::Scaling::dynamic && length > original)
    theta *= std::pow(rope.factor * length / original - (rope.factor - 1), dim / (dim - 2));
  std::vector<double> result(rope.dims / 2);
  for (std::size_t i = 0; i < result.size(); ++i) {
    double frequency = 1.0 / std::pow(theta, 2.0 * static_cast<double>(i) / dim);
    if (rope.scaling == Rope::Scaling::linear) frequency /= rope.factor;
    if (rope.scaling == Rope::Scaling::llama3) {
      const double wavelength = 2.0 * std::numbers::pi / frequency;
      const double low = original / rope.low_freq_factor, high = original / rope.high_freq_factor;
      if (wavelength > low) {
        frequency /= rope.factor;
      } else if (wavelength >= high) {
        const double smooth =
            (original / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
        frequency = (1 - smooth) * frequency / rope.factor + smooth * frequency;
      }
    }
    result[i] = frequency;
  }
  return result;
}

}  // namespace strata::model
