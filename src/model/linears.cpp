// The list of a model's linears, made from its sizes and names, and the look-ups in that list.
#include "model/linears.h"

#include <algorithm>
#include <array>

#include "model/architecture.h"
#include "model/mixers/mixer.h"
#include "model/tensors.h"

namespace strata::model {

std::size_t Architecture::first_block(const FusionGroup& group) const {
  if (linears[group.linears.front()].role == Role::embed) return 0;
  return std::min(group.block, blocks);
}

bool Architecture::has(std::size_t block, Role role) const {
  for (const Linear& linear : block_linears(block))
    if (linear.role == role && !linear.routed()) return true;
  return false;
}

std::size_t Architecture::index(std::size_t block, Role role, std::size_t expert) const {
  const BlockLinears& of = layout[block];
  const std::span<const Role> each = expert_roles();
  if (expert < experts.count && of.mixture) {
    const auto at = std::ranges::find(each, role);
    STRATA_CHECK(at != each.end(), "experts have no {}", role_name(role));
    return of.first_expert + each.size() * expert + static_cast<std::size_t>(at - each.begin());
  }
  for (std::size_t l = of.first; l < of.first + of.count; ++l) {
    if (linears[l].routed()) l += each.size() * experts.count;
    if (l < of.first + of.count && linears[l].role == role) return l;
  }
  STRATA_CHECK(false, "block {} has no {}", block, role_name(role));
}

std::span<const Role> Architecture::expert_roles() const {
  static constexpr std::array kRoles = {Role::gate, Role::up, Role::down};
  return std::span(kRoles).subspan(gated ? 0 : 1);
}

namespace {

/// Appends linears and groups in their order.
class Lister {
 public:
  Lister(Architecture& a, Fusion fusion) : a_(a), names_(a.names), single_(fusion == Fusion::single) {}

  /// Begins a group that the next linears belong to; with Fusion::single each of them is a group of its own instead.
  void group(std::string name, std::size_t block) {
    block_ = block;
    if (!single_) a_.groups.push_back({std::move(name), block, {}});
  }
  void linear(std::string module, Role role, std::size_t rows, std::size_t cols, bool bias,
              std::size_t expert = kNoExpert) {
    if (single_) a_.groups.push_back({module, block_, {}});
    append(a_.groups.size() - 1, std::move(module), role, rows, cols, bias, expert);
  }

  /// A linear that no other shares a group with.
  void alone(const std::string& module, std::size_t b, Role role, std::size_t rows, std::size_t cols, bool bias) {
    group(module, b);
    linear(module, role, rows, cols, bias);
  }

  void mixer(std::size_t b) {
    const std::string block = names_.block(b);
    std::string last;
    for (const MixerLinear& l : mixer_kind(a_, b).linears(a_, b)) {
      const std::string module = block + (l.name.empty() ? names_.linear(l.role) : l.name);
      if (l.group.empty() || l.group != last) group(l.group.empty() ? module : block + l.group, b);
      linear(module, l.role, l.rows, l.cols, l.bias);
      last = l.group;
    }
  }

  void block_embedding(std::size_t b) {
    const std::string block = names_.block(b);
    const std::size_t size = a_.block_embedding.size;
    alone(block + names_.linear(Role::embed_gate), b, Role::embed_gate, size, a_.hidden, false);
    alone(block + names_.linear(Role::embed_out), b, Role::embed_out, a_.hidden, size, false);
  }

  /// gate and up share a runtime's matrix, down has its own. `prefix` is the name of the part and a point; expert:
  /// kNoExpert or kSharedExpert.
  void feed_forward(const std::string& prefix, std::size_t b, std::size_t intermediate, bool bias,
                    std::size_t expert = kNoExpert) {
    const auto name = [&](std::string_view part) { return prefix + std::string(part); };
    group(a_.gated ? prefix + "gate_up_proj" : name(names_.up), b);
    if (!a_.gated) {
      linear(name(names_.up), Role::up, intermediate, a_.hidden, bias, expert);
    } else if (!names_.gate_up.empty()) {
      linear(name(names_.gate_up), Role::gate_up, 2 * intermediate, a_.hidden, bias, expert);
    } else {
      linear(name(names_.gate), Role::gate, intermediate, a_.hidden, bias, expert);
      linear(name(names_.up), Role::up, intermediate, a_.hidden, bias, expert);
    }
    group(name(names_.down), b);
    linear(name(names_.down), Role::down, a_.hidden, intermediate, bias, expert);
  }

