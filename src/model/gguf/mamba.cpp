// What a block is, no key says outright: one without heads of keys has Mamba-2, and one without those but with a width
// of a feed-forward part is that part alone.
#include "model/gguf/mamba.h"

#include <algorithm>

#include "model/gguf/config.h"
#include "model/gguf/experts.h"
#include "model/gguf/keys.h"
#include "model/mamba_keys.h"

namespace strata::model {
namespace {

using namespace gguf_key;

/// Which part each block is, in the words of config.json.
std::vector<std::string> parts_of(const format::GgufFile& gguf, const std::string& arch, const Family& family,
                                  std::size_t blocks, const std::string& where) {
  const std::vector<std::int64_t> heads = by_block(gguf, arch + kKvHeads, blocks, where),
                                  widths = by_block(gguf, arch + kWidth, blocks, where);
  std::vector<std::string> parts;
  for (std::size_t b = 0; b < blocks; ++b) {
    const bool feeds = has_blocks_of_one_part(family) && widths[b] != 0;
    parts.emplace_back(!feeds ? (heads[b] != 0 ? "attention" : "mamba") : has_experts(gguf) ? "moe" : "mlp");
  }
  return parts;
}

void add_parts(json& config, const MambaKeys& keys, const std::vector<std::string>& parts) {
  if (keys.attention_list == nullptr) {
    config[keys.parts] = parts;
    return;
  }
  json attending = json::array();
  for (std::size_t b = 0; b < parts.size(); ++b)
    if (parts[b] == "attention") attending.push_back(b);
  config[keys.attention_list] = std::move(attending);
}

}  // namespace

void add_mamba_keys(format::GgufKeys& keys, const GgufFamily& row, const Architecture& a) {
  const Mamba& m = a.mamba;
  if (m.kernel == 0) return;
  const auto size = [&](const char* key, std::size_t value) {
    keys.add(std::string(row.name) + key, static_cast<std::uint32_t>(value));
  };
  size(kKernel, m.kernel);
  size(kState, m.state);
  size(kGroups, m.groups);
  size(kStateHeads, m.heads);
  size(kInner, m.inner());
}

void add_mamba_config(json& config, const format::GgufFile& gguf, const GgufFamily& row, const Family& family,
                      const std::string& where) {
  const MambaKeys& keys = *family.mamba;
  const std::string arch(row.name);
  const std::uint64_t heads = gguf.integer(arch + kStateHeads), inner = gguf.integer(arch + kInner);
  if (heads == 0 || inner % heads != 0)
    fail("{}: {}{} {} is not a multiple of {}{} {}", where, arch, kInner, inner, arch, kStateHeads, heads);
  config[keys.heads] = heads;
  config[keys.head_dim] = inner / heads;
  config[keys.state] = gguf.integer(arch + kState);
  config[keys.groups] = gguf.integer(arch + kGroups);
  config[keys.kernel] = gguf.integer(arch + kKernel);
  config[keys.bias] = false;
  const auto blocks = config["num_hidden_layers"].get<std::size_t>();
  config[keys.convolution_bias] = false;
  for (std::size_t b = 0; b < blocks; ++b)
    if (gguf.find(fmt::format("blk.{}.ssm_conv1d.bias", b)) != nullptr) config[keys.convolution_bias] = true;
  if (row.attends) add_parts(config, keys, parts_of(gguf, arch, family, blocks, where));
}

std::vector<std::int32_t> feed_forward_lengths(const Architecture& a) {
  std::vector<std::int32_t> widths;
  for (std::size_t b = 0; b < a.blocks; ++b)
    widths.push_back(
        !a.feeds(b) ? 0 : static_cast<std::int32_t>(a.layout[b].mixture ? a.experts.intermediate : a.dense_size(b)));
  return widths;
}

bool has_blocks_of_one_part(const Family& family) { return family.mamba != nullptr && family.mamba->one_part; }

bool mamba_alike(const format::GgufFile& gguf, const GgufFamily& row, const Family& family) {
  const std::string arch(row.name);
  if (row.hybrid.empty() && !row.needs_mamba) return true;
  if (gguf.has(arch + kKernel) != (family.mamba != nullptr)) return false;
  if (!row.partial_rope || !gguf.has(arch + kTurned) || !gguf.has(arch + kKeyLength)) return true;
  return (gguf.integer(arch + kTurned) < gguf.integer(arch + kKeyLength)) == (family.default_rotary_share < 1.0);
}

std::string lost_mamba(const Architecture& a, const Architecture& b) {
  const Mamba &x = a.mamba, &y = b.mamba;
  if (x.heads != y.heads || x.head_dim != y.head_dim || x.state != y.state || x.groups != y.groups ||
      x.kernel != y.kernel)
    return "the sizes of Mamba-2";
  if (!has_mixer(a, Mixer::mamba)) return {};
  if (x.bias != y.bias || x.convolution_bias != y.convolution_bias) return "biases of Mamba-2";
  if (x.least_step != y.least_step || x.most_step != y.most_step)
    return "the limits of Mamba-2's steps ('time_step_min' or 'time_step_limit')";
  return {};
}

std::string unloadable_mamba(const Architecture& a, const GgufFamily& row) {
  if (row.needs_mamba) {
    for (const Mixer mixer : {Mixer::mamba, Mixer::attention})
      if (!has_mixer(a, mixer)) return fmt::format("no block of {}", mixer_name(mixer));
    for (std::size_t b = 0; b < a.blocks; ++b)
      if (a.experts.count != 0 && a.feeds(b) && !a.layout[b].mixture)
        return fmt::format("a dense part in block {} and experts in others", b);
  }
  if (!has_mixer(a, Mixer::mamba)) return {};
  const Mamba& m = a.mamba;
  if (m.bias) return "biases of what Mamba-2 reads and puts out";
  if (!m.convolution_bias) return "no biases of Mamba-2's convolution";
  if (row.twice_hidden && m.inner() != 2 * a.hidden)
    return fmt::format("{} heads of {} in Mamba-2, which are not twice the hidden size {}", m.heads, m.head_dim,
                       a.hidden);
  return {};
}

}  // namespace strata::model
