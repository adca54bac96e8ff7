// What a tensor is, is decided by its name alone: expected, of no use to anybody, of a part that is not run, or a
// fault. Errors name the tensor of the file that tells most about what is wrong.
#include "model/check_tensors.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <optional>
#include <set>

#include "core/suggest.h"
#include "model/carried.h"
#include "model/layouts.h"

namespace strata::model {

std::string shape_text(const std::vector<std::uint64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

namespace {

/// Whether checkpoints have a tensor of this name although nothing needs it. Some early ones keep the causal mask as
/// the bias of attention, which is no linear.
bool superfluous(std::string_view name, const Architecture& a) {
  for (const char* mask : {"bias", "masked_bias"})
    if (name.ends_with(fmt::format(".{}.{}", a.names.attention, mask))) return true;
  return name.ends_with("rotary_emb.inv_freq") || name == a.names.linear(Role::lm_head) + ".weight" ||
         name == "rope_freqs.weight" || name == "rope_factors_long.weight" || name == "rope_factors_short.weight";
}

/// Parts of a block without which it computes the same: the indexer of sparse attention chooses among more tokens than
/// are ever calibrated or measured on, and below that many it chooses all.
constexpr std::array<std::string_view, 1> kBesideTheBlock = {".indexer."};

class Checker {
 public:
  Checker(const Architecture& a, const json& config, const TensorSource& source, bool gguf, const std::string& where)
      : a_(a),
        source_(source),
        gguf_(gguf),
        where_(where),
        ahead_(announced_blocks_ahead(config)),
        present_(source.tensors()) {
    for (const TensorInfo& tensor : present_) by_name_[tensor.name] = &tensor;
    for (ExpectedTensor& expected : expected_tensors(a)) known_.insert(expected.name), expected_.push_back(expected);
  }

  std::vector<TensorInfo> run() const {
    for (const ExpectedTensor& expected : expected_) check_expected(expected);
    std::vector<TensorInfo> carried;
    for (const TensorInfo& tensor : present_) {
      if (known_.contains(tensor.name) || superfluous(tensor.name, a_) || is_part_of_stored(tensor.name)) continue;
      if (of_block_ahead(tensor.name) && gguf_) continue;
      if (const std::string fault = fault_of(tensor.name); !fault.empty())
        fail("{}: {} is in the files, but {}", where_, tensor.name, fault);
      carried.push_back(tensor);
    }
    return carried;
  }

 private:
  void check_expected(const ExpectedTensor& expected) const {
    const auto it = by_name_.find(expected.name);
    if (has_codec(expected.name)) return;
    if (it == by_name_.end()) fail("{}: {} is missing; {}", where_, expected.name, why_missing(expected.name));
    if (it->second->shape == expected.shape) return;
    const TensorInfo* odd = telling(expected.name);
    fail("{}: {} has shape {}, but config.json asks for {}{}", where_, expected.name, shape_text(it->second->shape),
         shape_text(expected.shape),
         odd == nullptr ? std::string() : fmt::format("; {} {}", odd->name, layout_of(odd->name)));
  }

  bool has_codec(const std::string& tensor) const {
    return tensor.ends_with(".weight") && source_.codec_of(tensor.substr(0, tensor.size() - 7)) != nullptr;
  }
  /// Whether the tensor is one of those that a quantized linear is stored in.
  bool is_part_of_stored(const std::string& tensor) const {
    const std::string module = tensor.substr(0, tensor.rfind('.'));
    return known_.contains(module + ".weight") && source_.codec_of(module) != nullptr;
  }

  /// The block that a tensor of this name belongs to.
  std::optional<std::uint64_t> block_of(std::string_view name) const {
    const std::string blocks = a_.names.root + std::string(a_.names.blocks);
    if (!name.starts_with(blocks)) return {};
    name.remove_prefix(blocks.size());
    std::uint64_t block = 0;
    const auto [end, code] = std::from_chars(name.data(), name.data() + name.size(), block);
    if (code != std::errc() || end == name.data() + name.size() || *end != '.') return {};
    return block;
  }
  bool of_block_ahead(std::string_view name) const {
    const auto block = block_of(name);
    return block && *block >= a_.blocks && *block - a_.blocks < ahead_;
  }

  /// Why the model cannot be run with this tensor, which the architecture does not ask for; empty when it can.
  std::string fault_of(const std::string& name) const {
    const auto inside = [&](std::string_view part) { return name.find(part) != name.npos; };
    const auto block = block_of(name);
    if (block && *block < a_.blocks)
      return std::ranges::any_of(kBesideTheBlock, inside) || is_unread_key(name, *block) ? std::string()
                                                                                         : unknown_part(name);
    if (block && !of_block_ahead(name))
      return fmt::format(
          "it is not part of a model with {} blocks, as config.json's num_hidden_layers says; take the config.json "
          "that "
          "belongs to these files",
          a_.blocks);
    for (const std::string& module : {a_.names.linear(Role::lm_head), a_.names.linear(Role::embed),
                                      a_.names.root + std::string(a_.names.last_norm)})
      if (name.starts_with(fmt::format("{}.", module))) return unknown_part(name);
    return gguf_ ? unknown_part(name) : std::string();
  }
  /// Whether the tensor makes keys or values of a block that reads an earlier block's: published files hold such.
  bool is_unread_key(std::string_view name, std::uint64_t block) const {
    if (a_.attention[block].keys_of == kOwnKeys) return false;
    name.remove_prefix(a_.names.block(block).size());
    const std::string_view module = name.substr(0, name.rfind('.'));
    return module == a_.names.linear(Role::k) || module == a_.names.linear(Role::v) || module == a_.names.k_norm;
  }
  std::string unknown_part(const std::string& name) const {
    const std::string_view layout = layout_of(name);
    if (!layout.empty()) return fmt::format("a {} model has no such tensor: it {}", a_.model_type, layout);
    return fmt::format(
        "a {} model as config.json describes it has no such tensor, and without it the model would compute something "
        "else; check config.json's model_type and its switches (biases, norms)",
        a_.model_type);
  }

  /// The tensor whose layout explains best why another is missing or odd: one of the same module or block, or any.
  const TensorInfo* telling(const std::string& name) const {
    const TensorInfo* best = nullptr;
    std::size_t most = 0;
    for (const TensorInfo& tensor : present_) {
      if (known_.contains(tensor.name) || is_part_of_stored(tensor.name) || layout_of(tensor.name).empty()) continue;
      const auto [end, other] = std::ranges::mismatch(tensor.name, name);
      const auto shared = static_cast<std::size_t>(end - tensor.name.begin());
      if (best == nullptr || shared > most) best = &tensor, most = shared;
    }
    return best;
  }

  std::string why_missing(const std::string& name) const {
    if (const TensorInfo* odd = telling(name)) return fmt::format("{} {}", odd->name, layout_of(odd->name));
    if (name.starts_with(a_.names.linear(Role::lm_head) + "."))
      return "set config.json's tie_word_embeddings to true if the embedding is the head too; a model that was saved "
             "without its head (AutoModel) cannot be used";
    if (const TensorInfo* other = elsewhere(name))
      return fmt::format(
          "{} looks like it under another prefix, as a base model or a wrapper is saved: load it with the class that "
          "config.json's architectures names, and save it with save_pretrained",
          other->name);
    if (const auto block = block_of(name); block && !has_any(a_.names.block(*block)))
      return fmt::format(
          "the files have no tensor of block {}, but config.json's num_hidden_layers is {}: shards are missing, or the "
          "config.json is of a model with more blocks",
          *block, a_.blocks);
    std::vector<std::string> near;
    const std::string_view begin = std::string_view(name).substr(0, name.find_last_of('.', name.rfind('.') - 1) + 1);
    for (const TensorInfo& tensor : present_)
      if (tensor.name.starts_with(begin) && !known_.contains(tensor.name)) near.push_back(tensor.name);
    if (const auto names = nearest_names(name, near); !names.empty())
      return fmt::format("the nearest name in the files is {}", names.front());
    return "nothing in the files has a name like it: a shard is missing, or config.json is of another model";
  }

  /// The tensor that has the same name but for what it begins with.
  const TensorInfo* elsewhere(const std::string& name) const {
    // Behind the block's number the names of all blocks are alike.
    for (std::size_t dot = name.find('.'); dot < a_.names.root.size() + a_.names.blocks.size() - 1;
         dot = name.find('.', dot + 1)) {
      const std::string tail = name.substr(dot + 1), ending = "." + tail;
      for (const TensorInfo& tensor : present_)
        if (tail.find('.') != tail.npos && !known_.contains(tensor.name) &&
            (tensor.name == tail || tensor.name.ends_with(ending)))
          return &tensor;
    }
    return nullptr;
  }
  bool has_any(const std::string& prefix) const {
    const auto it = by_name_.lower_bound(prefix);
    return it != by_name_.end() && it->first.starts_with(prefix);
  }

  const Architecture& a_;
  const TensorSource& source_;
  bool gguf_;
  const std::string& where_;
  std::uint64_t ahead_;
  std::vector<TensorInfo> present_;
  std::map<std::string_view, const TensorInfo*> by_name_;
  std::vector<ExpectedTensor> expected_;
  std::set<std::string, std::less<>> known_;
};

}  // namespace

std::vector<TensorInfo> check_tensors(const Architecture& architecture, const json& config, const TensorSource& source,
                                      bool gguf, const std::string& where) {
  return Checker(architecture, config, source, gguf, where).run();
}

}  // namespace strata::model
