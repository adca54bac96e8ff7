// Names of tensors, put together from the family's parts of them, and the list of all.
#include "model/tensors.h"

#include <array>

#include "model/mixers/mixer.h"

namespace strata::model {

std::string Names::within(std::string_view module) {
  return module.empty() ? std::string() : fmt::format("{}.", module);
}

std::string Names::block(std::size_t block) const { return fmt::format("{}{}{}.", root, blocks, block); }

std::string_view TensorNames::norm(Norm norm) const {
  switch (norm) {
    case Norm::before_attention:
      return before_attention;
    case Norm::q:
      return q_norm;
    case Norm::k:
      return k_norm;
    case Norm::q_a:
      return q_a_norm;
    case Norm::kv_a:
      return kv_a_norm;
    case Norm::after_attention:
      return after_attention;
    case Norm::before_feed_forward:
      return before_feed_forward;
    case Norm::after_dense:
      return after_dense;
    case Norm::before_experts:
      return before_experts;
    case Norm::after_experts:
      return after_experts;
    case Norm::after_embedding:
      return after_embedding;
    case Norm::after_feed_forward:
      return after_feed_forward;
    case Norm::first:
      return first_norm;
    case Norm::last:
      return last_norm;
  }
  STRATA_CHECK(false);
}

std::string embedding_name(const Architecture& a) { return a.names.linear(Role::embed) + ".weight"; }

std::string positions_name(const Architecture& a) {
  return fmt::format("{}{}.weight", a.names.root, a.names.positions);
}

std::string_view norm_part(const Architecture& a, Norm norm, std::size_t block) {
  const bool attends = block != kNoBlock && a.attention[block].mixer == Mixer::attention;
  return attends && a.names.attending != nullptr ? a.names.attending->norm(norm) : a.names.norm(norm);
}

std::string norm_name(const Architecture& a, Norm norm, std::size_t block) {
  STRATA_CHECK(a.has(norm, block));
  return fmt::format("{}{}.weight", block == kNoBlock ? a.names.root : a.names.block(block), norm_part(a, norm, block));
}

std::string norm_bias_name(const Architecture& a, Norm norm, std::size_t block) {
  const std::string weight = norm_name(a, norm, block);
  return weight.substr(0, weight.rfind('.')) + ".bias";
}

std::string mixture_prefix(const Architecture& a, std::size_t block) {
  return fmt::format("{}{}{}", a.names.block(block), a.experts.module, a.experts.module.empty() ? "" : ".");
}

std::string router_name(const Architecture& a, std::size_t block) {
  return fmt::format("{}{}.weight", mixture_prefix(a, block), a.experts.router);
}

std::string router_bias_name(const Architecture& a, std::size_t block) {
  return fmt::format("{}{}.bias", mixture_prefix(a, block), a.experts.router);
}

std::string router_scale_name(const Architecture& a, std::size_t block) {
  return fmt::format("{}{}", mixture_prefix(a, block), a.experts.router_scale);
}

std::string expert_scale_name(const Architecture& a, std::size_t block) {
  return fmt::format("{}{}", mixture_prefix(a, block), a.experts.expert_scale);
}

std::string block_scale_name(const Architecture& a, std::size_t block) {
  return fmt::format("{}{}", a.names.block(block), a.names.block_scale);
}

std::string block_table_name(const Architecture& a) {
  return fmt::format("{}{}.weight", a.names.root, a.names.block_table);
}

std::string block_projection_name(const Architecture& a) {
  return fmt::format("{}{}.weight", a.names.root, a.names.block_projection);
}

std::string block_projection_norm_name(const Architecture& a) {
  return fmt::format("{}{}.weight", a.names.root, a.names.block_projection_norm);
}

std::string sinks_name(const Architecture& a, std::size_t block) {
  return fmt::format("{}{}", a.names.block(block), a.names.sinks);
}

std::string xielu_name(const Architecture& a, std::size_t block, XieluTensor part) {
  constexpr std::array<std::string_view, 4> names = {"alpha_p", "alpha_n", "beta", "eps"};
  return fmt::format("{}{}.{}", a.names.block(block), a.names.xielu, names.at(static_cast<std::size_t>(part)));
}

std::string correction_name(const Architecture& a, std::size_t block) {
  return fmt::format("{}{}", mixture_prefix(a, block), a.experts.correction_name);
}

std::string shared_gate_name(const Architecture& a, std::size_t block) {
  return fmt::format("{}{}_gate.weight", mixture_prefix(a, block), a.experts.shared_module);
}

namespace {

/// Ernie's files hold the biases as a matrix of one row.
std::vector<std::uint64_t> correction_shape(const Experts& e) {
  return e.correction_is_row ? std::vector<std::uint64_t>{1, e.count} : std::vector<std::uint64_t>{e.count};
}

void expect_norm(const Architecture& a, Norm norm, std::size_t block, std::vector<ExpectedTensor>& result) {
  if (a.has_weights(norm)) result.push_back({norm_name(a, norm, block), {a.norm_size(norm, block)}});
  if (a.has_bias(norm)) result.push_back({norm_bias_name(a, norm, block), {a.norm_size(norm, block)}});
}

/// What a mixture has beside its linears.
void expect_mixture(const Architecture& a, std::size_t block, std::vector<ExpectedTensor>& result) {
  const Experts& e = a.experts;
  result.push_back({router_name(a, block), {e.count, a.hidden}, e.exact_router ? DType::f32 : DType::bf16});
  if (e.router_bias) result.push_back({router_bias_name(a, block), {e.count}});
  if (e.correction) result.push_back({correction_name(a, block), correction_shape(e), DType::f32});
  if (e.shared_gate) result.push_back({shared_gate_name(a, block), {1, a.hidden}});
  if (!e.beside_dense) return;
  result.push_back({router_scale_name(a, block), {a.hidden}});
  result.push_back({expert_scale_name(a, block), {e.count}});
}

/// transformers' class holds the two that are not trained without dimensions.
void expect_xielu(const Architecture& a, std::size_t block, std::vector<ExpectedTensor>& result) {
  for (const XieluTensor part : {XieluTensor::alpha_p, XieluTensor::alpha_n})
    result.push_back({xielu_name(a, block, part), {1}});
  for (const XieluTensor part : {XieluTensor::beta, XieluTensor::epsilon})
    result.push_back({xielu_name(a, block, part), {}});
}

/// What makes the rows that every token has for every block.
void expect_block_embedding(const Architecture& a, std::vector<ExpectedTensor>& result) {
  const std::uint64_t width = std::uint64_t{a.blocks} * a.block_embedding.size;
  result.push_back({block_table_name(a), {a.block_embedding.tokens, width}});
  result.push_back({block_projection_name(a), {width, a.hidden}});
  result.push_back({block_projection_norm_name(a), {a.block_embedding.size}});
}

}  // namespace

std::vector<ExpectedTensor> expected_tensors(const Architecture& a) {
  std::vector<ExpectedTensor> result;
  if (!a.why_not_runnable.empty()) {  // all but the linears is carried
    for (const Linear& linear : a.linears) result.push_back({linear.module + ".weight", {linear.rows, linear.cols}});
    return result;
  }
  result.push_back({embedding_name(a), {a.vocab, a.hidden}});
  if (a.learned.positions != 0) result.push_back({positions_name(a), {a.learned.rows(), a.hidden}});
  if (a.has(Norm::first, kNoBlock)) expect_norm(a, Norm::first, kNoBlock, result);
  if (a.block_embedding.size != 0) expect_block_embedding(a, result);
  for (std::size_t b = 0; b < a.blocks; ++b) {
    for (const Norm norm : kBlockNorms)
      if (a.has(norm, b)) expect_norm(a, norm, b, result);
    for (ExpectedTensor& tensor : mixer_kind(a, b).kept(a, b)) result.push_back(std::move(tensor));
    if (a.block_scale) result.push_back({block_scale_name(a, b), {1}});
    if (a.layout[b].mixture) expect_mixture(a, b, result);
    if (a.activation == Activation::xielu && a.feeds(b)) expect_xielu(a, b, result);
  }
  for (const Linear& linear : a.linears) {
    if (linear.role == Role::embed) continue;
    result.push_back({linear.module + ".weight", {linear.rows, linear.cols}});
    if (linear.bias) result.push_back({linear.module + ".bias", {linear.rows}});
  }
  expect_norm(a, Norm::last, kNoBlock, result);
  return result;
}

}  // namespace strata::model
