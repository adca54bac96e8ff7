// llama.cpp has a size of heads for blocks with a window and one for all others; which block is which stands in an
// array. That values are what k puts out is told by a missing attn_v.
#include "model/gguf/kinds.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <variant>

#include "model/gguf/config.h"
#include "model/gguf/keys.h"

namespace strata::model {
namespace {

using namespace gguf_key;

constexpr const char* kWindowed = "_swa";  // ends a key that is about blocks with a window
constexpr const char* kSharing = ".attention.shared_kv_layers";
constexpr const char* kRowSize = ".embedding_length_per_layer_input";
constexpr float kNever = 1e30f;  // what llama.cpp divides the frequency of a pair by that does not turn

/// The first block with a window, or the first without one; the number of blocks when there is none.
std::size_t first_of_kind(const Architecture& a, bool windowed) {
  std::size_t block = 0;
  while (block < a.blocks && (a.attention[block].window != 0) != windowed) ++block;
  return block;
}

/// How many blocks, the last ones, read keys and values of earlier blocks.
std::size_t sharing_blocks(const Architecture& a) {
  return static_cast<std::size_t>(
      std::ranges::count_if(a.attention, [](const BlockAttention& of) { return of.keys_of != kOwnKeys; }));
}

}  // namespace

void add_kind_keys(format::GgufKeys& keys, const GgufFamily& row, const Architecture& a) {
  const std::string arch(row.name);
  const auto size = [&](const std::string& key, std::size_t value) {
    keys.add(arch + key, static_cast<std::uint32_t>(value));
  };
  std::vector<std::int32_t> kv_heads;
  std::vector<bool> windowed;
  for (const BlockAttention& of : a.attention) {
    kv_heads.push_back(static_cast<std::int32_t>(a.kv_heads_of(of)));
    windowed.push_back(of.window != 0);
  }
  keys.add(arch + kKvHeads, kv_heads);
  keys.add(arch + kWindowPattern, windowed);
  for (const bool window : {false, true}) {
    const std::size_t block = first_of_kind(a, window);
    if (block == a.blocks) continue;
    const std::string end = window ? kWindowed : "";
    size(kKeyLength + end, a.head_size(a.attention[block]));
    size(kValueLength + end, a.head_size(a.attention[block]));
  }
  size(kSharing, sharing_blocks(a));
  size(kRowSize, a.block_embedding.size);
}

void add_kind_config(json& config, const format::GgufFile& gguf, const GgufFamily& row, const std::string& where) {
  const std::string arch(row.name);
  const auto blocks = config["num_hidden_layers"].get<std::size_t>();
  const auto get = [&](const std::string& key) { return gguf.integer(arch + key); };
  const std::vector<std::int64_t> windowed = by_block(gguf, arch + kWindowPattern, blocks, where),
                                  kv_heads = by_block(gguf, arch + kKvHeads, blocks, where);
  config["head_dim"] = get(std::string(kKeyLength) + kWindowed);
  config["global_head_dim"] = get(kKeyLength);
  const std::uint64_t sharing = gguf.has(arch + kSharing) ? get(kSharing) : 0;
  config["num_kv_shared_layers"] = sharing;
  json types = json::array();
  for (std::size_t b = 0; b < blocks; ++b) {
    const bool window = windowed[b] != 0;
    types.push_back(window ? "sliding_attention" : "full_attention");
    if (kv_heads[b] < 0) fail("{}: {}{} is {} for block {}", where, arch, kKvHeads, kv_heads[b], b);
    config[window ? "num_key_value_heads" : "num_global_key_value_heads"] = kv_heads[b];
    if (!window && b + sharing < blocks)
      config["attention_k_eq_v"] = gguf.find(fmt::format("blk.{}.attn_v.weight", b)) == nullptr;
  }
  config["layer_types"] = std::move(types);
  config["hidden_size_per_layer_input"] = get(kRowSize);
  if (const format::GgufTensor* table = gguf.find("per_layer_token_embd.weight"); table && !table->shape.empty())
    config["vocab_size_per_layer_input"] = table->shape.front();
  if (!config.contains("num_key_value_heads")) config["num_key_value_heads"] = kv_heads.front();
  const std::vector<std::int64_t> widths = by_block(gguf, arch + ".feed_forward_length", blocks, where);
  const auto [least, most] = std::ranges::minmax(widths);
  config["intermediate_size"] = least;
  config["use_double_wide_mlp"] = least != most;
}

void add_kind_rope_keys(format::GgufKeys& keys, const GgufFamily& row, const Architecture& a) {
  const std::string arch(row.name);
  const Rope &full = a.ropes.front(), &windowed = a.ropes.back();
  keys.add(arch + kTheta, static_cast<float>(full.theta));
  keys.add(arch + kWindowTheta, static_cast<float>(windowed.theta));
  keys.add(arch + kTurned, static_cast<std::uint32_t>(full.dims));
  keys.add(arch + kTurned + kWindowed, static_cast<std::uint32_t>(windowed.dims));
}

std::vector<float> kind_divisors(const Rope& rope) {
  const std::size_t turned = rope.scaling == Rope::Scaling::proportional ? rope.turned : rope.dims / 2;
  std::vector<float> divisors(rope.dims / 2, kNever);
  std::fill_n(divisors.begin(), turned, static_cast<float>(rope.factor));
  return divisors;
}

void add_kind_rope_config(json& config, const format::GgufFile& gguf, const GgufFamily& row,
                          const std::vector<float>& divisors, const std::string& where) {
  const std::string arch(row.name);
  const auto theta = [&](const char* key, double fallback) {
    return gguf.has(arch + key) ? as_float32(gguf.real(arch + key)) : fallback;
  };
  for (const auto& [end, head] : {std::pair{"", "global_head_dim"}, {kWindowed, "head_dim"}}) {
    const std::string key = arch + kTurned + end;
    if (gguf.has(key) && gguf.integer(key) != config[head])
      fail("{}: {} is {}, expected all {} dimensions of a head", where, key, gguf.integer(key), config[head].dump());
  }
  const auto turned = static_cast<std::size_t>(
      std::ranges::find_if(divisors, [](float divisor) { return divisor >= kNever / 2; }) - divisors.begin());
  const auto expected = [&](std::size_t i) { return i < turned ? divisors.front() : kNever; };
  for (std::size_t i = 0; i < divisors.size(); ++i)
    if (!(std::fabs(divisors[i] - expected(i)) <= 1e-4f * expected(i)))
      fail("{}: rope_freqs.weight holds {}, expected {} for pair {}", where, divisors[i], expected(i), i);
  const auto dims = static_cast<double>(2 * divisors.size()), wanted = static_cast<double>(2 * turned);
  double share = wanted / dims;
  if (share * dims < wanted) share = std::nextafter(share, 1.0);  // the product is cut to a whole number
  json full = {{"rope_type", "proportional"}, {"partial_rotary_factor", share}, {"rope_theta", theta(kTheta, 1e6)}};
  if (turned != 0 && divisors.front() != 1.0f) full["factor"] = as_float32(divisors.front());
  config["rope_parameters"] = {
      {"full_attention", std::move(full)},
      {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", theta(kWindowTheta, 1e4)}}}};
}

std::string lost_kind(const Architecture& a, const Architecture& b, std::size_t block) {
  const BlockAttention &x = a.attention[block], &y = b.attention[block];
  if (x.mixer == Mixer::attention &&
      (a.head_size(x) != b.head_size(y) || a.heads_of(x) != b.heads_of(y) || a.kv_heads_of(x) != b.kv_heads_of(y)))
    return "the size or number of heads";
  if (x.k_is_v != y.k_is_v) return "whether keys are values ('attention_k_eq_v')";
  if (x.keys_of != y.keys_of) return "whose keys and values are read ('num_kv_shared_layers')";
  if (a.layout[block].widening != b.layout[block].widening)
    return "the size of the feed-forward part ('use_double_wide_mlp')";
  return {};
}

std::string unloadable_kind(const Architecture& a) {
  const std::size_t first = a.blocks - sharing_blocks(a);
  for (std::size_t b = first; b < a.blocks; ++b) {
    const std::size_t back = a.attention[b].window != 0 ? 2 : 1, from = a.attention[b].keys_of;
    if (from + back != first) return fmt::format("a block {} that reads keys and values of block {}", b, from);
  }
  if (a.block_embedding.size != 0 && a.block_embedding.tokens != a.vocab)
    return fmt::format("rows of {} tokens for its blocks ('vocab_size_per_layer_input')", a.block_embedding.tokens);
  return {};
}

}  // namespace strata::model
