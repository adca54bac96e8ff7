// vLLM rewrites exact names from those on disk to its own and leaves patterns alone; transformers rewrites neither,
// although its modules may be named otherwise than the file's tensors. Where names may differ, everything is a pattern
// that begins within the text model's names. Patterns are few, since runtimes try each of them on each module.
#include "pipeline/output/module_targets.h"

#include <algorithm>
#include <string_view>

#include "model/mixers/mixer.h"

namespace strata::pipeline {
namespace {

std::string escaped(std::string_view name) {
  std::string result;
  for (const char c : name) result += c == '.' ? "\\." : std::string(1, c);
  return result;
}

/// What a pattern begins with so that any prefix may stand before.
constexpr std::string_view kAnyPrefix = "re:.*\\b";

/// Gathers modules that differ in their block's number alone into one pattern.
class Patterns {
 public:
  explicit Patterns(const model::Names& names) : blocks_(escaped(names.blocks)) {}

  /// name: what stands behind the block's number and a point, or the head's name. codec: nullptr for none.
  void add(std::size_t block, std::string_view name, const codec::Codec* codec) {
    const bool inside = block != model::kNoBlock;
    const auto fits = [&](const Entry& e) {
      return e.inside == inside && e.codec == codec && e.name == name && e.blocks.size() < kMostBlocks;
    };
    auto entry = std::ranges::find_if(entries_, fits);
    if (entry == entries_.end()) entry = entries_.insert(entries_.end(), {std::string(name), codec, inside, {}});
    if (inside) entry->blocks.push_back(block);
  }

  std::vector<format::ModuleCodec> list() const {
    std::vector<format::ModuleCodec> result;
    for (const Entry& e : entries_) {
      const std::string place = e.inside ? fmt::format("{}({})\\.", blocks_, fmt::join(e.blocks, "|")) : std::string();
      result.push_back({fmt::format("{}{}{}$", kAnyPrefix, place, escaped(e.name)), e.codec});
    }
    return result;
  }

