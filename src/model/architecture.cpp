// config.json -> Architecture: checked sizes, the rotary embedding, and the list of linears with their fusion groups.
// Keys and defaults are those of transformers (both the rope_scaling of version 4 and the rope_parameters of 5).
#include "model/architecture.h"

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
  if (get_or<double>(scaling, "partial_rotary_factor", 1.0, where) != 1.0)
    fail("{}: '{}.partial_rotary_factor' other than 1 is not supported", where, key);
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
  const std::size_t window = size_or(config, "sliding_window", 0, where);
  if (window == 0) return result;
  if (family.window == WindowRule::upper_blocks && !get_or<bool>(config, "use_sliding_window", false, where))
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
  return rule == Bias::always || (rule == Bias::config && get_or<bool>(config, "attention_bias", false, where));
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
  a.qk_norm = family->qk_norm;
  a.tied = get_or<bool>(config, "tie_word_embeddings", false, where);
  a.window = windows(config, *family, a.blocks, where);
  a.rope = parse_rope(config, *family, a.max_position, where);
  list_linears(a);
  return a;
}

std::size_t Architecture::first_block(const FusionGroup& group) const {
  if (linears[group.linears.front()].role == Role::embed) return 0;
  return std::min(group.block, blocks);
}

void list_linears(Architecture& a, Fusion fusion) {
  a.linears.clear();
  a.groups.clear();
  const auto open_group = [&](std::string name, std::size_t block) {
    if (fusion == Fusion::fused) a.groups.push_back({std::move(name), block, {}});
  };
  const auto append = [&](std::string module, Role role, std::size_t block, std::size_t rows, std::size_t cols,
                          bool with_bias) {
    if (fusion == Fusion::single) a.groups.push_back({module, block, {}});
    a.groups.back().linears.push_back(a.linears.size());
    a.linears.push_back({std::move(module), role, block, rows, cols, with_bias, a.groups.size() - 1});
  };
  for (std::size_t b = 0; b < a.blocks; ++b) {
    const std::string attention = fmt::format("model.layers.{}.self_attn.", b);
    const std::string mlp = fmt::format("model.layers.{}.mlp.", b);
    open_group(attention + "qkv_proj", b);
    append(attention + "q_proj", Role::q, b, a.q_size(), a.hidden, a.qkv_bias);
    append(attention + "k_proj", Role::k, b, a.kv_size(), a.hidden, a.qkv_bias);
    append(attention + "v_proj", Role::v, b, a.kv_size(), a.hidden, a.qkv_bias);
    open_group(attention + "o_proj", b);
    append(attention + "o_proj", Role::o, b, a.hidden, a.q_size(), a.o_bias);
    open_group(mlp + "gate_up_proj", b);
    append(mlp + "gate_proj", Role::gate, b, a.intermediate, a.hidden, a.mlp_bias);
    append(mlp + "up_proj", Role::up, b, a.intermediate, a.hidden, a.mlp_bias);
    open_group(mlp + "down_proj", b);
    append(mlp + "down_proj", Role::down, b, a.hidden, a.intermediate, a.mlp_bias);
  }
  if (!a.tied) {
    open_group("lm_head", kNoBlock);
    append("lm_head", Role::lm_head, kNoBlock, a.vocab, a.hidden, false);
  }
  if (fusion == Fusion::single) append("model.embed_tokens", Role::embed, kNoBlock, a.vocab, a.hidden, false);
}

std::vector<double> inverse_frequencies(const Architecture& a, std::size_t last_position) {
  const Rope& rope = a.rope;
  const auto dim = static_cast<double>(a.head_dim);
  double theta = rope.theta;
  const auto length = static_cast<double>(last_position + 1);
  const auto original = static_cast<double>(rope.original_max_position);
  if (rope.scaling == Rope::Scaling::dynamic && length > original)
    theta *= std::pow(rope.factor * length / original - (rope.factor - 1), dim / (dim - 2));
  std::vector<double> result(a.head_dim / 2);
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
