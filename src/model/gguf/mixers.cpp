// A family's row in the table of families says which mixers its config.json can have; a file's keys say which it has.
// Every number goes through parse_architecture afterwards, which checks it.
#include "model/gguf/mixers.h"

#include <algorithm>
#include <variant>

#include "model/gguf/config.h"
#include "model/gguf/keys.h"
#include "model/gguf/kinds.h"
#include "model/gguf/mamba.h"

namespace strata::model {
namespace {

using namespace gguf_key;

constexpr const char* kHeads = ".attention.head_count";
constexpr const char* kWholeKeyLength = ".attention.key_length_mla";
constexpr const char* kWholeValueLength = ".attention.value_length_mla";
constexpr const char* kQueryRank = ".attention.q_lora_rank";
constexpr const char* kKvRank = ".attention.kv_lora_rank";
constexpr const char* kRank = kStateHeads;  ///< of Mamba-1
constexpr const char* kNormed = ".ssm.dt_b_c_rms";
constexpr const char* kInterval = ".full_attention_interval";
constexpr const char* kIndexed = ".attention.indexer.top_k";
constexpr const char* kIndexerHeads = ".attention.indexer.head_count";
constexpr const char* kIndexerSize = ".attention.indexer.key_length";
constexpr const char* kIndexers = ".attention.indexer.types";
constexpr const char* kConvolution = ".shortconv.l_cache";

/// The only size of an indexer's heads that llama.cpp was seen to run.
constexpr std::uint64_t kIndexerSizeThere = 128;

/// n where every n-th block attends; more than there are blocks where none does.
std::size_t attention_interval(const Architecture& a) {
  std::size_t block = 0;
  while (block < a.blocks && a.attention[block].mixer != Mixer::attention) ++block;
  return block + 1;
}

void add_latent_config(json& config, const format::GgufFile& gguf, const std::string& arch, const std::string& where) {
  const std::uint64_t whole = gguf.integer(arch + kWholeKeyLength), turned = gguf.integer(arch + kTurned);
  if (turned >= whole)
    fail("{}: {}{} is {}, which leaves nothing of {}{} {}", where, arch, kTurned, turned, arch, kWholeKeyLength, whole);
  config["q_lora_rank"] = gguf.has(arch + kQueryRank) ? json(gguf.integer(arch + kQueryRank)) : json(nullptr);
  config["kv_lora_rank"] = gguf.integer(arch + kKvRank);
  config["qk_rope_head_dim"] = turned;
  config["qk_nope_head_dim"] = whole - turned;
  config["v_head_dim"] = gguf.integer(arch + kWholeValueLength);
  config["num_key_value_heads"] = config["num_attention_heads"];
}

/// The values of a key that is an array of truths, or of numbers that stand for them.
std::vector<bool> flags(const format::GgufFile& gguf, const std::string& key) {
  const auto it = gguf.metadata().find(key);
  if (const auto* array = std::get_if<format::GgufArray>(&it->second))
    if (const auto* given = std::get_if<std::vector<bool>>(array)) return *given;
  std::vector<bool> result;
  for (const std::int64_t number : gguf.integers(key)) result.push_back(number != 0);
  return result;
}

void add_indexer_config(json& config, const format::GgufFile& gguf, const std::string& arch, const Family& family) {
  if (family.index_key != nullptr) config[family.index_key] = gguf.integer(arch + kIndexed);
  if (gguf.has(arch + kIndexerHeads)) config["index_n_heads"] = gguf.integer(arch + kIndexerHeads);
  if (gguf.has(arch + kIndexerSize)) config["index_head_dim"] = gguf.integer(arch + kIndexerSize);
  if (!gguf.has(arch + kIndexers)) return;
  json types = json::array();
  for (const bool full : flags(gguf, arch + kIndexers)) types.push_back(full ? "full" : "shared");
  config["indexer_types"] = std::move(types);
}

void add_delta_config(json& config, const format::GgufFile& gguf, const std::string& arch, const std::string& where) {
  const std::uint64_t heads = gguf.integer(arch + kStateHeads), values = gguf.integer(arch + kInner);
  if (heads == 0 || values % heads != 0)
    fail("{}: {}{} {} is not a multiple of {}{} {}", where, arch, kInner, values, arch, kStateHeads, heads);
  config["linear_num_key_heads"] = gguf.integer(arch + kGroups);
  config["linear_num_value_heads"] = heads;
  config["linear_key_head_dim"] = gguf.integer(arch + kState);
  config["linear_value_head_dim"] = values / heads;
  config["linear_conv_kernel_dim"] = gguf.integer(arch + kKernel);
  config["full_attention_interval"] = gguf.has(arch + kInterval) ? gguf.integer(arch + kInterval) : 4;
}

/// Blocks whose attention has no heads of keys and values are convolutions.
void add_convolution_config(json& config, const format::GgufFile& gguf, const std::string& arch, bool mixture,
                            const std::string& where) {
  config["conv_L_cache"] = gguf.integer(arch + kConvolution);
  json types = json::array();
  for (const std::int64_t heads : by_block(gguf, arch + kKvHeads, config["num_hidden_layers"], where))
    types.push_back(heads == 0 ? "conv" : "full_attention");
  config["layer_types"] = std::move(types);
  if (!mixture) config["block_auto_adjust_ff_dim"] = false;
}

void add_selective_config(json& config, const format::GgufFile& gguf, const std::string& arch, const Family& family) {
  config["head_dim"] = 2;  // of no heads, but read like any
  config["intermediate_size"] = gguf.integer(arch + kInner);
  config["state_size"] = gguf.integer(arch + kState);
  config["conv_kernel"] = gguf.integer(arch + kKernel);
  config["time_step_rank"] = gguf.integer(arch + kRank);
  if (family.selective_norm_key != nullptr) config[family.selective_norm_key] = config[family.norm_epsilon_key];
}

}  // namespace

bool has_selective_norms(const format::GgufFile& gguf, const GgufFamily& row) {
  const std::string key = std::string(row.name) + kNormed;
  return gguf.has(key) && gguf.boolean(key);
}

void add_mixer_keys(format::GgufKeys& keys, const GgufFamily& row, const Architecture& a) {
  const std::string arch(row.name);
  const auto size = [&](const char* key, std::size_t value) {
    keys.add(arch + key, static_cast<std::uint32_t>(value));
  };
  add_mamba_keys(keys, row, a);
  if (!row.attends) return size(kHeads, 0);
  std::vector<std::int32_t> own_heads;
  for (const BlockAttention& block : a.attention) own_heads.push_back(static_cast<std::int32_t>(a.heads_of(block)));
  if (std::ranges::adjacent_find(own_heads, std::not_equal_to()) != own_heads.end())
    keys.add(arch + kHeads, own_heads);
  else
    size(kHeads, static_cast<std::size_t>(own_heads.front()));
  if (const SelectiveSpace& s = a.selective; s.kernel != 0) {
    size(kKernel, s.kernel);
    size(kInner, s.inner);
    size(kState, s.state);
    size(kRank, s.rank);
    return keys.add(arch + kNormed, s.norm_epsilon != 0.0f);
  }
  if (const Latent& l = a.latent; l.kv_rank != 0) {  // as one head of keys, which is the latent
    size(kKvHeads, 1);
    size(kKeyLength, l.kv_rank + l.turned);
    size(kValueLength, l.kv_rank);
    size(kWholeKeyLength, a.head_dim);
    size(kWholeValueLength, l.value);
    if (row.indexer) size(kIndexed, a.whole_positions);
    if (l.q_rank != 0) size(kQueryRank, l.q_rank);
    return size(kKvRank, l.kv_rank);
  }
  if (row.by_kind) return add_kind_keys(keys, row, a);
  const auto has_keys = [](const BlockAttention& block) {
    return block.mixer == Mixer::attention || block.mixer == Mixer::delta;
  };
  if (!std::ranges::all_of(a.attention, has_keys)) {
    std::vector<std::int32_t> heads;
    for (const BlockAttention& block : a.attention)
      heads.push_back(block.mixer == Mixer::attention ? static_cast<std::int32_t>(a.kv_heads) : 0);
    keys.add(arch + kKvHeads, heads);
  } else {
    size(kKvHeads, a.kv_heads);
  }
  size(kKeyLength, a.head_dim);
  size(kValueLength, a.head_dim);
  if (a.convolution.kernel != 0) size(kConvolution, a.convolution.kernel);
  if (const DeltaNet& d = a.delta; d.kernel != 0) {
    size(kKernel, d.kernel);
    size(kState, d.key_size);
    size(kGroups, d.key_heads);
    size(kStateHeads, d.value_heads);
    size(kInner, d.values());
    size(kInterval, attention_interval(a));
  }
}

void add_mixer_config(json& config, const format::GgufFile& gguf, const GgufFamily& row, const Family& family,
                      const std::string& where) {
  const std::string arch(row.name);
  if (family.mamba != nullptr) add_mamba_config(config, gguf, row, family, where);
  if (!row.attends) return;
  if (family.mixer == Mixer::selective) return add_selective_config(config, gguf, arch, family);
  const std::vector<std::int64_t> own_heads = by_block(gguf, arch + kHeads, config["num_hidden_layers"], where);
  const std::int64_t heads = own_heads.front();
  if (heads == 0) fail("{}: {}{} is 0", where, arch, kHeads);
  if (std::ranges::any_of(own_heads, [&](std::int64_t own) { return own != heads; })) {
    if (family.heads_key == nullptr) fail("{}: {}{} differs from block to block", where, arch, kHeads);
    config[family.heads_key] = own_heads;
  }
  config["num_attention_heads"] = heads;
  if (row.indexer) add_indexer_config(config, gguf, arch, family);
  if (family.mixer == Mixer::latent) return add_latent_config(config, gguf, arch, where);
  if (row.by_kind) return add_kind_config(config, gguf, row, where);
  std::int64_t kv_heads = heads;
  if (gguf.has(arch + kKvHeads)) {
    kv_heads = std::ranges::max(by_block(gguf, arch + kKvHeads, config["num_hidden_layers"], where));
  }
  if (kv_heads < 0) fail("{}: {}{} is {}", where, arch, kKvHeads, kv_heads);
  config["num_key_value_heads"] = kv_heads;
  if (family.multi_query_key != nullptr) config[family.multi_query_key] = kv_heads == 1;
  config["head_dim"] =
      gguf.has(arch + kKeyLength) ? gguf.integer(arch + kKeyLength) : gguf.integer(arch + ".embedding_length") / heads;
  if (const format::GgufTensor* gate = gguf.find("blk.0.attn_gate.weight");
      family.gate_key != nullptr && gate != nullptr)
    config[family.gate_key] =
        !gate->shape.empty() && std::cmp_equal(gate->shape.front(), heads) ? json(true) : json("per-element");
  if (family.mixer == Mixer::delta) add_delta_config(config, gguf, arch, where);
  if (family.mixer == Mixer::convolution) add_convolution_config(config, gguf, arch, family.mixture != nullptr, where);
}

void add_indexer_keys(format::GgufKeys& keys, const GgufFamily& row, const Model& model) {
  if (!row.indexer) return;
  const Architecture& a = model.architecture();
  const std::string arch(row.name), where = model.path().string();
  const auto rows = [&](std::size_t b, const char* part) -> std::uint64_t {
    const std::string name = fmt::format("{}{}.indexer.{}.weight", a.names.block(b), a.names.attention, part);
    const auto tensor = std::ranges::find(model.carried(), name, &TensorInfo::name);
    return tensor == model.carried().end() || tensor->shape.empty() ? 0 : tensor->shape[0];
  };
  std::vector<bool> full;
  for (std::size_t b = 0; b < a.blocks; ++b) full.push_back(rows(b, "wk") != 0);
  if (!full.front()) fail("{}: the first block has no indexer; use the Hugging Face folder", where);
  if (const std::uint64_t size = rows(0, "wk"); size != kIndexerSizeThere)
    fail("{}: the indexer has heads of {}, and llama.cpp's {} fails on others than {}; use the Hugging Face folder",
         where, size, row.name, kIndexerSizeThere);
  keys.add(arch + kIndexerHeads, static_cast<std::uint32_t>(rows(0, "weights_proj")));
  keys.add(arch + kIndexerSize, static_cast<std::uint32_t>(rows(0, "wk")));
  keys.add(arch + kIndexers, full);
}

std::string lost_mixer(const Architecture& a, const Architecture& b) {
  const Latent &x = a.latent, &y = b.latent;
  const DeltaNet &d = a.delta, &e = b.delta;
  if (x.q_rank != y.q_rank || x.kv_rank != y.kv_rank || x.plain != y.plain || x.turned != y.turned ||
      x.value != y.value)
    return "the sizes of latent attention";
  if (d.key_heads != e.key_heads || d.value_heads != e.value_heads || d.key_size != e.key_size ||
      d.value_size != e.value_size || d.kernel != e.kernel || d.by_key_heads != e.by_key_heads)
    return "the sizes of gated delta nets";
  if (a.convolution.kernel != b.convolution.kernel || a.convolution.bias != b.convolution.bias)
    return "the size or biases of short convolutions";
  if (std::string what = lost_mamba(a, b); !what.empty()) return what;
  const SelectiveSpace &s = a.selective, &t = b.selective;
  if (s.inner != t.inner || s.state != t.state || s.rank != t.rank || s.kernel != t.kernel)
    return "the sizes of Mamba-1";
  if (s.norm_epsilon != t.norm_epsilon) return "an epsilon of the norms within the mixer ('mixer_rms_eps') of its own";
  if (a.output_gate != b.output_gate || a.gate_by_head != b.gate_by_head || a.gate_softplus != b.gate_softplus)
    return "the gate of what attention puts out";
  if (a.whole_positions != b.whole_positions) return "'index_topk'";
  for (std::size_t block = 0; block < a.blocks; ++block)
    if (a.attention[block].mixer != b.attention[block].mixer)
      return fmt::format("which blocks attend ('layer_types'), as in block {}", block);
  return {};
}

std::string unloadable_mixer(const Architecture& a, const GgufFamily& row) {
  const bool whole_query = std::ranges::find(row.whole_query_blocks, a.blocks) != row.whole_query_blocks.end();
  if (a.latent.kv_rank != 0 && (a.latent.q_rank == 0) != whole_query)
    return fmt::format("{} 'q_lora_rank' and {} blocks", a.latent.q_rank == 0 ? "no" : "a", a.blocks);
  if (a.delta.key_size != a.delta.value_size)
    return fmt::format("gated delta nets with heads of {} for keys and of {} for values", a.delta.key_size,
                       a.delta.value_size);
  if (const SelectiveSpace& s = a.selective; s.kernel != 0) {
    if (s.inner != 2 * a.hidden) return fmt::format("an inner size of {}, not twice the hidden size,", s.inner);
    if (s.bias) return "biases of in_proj and out_proj ('use_bias')";
    if (!s.convolution_bias) return "a convolution without a bias ('use_conv_bias')";
  }
  if (a.convolution.bias) return "convolutions with biases ('conv_bias')";
  return unloadable_mamba(a, row);
}

}  // namespace strata::model
