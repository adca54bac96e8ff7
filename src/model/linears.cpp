// The list of a model's linears, made from its sizes and names, and the look-ups in that list.
#include "model/linears.h"

#include <algorithm>

#include "model/architecture.h"
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
  if (expert < experts.count && of.mixture) {
    constexpr std::size_t each = 3;
    return of.first_expert + each * expert + static_cast<std::size_t>(role) - static_cast<std::size_t>(Role::gate);
  }
  for (std::size_t l = of.first; l < of.first + of.count && !linears[l].routed(); ++l)
    if (linears[l].role == role) return l;
  STRATA_CHECK(false, "block {} has no {}", block, role_name(role));
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

  void mixer(std::size_t b) {
    switch (a_.attention[b].mixer) {
      case Mixer::attention:
        return attention(b);
      case Mixer::latent:
        return latent_attention(b);
      case Mixer::delta:
        return delta_net(b);
      case Mixer::convolution:
        return short_convolution(b);
    }
  }

  void short_convolution(std::size_t b) {
    const std::string block = names_.block(b), in = block + names_.linear(Role::in_bcx),
                      out = fmt::format("{}{}.{}", block, names_.convolution, names_.convolution_out);
    group(in, b);
    linear(in, Role::in_bcx, 3 * a_.hidden, a_.hidden, a_.convolution.bias);
    group(out, b);
    linear(out, Role::o, a_.hidden, a_.hidden, a_.convolution.bias);
  }

  /// vLLM holds what reads the block's input in two matrices (qwen3_5.py), as Qwen3-Next's files do.
  void delta_net(std::size_t b) {
    const std::string block = names_.block(b);
    const DeltaNet& d = a_.delta;
    const auto one = [&](Role role, std::size_t rows) {
      linear(block + names_.linear(role), role, rows, a_.hidden, false);
    };
    group(block + names_.linear(Role::in_qkvz), b);
    if (d.by_key_heads) {
      one(Role::in_qkvz, d.channels() + d.values());
    } else {
      one(Role::in_qkv, d.channels());
      one(Role::in_z, d.values());
    }
    group(block + names_.linear(Role::in_ba), b);
    if (d.by_key_heads) {
      one(Role::in_ba, 2 * d.value_heads);
    } else {
      one(Role::in_b, d.value_heads);
      one(Role::in_a, d.value_heads);
    }
    const std::string out = fmt::format("{}{}.{}", block, names_.delta, names_.delta_out);
    group(out, b);
    linear(out, Role::o, a_.hidden, d.values(), false);
  }

  /// vLLM holds q_a and kv_a in one matrix (fused_qkv_a_proj of deepseek_v2.py).
  void latent_attention(std::size_t b) {
    const std::string block = names_.block(b);
    const Latent& l = a_.latent;
    const auto name = [&](Role role) { return block + names_.linear(role); };
    const auto alone = [&](Role role, std::size_t rows, std::size_t cols, bool bias) {
      group(name(role), b);
      linear(name(role), role, rows, cols, bias);
    };
    if (l.q_rank != 0) {
      group(fmt::format("{}{}.fused_qkv_a_proj", block, names_.attention), b);
      linear(name(Role::q_a), Role::q_a, l.q_rank, a_.hidden, a_.qkv_bias);
      linear(name(Role::kv_a), Role::kv_a, l.kv_rank + l.turned, a_.hidden, a_.qkv_bias);
      alone(Role::q_b, a_.q_size(), l.q_rank, false);
    } else {
      alone(Role::q, a_.q_size(), a_.hidden, false);
      alone(Role::kv_a, l.kv_rank + l.turned, a_.hidden, a_.qkv_bias);
    }
    alone(Role::kv_b, a_.heads * (l.plain + l.value), l.kv_rank, false);
    alone(Role::o, a_.hidden, a_.mixed_size(b), a_.o_bias);
  }

  /// vLLM has q alone in a block that reads another's keys, and fills the place of a v that k is with k (gemma4.py).
  void attention(std::size_t b) {
    const std::string block = names_.block(b);
    const BlockAttention& of = a_.attention[b];
    const bool own_keys = of.keys_of == kOwnKeys;
    const std::size_t q_size = a_.q_size(b), kv_size = a_.kv_size(b);
    const auto one = [&](Role role, std::size_t rows) {
      linear(block + names_.linear(role), role, rows, a_.hidden, a_.qkv_bias);
    };
    group(own_keys ? fmt::format("{}{}.qkv_proj", block, names_.attention) : block + names_.linear(Role::q), b);
    if (!names_.qkv.empty()) {
      one(Role::qkv, q_size + 2 * kv_size);
    } else {
      one(Role::q, (a_.output_gate ? 2 : 1) * q_size);
      if (own_keys) one(Role::k, kv_size);
      if (own_keys && !of.k_is_v) one(Role::v, kv_size);
    }
    group(block + names_.linear(Role::o), b);
    linear(block + names_.linear(Role::o), Role::o, a_.hidden, q_size, a_.o_bias);
  }

  void block_embedding(std::size_t b) {
    const std::string block = names_.block(b), gate = block + names_.linear(Role::embed_gate),
                      out = block + names_.linear(Role::embed_out);
    group(gate, b);
    linear(gate, Role::embed_gate, a_.block_embedding.size, a_.hidden, false);
    group(out, b);
    linear(out, Role::embed_out, a_.hidden, a_.block_embedding.size, false);
  }

  /// gate and up share a runtime's matrix, down has its own. `prefix` is the name of the part and a point.
  void feed_forward(const std::string& prefix, std::size_t b, std::size_t intermediate, bool bias,
                    std::size_t expert = kNoExpert) {
    const auto name = [&](std::string_view part) { return prefix + std::string(part); };
    group(prefix + "gate_up_proj", b);
    if (!names_.gate_up.empty() && expert == kNoExpert) {
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
    const std::string prefix = mixture_prefix(a_, b);
    if (e.shared_intermediate != 0)
      feed_forward(fmt::format("{}{}.", prefix, e.shared_module), b, e.shared_intermediate * a_.layout[b].widening,
                   a_.mlp_bias, kSharedExpert);
    a_.layout[b].first_expert = a_.linears.size();
    const std::size_t first = a_.groups.size(), next = single_ ? 1 : 0;
    if (single_)
      for (const std::string_view name : {e.gate, e.up, e.down})
        a_.groups.push_back({fmt::format("{}experts.{}", prefix, name), b, {}});
    else
      a_.groups.push_back({prefix + "experts", b, {}});
    for (std::size_t i = 0; i < e.count; ++i) {
      const std::string expert = fmt::format("{}experts.{}.", prefix, i);
      append(first, expert + std::string(e.gate), Role::gate, e.intermediate, a_.hidden, e.bias, i);
      append(first + next, expert + std::string(e.up), Role::up, e.intermediate, a_.hidden, e.bias, i);
      append(first + 2 * next, expert + std::string(e.down), Role::down, a_.hidden, e.intermediate, e.bias, i);
    }
  }

 private:
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
  a.linears.clear();
  a.groups.clear();
  a.layout.resize(a.blocks, {0, 0, false});
  a.attention.resize(a.blocks);
  Lister list(a, fusion);
  for (std::size_t b = 0; b < a.blocks; ++b) {
    BlockLinears& block = a.layout[b];
    block.first = a.linears.size();
    list.mixer(b);
    if (block.mixture)
      list.mixture(b);
    else
      list.feed_forward(fmt::format("{}{}.", a.names.block(b), a.names.feed_forward), b, a.dense_size(b), a.mlp_bias);
    if (a.block_embedding.size != 0) list.block_embedding(b);
    block.count = a.linears.size() - block.first;
  }
  const std::string head = a.names.linear(Role::lm_head);
  if (!a.tied || fusion == Fusion::single) list.group(head, kNoBlock);
  if (!a.tied) list.linear(head, Role::lm_head, a.vocab, a.hidden, false);
  if (fusion == Fusion::single) list.linear(a.names.linear(Role::embed), Role::embed, a.vocab, a.hidden, false);
}

}  // namespace strata::model