  /// Runtimes stack all experts of a block, so that they share one codec; GGUF has a stack each of gate, up and down.
  void mixture(std::size_t b) {
    const Experts& e = a_.experts;
    const std::string block = names_.block(b), prefix = mixture_prefix(a_, b);
    if (e.latent != 0) alone(prefix + std::string(e.to_latent), b, Role::to_latent, e.latent, a_.hidden, a_.mlp_bias);
    if (e.shared_intermediate != 0)
      feed_forward(fmt::format("{}{}.", e.shared_beside ? block : prefix, e.shared_module), b,
                   e.shared_intermediate * a_.layout[b].widening, a_.mlp_bias, kSharedExpert);
    experts(b, prefix);
    if (e.latent != 0)
      alone(prefix + std::string(e.from_latent), b, Role::from_latent, a_.hidden, e.latent, a_.mlp_bias);
  }

 private:
  void experts(std::size_t b, const std::string& prefix) {
    const Experts& e = a_.experts;
    const std::span<const Role> roles = a_.expert_roles();
    const auto name = [&](Role role) { return role == Role::gate ? e.gate : role == Role::up ? e.up : e.down; };
    a_.layout[b].first_expert = a_.linears.size();
    const std::size_t first = a_.groups.size(), next = single_ ? 1 : 0, size = a_.expert_size();
    if (single_)
      for (const Role role : roles) a_.groups.push_back({fmt::format("{}experts.{}", prefix, name(role)), b, {}});
    else
      a_.groups.push_back({prefix + "experts", b, {}});
    for (std::size_t i = 0; i < e.count; ++i)
      for (std::size_t r = 0; r < roles.size(); ++r) {
        const bool down = roles[r] == Role::down;
        append(first + r * next, fmt::format("{}experts.{}.{}", prefix, i, name(roles[r])), roles[r],
               down ? size : e.intermediate, down ? e.intermediate : size, e.bias, i);
      }
  }

  void append(std::size_t group, std::string module, Role role, std::size_t rows, std::size_t cols, bool bias,
              std::size_t expert) {
    a_.groups[group].linears.push_back(a_.linears.size());
    a_.linears.push_back({std::move(module), role, a_.groups[group].block, rows, cols, bias, group, expert});
  }

  Architecture& a_;
  const Names& names_;
  bool single_;
  std::size_t block_ = 0;
};

}  // namespace

void list_linears(Architecture& a, Fusion fusion) {
  a.fusion = fusion;
  a.linears.clear();
  a.groups.clear();
  a.layout.resize(a.blocks, {0, 0, false});
  a.attention.resize(a.blocks);
  Lister list(a, fusion);
  for (std::size_t b = 0; b < a.blocks; ++b) {
    BlockLinears& block = a.layout[b];
    block.first = a.linears.size();
    list.mixer(b);
    if (block.mixture && block.feeds)
      list.mixture(b);
    else if (block.feeds)
      list.feed_forward(a.names.block(b) + a.names.within(a.names.feed_forward), b, a.dense_size(b), a.mlp_bias);
    if (a.block_embedding.size != 0) list.block_embedding(b);
    block.count = a.linears.size() - block.first;
  }
  const bool asked_for = fusion == Fusion::fused_embedding && a.embedding_query != EmbeddingQuery::never;
  if (!a.tied) list.alone(a.names.linear(Role::lm_head), kNoBlock, Role::lm_head, a.vocab, a.hidden, a.head_bias);
  if (asked_for || fusion == Fusion::single)
    list.alone(a.names.linear(Role::embed), kNoBlock, Role::embed, a.vocab, a.hidden, false);
}

}  // namespace strata::model