 private:
  static constexpr std::size_t kMostBlocks = 80;  ///< readers of patterns limit their length
  struct Entry {
    std::string name;
    const codec::Codec* codec;
    bool inside;
    std::vector<std::size_t> blocks;
  };
  std::string blocks_;
  std::vector<Entry> entries_;
};

/// What runtimes call the mixture of a block whatever the file calls it: vLLM's MiniMax M2, all of transformers 5.
constexpr std::string_view kHeldMixture = "mlp";

/// The experts of a block as a pattern, since they are too many to be named; transformers finds the experts' codec by
/// the word in a pattern. Where the file calls the mixture otherwise than runtimes may, there is a second one.
std::vector<std::string> experts_targets(const model::Architecture& a, const model::FusionGroup& group,
                                         bool any_prefix) {
  const std::string block = a.names.block(group.block), within = group.name.substr(block.size());
  const std::string start = any_prefix
                                ? std::string(kAnyPrefix) + escaped(std::string_view(block).substr(a.names.root.size()))
                                : "re:" + escaped(block);
  std::vector<std::string> targets = {fmt::format("{}{}\\..*", start, escaped(within))};
  if (const std::string_view module = a.experts.module; !module.empty() && module != kHeldMixture)
    targets.push_back(fmt::format("{}{}{}\\..*", start, kHeldMixture, escaped(within.substr(module.size()))));
  return targets;
}

/// A linear of a mixer within its block, as vLLM calls it; empty for others and where the file calls it so.
std::string held_name(const model::Architecture& a, const model::Linear& linear) {
  if (linear.block == model::kNoBlock) return {};
  const model::MixerKind& mixer = model::mixer_kind(a, linear.block);
  if (mixer.held.empty()) return {};
  const std::string_view own = a.names.*mixer.module;
  const std::string_view within = std::string_view(linear.module).substr(a.names.block(linear.block).size());
  if (own == mixer.held || !within.starts_with(std::string(own) + ".")) return {};
  return std::string(mixer.held) + std::string(within.substr(own.size()));
}

/// The module of a linear without what stands before it in the file.
std::string_view bare_name(const model::Architecture& a, const model::Linear& linear) {
  const std::string_view module = linear.module;
  if (linear.role == model::Role::embed) return module.substr(a.names.root.size());
  return linear.block == model::kNoBlock ? a.names.head : module.substr(a.names.block(linear.block).size());
}

/// A linear, and behind a k the v that its block does not have because k is v: vLLM fuses q, k and v of every block,
/// and looks up the codec of all three.
std::vector<model::Linear> with_missing_v(const model::Architecture& a, const model::Linear& linear) {
  if (linear.role != model::Role::k || !a.attention[linear.block].k_is_v) return {linear};
  model::Linear v = linear;
  v.module = a.names.block(linear.block) + a.names.linear(model::Role::v);
  return {linear, v};
}

/// The modules that a linear is a matrix of.
std::vector<model::Linear> held_as(const model::Architecture& a, const model::Linear& linear) {
  if (linear.role != model::Role::embed || !a.copies_head()) return with_missing_v(a, linear);
  model::Linear head = linear;
  head.role = model::Role::lm_head;
  head.module = a.names.linear(model::Role::lm_head);
  return {linear, head};
}

}  // namespace

bool head_is_apart(const model::Architecture& a, const Codecs& codecs) {
  return a.copies_head() && codecs[a.embedding()]->has_codes();
}

bool is_named_otherwise(const model::Model& model) {
  const json config = model.config();
  for (const auto& [key, value] : config.items())
    if (key.ends_with("_config") && value.is_object()) return true;
  return model.architecture().names.root != model::Names{}.root;
}

std::vector<format::ModuleCodec> module_targets(const model::Model& model, const Codecs& codecs) {
  const model::Architecture& a = model.architecture();
  const bool any_prefix = is_named_otherwise(model);
  std::vector<format::ModuleCodec> modules;
  Patterns patterns(a.names);
  for (const model::FusionGroup& group : a.groups) {
    const std::size_t first = group.linears.front();
    if (a.linears[first].routed()) {
      for (std::string& target : experts_targets(a, group, any_prefix))
        modules.push_back({std::move(target), codecs[first]});
      continue;
    }
    if (a.linears[first].role == model::Role::embed) {
      if (!codecs[first]->has_codes()) continue;  // nobody looks for its name
      if (a.embedding_query == model::EmbeddingQuery::by_class)
        modules.push_back({std::string(format::kEmbeddingClass), codecs[first]});
    }
    for (const std::size_t l : group.linears) {
      if (const std::string held = held_name(a, a.linears[l]); !held.empty())
        patterns.add(a.linears[l].block, held, codecs[l]);
      for (const model::Linear& linear : held_as(a, a.linears[l])) {
        if (any_prefix)
          patterns.add(linear.block, bare_name(a, linear), codecs[l]);
        else
          modules.push_back({linear.module, codecs[l]});
      }
    }
  }
  std::ranges::copy(patterns.list(), std::back_inserter(modules));
  return modules;
}

std::vector<std::string> never_quantized(const model::Model& model, const Codecs& codecs) {
  const model::Architecture& a = model.architecture();
  const bool head_too = a.tied && !head_is_apart(a, codecs);
  const bool any_prefix = is_named_otherwise(model);
  std::vector<std::string> modules;
  Patterns patterns(a.names);
  if (head_too && any_prefix) patterns.add(model::kNoBlock, a.names.head, nullptr);
  if (head_too && !any_prefix) modules.push_back(a.names.linear(model::Role::lm_head));
  const auto add = [&](std::size_t block, const std::string& tensor) {
    const std::string module = tensor.substr(0, tensor.rfind('.'));
    const std::string& start = block == model::kNoBlock ? a.names.root : a.names.block(block);
    if (any_prefix)
      patterns.add(block, module.substr(start.size()), nullptr);
    else
      modules.push_back(module);
  };
  if (a.block_embedding.size != 0) add(model::kNoBlock, model::block_projection_name(a));
  for (std::size_t b = 0; b < a.blocks; ++b) {
    if (a.layout[b].mixture) add(b, model::router_name(a, b));
    if (a.layout[b].mixture && a.experts.shared_gate) add(b, model::shared_gate_name(a, b));
  }
  for (const format::ModuleCodec& pattern : patterns.list()) modules.push_back(pattern.module);
  return modules;
}

}  // namespace strata::pipeline
