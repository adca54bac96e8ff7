// Names of tensors, put together from the family's parts of them, and the list of all.
#include "model/tensors.h"

#include <array>

namespace strata::model {

std::string_view role_name(Role role) {
  constexpr std::array<std::string_view, 12> names = {"q",    "k",   "v",       "o",       "gate",  "up",
                                                      "down", "qkv", "gate_up", "lm_head", "embed", "other"};
  return names[static_cast<std::size_t>(role)];
}

std::string Names::block(std::size_t block) const { return fmt::format("{}{}{}.", root, blocks, block); }

std::string Names::linear(Role role) const {
  if (role == Role::lm_head) return head_root + std::string(head);
  if (role == Role::embed) return root + std::string(embedding);
  const bool attends = role == Role::q || role == Role::k || role == Role::v || role == Role::o || role == Role::qkv;
  const std::array<std::string_view, 9> names = {q, k, v, o, gate, up, down, qkv, gate_up};
  return fmt::format("{}.{}", attends ? attention : feed_forward, names[static_cast<std::size_t>(role)]);
}

std::string_view TensorNames::norm(Norm norm) const {
  switch (norm) {
    case Norm::before_attention:
      return before_attention;
    case Norm::q:
      return q_norm;
    case Norm::k:
      return k_norm;
    case Norm::after_attention:
      return after_attention;
    case Norm::before_feed_forward:
      return before_feed_forward;
    case Norm::after_feed_forward:
      return after_feed_forward;
    case Norm::last:
      return last_norm;
  }
  STRATA_CHECK(false);
}

std::string embedding_name(const Architecture& a) { return a.names.linear(Role::embed) + ".weight"; }

std::string norm_name(const Architecture& a, Norm norm, std::size_t block) {
  STRATA_CHECK(a.has(norm) && (norm == Norm::last) == (block == kNoBlock));
  return fmt::format("{}{}.weight", norm == Norm::last ? a.names.root : a.names.block(block), a.names.norm(norm));
}

std::string router_name(const Architecture& a, std::size_t block) {
  return fmt::format("{}{}.{}.weight", a.names.block(block), a.experts.module, a.experts.router);
}

std::string router_bias_name(const Architecture& a, std::size_t block) {
  return fmt::format("{}{}.{}.bias", a.names.block(block), a.experts.module, a.experts.router);
}

std::string sinks_name(const Architecture& a, std::size_t block) {
  return fmt::format("{}{}", a.names.block(block), a.names.sinks);
}

std::string correction_name(const Architecture& a, std::size_t block) {
  return fmt::format("{}{}.{}", a.names.block(block), a.experts.module, a.experts.correction_name);
}

std::string shared_gate_name(const Architecture& a, std::size_t block) {
  return fmt::format("{}{}.{}_gate.weight", a.names.block(block), a.experts.module, a.experts.shared_module);
}

namespace {

/// Ernie's files hold the biases as a matrix of one row.
std::vector<std::uint64_t> correction_shape(const Experts& e) {
  return e.correction_is_row ? std::vector<std::uint64_t>{1, e.count} : std::vector<std::uint64_t>{e.count};
}

}  // namespace

std::vector<ExpectedTensor> expected_tensors(const Architecture& a) {
  std::vector<ExpectedTensor> result;
  if (!a.why_not_runnable.empty()) {  // all but the linears is carried
    for (const Linear& linear : a.linears) result.push_back({linear.module + ".weight", {linear.rows, linear.cols}});
    return result;
  }
  result.push_back({embedding_name(a), {a.vocab, a.hidden}});
  for (std::size_t b = 0; b < a.blocks; ++b) {
    for (const Norm norm : kBlockNorms)
      if (a.has(norm)) result.push_back({norm_name(a, norm, b), {a.norm_size(norm)}});
    if (a.sinks) result.push_back({sinks_name(a, b), {a.heads}});
    if (!a.layout[b].mixture) continue;
    const Experts& e = a.experts;
    result.push_back({router_name(a, b), {e.count, a.hidden}, e.exact_router ? DType::f32 : DType::bf16});
    if (e.router_bias) result.push_back({router_bias_name(a, b), {e.count}});
    if (e.correction) result.push_back({correction_name(a, b), correction_shape(e), DType::f32});
    if (e.shared_gate) result.push_back({shared_gate_name(a, b), {1, a.hidden}});
  }
  for (const Linear& linear : a.linears) {
    if (linear.role == Role::embed) continue;
    result.push_back({linear.module + ".weight", {linear.rows, linear.cols}});
    if (linear.bias) result.push_back({linear.module + ".bias", {linear.rows}});
  }
  result.push_back({norm_name(a, Norm::last), {a.hidden}});
  return result;
}

}  // namespace strata::model
