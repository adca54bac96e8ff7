// Attention: heads of q, k and v, or of one matrix that holds all three. Which keys a token sees and what turns q and k
// is read in parse_attention.cpp, since latent attention has it too.
#include "model/mixers/mixer.h"

namespace strata::model {
namespace {

/// vLLM has q alone in a block that reads another's keys, and fills the place of a v that k is with k (gemma4.py).
std::vector<MixerLinear> linears(const Architecture& a, std::size_t block) {
  const BlockAttention& of = a.attention[block];
  const bool own_keys = of.keys_of == kOwnKeys;
  const std::size_t q_size = a.q_size(block), kv_size = a.kv_size(block);
  const std::string group = own_keys ? fmt::format("{}.qkv_proj", a.names.attention) : a.names.linear(Role::q);
  std::vector<MixerLinear> list;
  const auto add = [&](Role role, std::size_t rows) {
    list.push_back({.role = role, .rows = rows, .cols = a.hidden, .bias = a.qkv_bias, .group = group});
  };
  if (!a.names.qkv.empty()) {
    add(Role::qkv, q_size + 2 * kv_size);
  } else {
    add(Role::q, (a.output_gate == OutputGate::in_q ? 2 : 1) * q_size);
    if (own_keys) add(Role::k, kv_size);
    if (own_keys && !of.k_is_v) add(Role::v, kv_size);
  }
  if (a.output_gate == OutputGate::apart)
    list.push_back({.role = Role::out_gate, .rows = a.gate_by_head ? a.heads_of(of) : q_size, .cols = a.hidden});
  list.push_back({.role = Role::o, .rows = a.hidden, .cols = q_size, .bias = a.o_bias});
  return list;
}

std::vector<ExpectedTensor> kept(const Architecture& a, std::size_t block) {
  if (!a.sinks) return {};
  return {{.name = sinks_name(a, block), .shape = {a.heads_of(a.attention[block])}}};
}

MixerSizes sizes(const Architecture& a, std::size_t block) {
  return {.mixed = a.q_size(block), .cache = a.attention[block].keys_of == kOwnKeys ? 2 * a.kv_size(block) : 0};
}

std::size_t norm_size(const Architecture& a, Norm norm, std::size_t block) {
  const BlockAttention& of = a.attention[block];
  if (norm != Norm::q && (norm != Norm::k || of.keys_of != kOwnKeys)) return 0;
  if (a.qk_norm == QkNorm::per_head) return a.head_size(of);
  if (a.qk_norm == QkNorm::none) return 0;
  return norm == Norm::q ? a.q_size(block) : a.kv_size(block);
}

std::size_t floats(const Architecture& a) { return 2 * a.q_size() + 2 * a.kv_size(); }

}  // namespace

constinit const MixerKind kAttentionMixer{.mixer = Mixer::attention,
                                          .name = "attention",
                                          .module = &TensorNames::attention,
                                          .linears = linears,
                                          .kept = kept,
                                          .sizes = sizes,
                                          .norm_size = norm_size,
                                          .floats = floats};

}  // namespace strata::model
