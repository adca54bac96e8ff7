// The keys that a model's file would have are read like any file's, and the two architectures are held against each
// other: what differs would be computed otherwise by llama.cpp.
#include "model/gguf/check.h"

#include <algorithm>
#include <cmath>

#include "model/gguf/config.h"
#include "model/gguf/export.h"
#include "model/gguf/families.h"
#include "model/gguf/kinds.h"
#include "model/gguf/mixers.h"
#include "model/gguf/rope.h"

namespace strata::model {
namespace {

using Vectors = std::vector<std::pair<std::string, std::vector<float>>>;

/// What a file of this architecture would be opened as. `divisors` must outlive it.
format::GgufFile described(const Architecture& a, const GgufFamily& row, const Vectors& divisors,
                           const std::string& where) {
  format::GgufKeys keys;
  keys.add("general.architecture", row.name);
  add_architecture_keys(keys, a, where);
  const std::string header = format::lay_out_gguf(std::move(keys), {}).header;
  format::GgufContent content = format::parse_gguf(std::as_bytes(std::span(header)), where);
  const auto tensor = [&](const std::string& name, std::vector<std::uint64_t> shape, std::span<const std::byte> data) {
    content.tensors.push_back({name, 0, std::move(shape), data});
  };
  tensor("token_embd.weight", {a.vocab, a.hidden}, {});
  if (!a.tied) tensor("output.weight", {a.vocab, a.hidden}, {});
  for (const auto& [name, given] : {std::pair{"attn_q", a.qkv_bias},
                                    {"attn_output", a.o_bias},
                                    {"ffn_down", a.mlp_bias},
                                    {"ssm_conv1d", a.mamba.convolution_bias}})
    if (given) tensor(fmt::format("blk.0.{}.bias", name), {1}, {});
  if (a.qk_norm != QkNorm::none) tensor("blk.0.attn_q_norm.weight", {1}, {});
  for (std::size_t b = 0; b < a.blocks; ++b)
    if (a.has(b, Role::v)) tensor(fmt::format("blk.{}.attn_v.weight", b), {1}, {});
  if (a.output_gate == OutputGate::apart)
    tensor("blk.0.attn_gate.weight", {a.linear(0, Role::out_gate).rows, a.hidden}, {});
  if (a.block_embedding.size != 0)
    tensor("per_layer_token_embd.weight", {a.block_embedding.tokens, a.blocks * a.block_embedding.size}, {});
  for (const auto& [name, values] : divisors) tensor(name, {values.size()}, std::as_bytes(std::span(values)));
  return format::GgufFile(std::move(content), where);
}

bool close(double a, double b) { return std::fabs(a - b) <= 1e-4 * std::max(std::fabs(a), std::fabs(b)); }

/// What of an embedding b does not have as a has it; empty when both turn by the same angles, whatever numbers they are
/// told by.
std::string lost_rope(const Rope& a, const Rope& b, std::size_t last_position) {
  if (a.dims != b.dims || a.interleaved != b.interleaved) return "which dimensions are rotated";
  if (a.sections != b.sections && !a.sections.empty()) return "'mrope_section'";  // of text alone any are the same
  if (!close(a.attention_factor, b.attention_factor)) return "the rotary embedding's 'attention_factor'";
  for (const std::size_t position : {std::size_t{0}, last_position}) {
    if (std::ranges::equal(inverse_frequencies(a, position), inverse_frequencies(b, position), close)) continue;
    if (a.scaling == Rope::Scaling::yarn && (a.beta_fast != b.beta_fast || a.beta_slow != b.beta_slow))
      return "yarn's 'beta_fast' and 'beta_slow'";
    return a.truncate != b.truncate ? "yarn's 'truncate'" : "the rotary embedding";
  }
  return {};
}

bool same(const Scales& a, const Scales& b) {
  return close(a.embedding, b.embedding) && close(a.attention, b.attention) && close(a.residual, b.residual) &&
         close(a.logits, b.logits);
}

std::string lost_block(const Architecture& a, const Architecture& b, std::size_t block) {
  const BlockAttention &x = a.attention[block], &y = b.attention[block];
  std::string what = lost_kind(a, b, block);
  if (gguf_family_of(a).window_pattern != 0 && x.window != y.window) what = "the sliding window";
  if (x.chunk != y.chunk) what = "the stretches of 'attention_chunk_size'";
  if ((x.rope == kNoRope) != (y.rope == kNoRope)) what = "where there is a rotary embedding";
  if (x.scales_query != y.scales_query) what = "the factor of q that grows with the position";
  if (a.layout[block].mixture != b.layout[block].mixture) what = "whether there are experts";
  if (what.empty() && x.rope != kNoRope) what = lost_rope(a.ropes[x.rope], b.ropes[y.rope], a.max_position);
  return what.empty() ? what : fmt::format("{} in block {}", what, block);
}

bool has_heads(const Architecture& a) {
  return std::ranges::any_of(a.attention, [](const BlockAttention& block) {
    return block.mixer == Mixer::attention || block.mixer == Mixer::latent;
  });
}

bool has_dense_part(const Architecture& a) {
  return std::ranges::any_of(a.layout, [](const BlockLinears& block) { return block.feeds && !block.mixture; });
}

/// What llama.cpp cannot load of an architecture; empty when it loads all.
std::string unloadable(const Architecture& a, const GgufFamily& row) {
  if (row.needs_window && std::ranges::none_of(a.attention, [](const auto& block) { return block.window != 0; }))
    return "attention without a sliding window";
  if (a.qkv_by_key_heads && a.kv_heads != 1) return "q, k and v of one key head after another";
  if (row.square_heads && a.q_size() != a.hidden) return fmt::format("{} heads of {}", a.heads, a.head_dim);
  if (row.needs_head && a.tied) return "a head that is the embedding";
  if (row.needs_tied && !a.tied) return "a head that is not the embedding";
  if (a.o_bias && !row.o_bias) return "biases of o";
  if (a.mlp_bias && !row.mlp_bias) return "biases of gate, up and down";
  if (row.needs_biases && !(a.o_bias && a.mlp_bias)) return "no biases";
  if (!row.divisors && !rope_tensors(a).empty())
    return "frequencies of the rotary embedding that are divided ('llama3' or 'longrope')";
  if (row.square_k && a.kv_size() != a.hidden) return fmt::format("a norm of k of {}", a.kv_size());
  if (row.experts.needs_shared && a.experts.count != 0 && a.experts.shared_intermediate == 0) return "no shared expert";
  if (a.experts.groups > 1 && a.experts.group_best != 2)
    return "groups of experts that are as good as the best of each ('group_limited_greedy')";
  if (!row.yarn && a.ropes.front().scaling == Rope::Scaling::yarn) return "a rotary embedding stretched by yarn";
  if (row.by_kind)
    if (std::string what = unloadable_kind(a); !what.empty()) return what;
  return unloadable_mixer(a, row);
}

}  // namespace

std::string lost_in_gguf(const Architecture& a, const Architecture& b) {
  const Experts &x = a.experts, &y = b.experts;
  const std::string mixer = lost_mixer(a, b);
  const std::pair<std::string, bool> parts[] = {
      {"the sizes", a.hidden == b.hidden && (a.intermediate == b.intermediate || !has_dense_part(a))},
      {"the sizes of heads",
       (a.heads == b.heads && a.kv_heads == b.kv_heads && a.head_dim == b.head_dim) || !has_heads(a)},
      {mixer, mixer.empty()},
      {"the norms' epsilon", close(a.norm_epsilon, b.norm_epsilon)},
      {"the kind of norms", a.norm_offset == b.norm_offset && a.norm_kind == b.norm_kind && a.parallel == b.parallel},
      {"the norms of q and k", a.qk_norm == b.qk_norm && a.qk_l2 == b.qk_l2 && a.qk_norm_turned == b.qk_norm_turned},
      {"the activation", a.activation == b.activation && a.gated == b.gated},
      {"'swiglu_limit' or 'swiglu_alpha'", a.activation != Activation::clamped_swiglu ||
                                               (a.swiglu.limit == b.swiglu.limit && a.swiglu.alpha == b.swiglu.alpha)},
      {"biases of q, k and v", a.qkv_bias == b.qkv_bias},
      {"biases of o", a.o_bias == b.o_bias},
      {"biases of gate, up and down", a.mlp_bias == b.mlp_bias},
      {"limits of q, k and v ('clip_qkv')", a.clip_qkv == b.clip_qkv},
      {"the cap on scores", close(a.attention_softcap, b.attention_softcap)},
      {"the cap on logits", close(a.logit_softcap, b.logit_softcap)},
      {"sinks", a.sinks == b.sinks},
      {"the factor of q that grows with the position",
       close(a.query_scale.beta, b.query_scale.beta) &&
           (a.query_scale.beta == 0 ||
            (close(a.query_scale.length, b.query_scale.length) && a.query_scale.first == b.query_scale.first))},
      {"learned positions", a.learned.rows() == b.learned.rows()},
      {"scores that fall with the distance", close(a.alibi, b.alibi)},
      {"a head apart from the embedding, or of one with it", a.tied == b.tied},
      {"factors of embedding, attention, residual sums or logits", same(a.scales, b.scales)},
      {"the number of rotary embeddings", a.ropes.size() == b.ropes.size()},
      {"the number or sizes of experts", x.count == y.count &&
                                             (x.count == 0 || (x.used == y.used && x.intermediate == y.intermediate)) &&
                                             x.latent == y.latent},
      {"the shared expert", x.shared_intermediate == y.shared_intermediate && x.shared_gate == y.shared_gate &&
                                x.shared_scale == y.shared_scale && x.beside_dense == y.beside_dense},
      {"rows of tokens for blocks ('hidden_size_per_layer_input')",
       a.block_embedding.size == b.block_embedding.size && a.block_embedding.tokens == b.block_embedding.tokens},
      {"norms of values or factors of blocks", a.v_norm == b.v_norm && a.block_scale == b.block_scale},
      {"whether the experts' weights are normalized ('norm_topk_prob')", x.normalize == y.normalize},
      {"the factor of the experts' weights ('routed_scaling_factor')", close(x.scale, y.scale)},
      {"groups of experts ('n_group')", x.groups == y.groups && x.groups_used == y.groups_used},
      {"how experts are chosen", x.score == y.score && x.correction == y.correction &&
                                     x.weighs_input == y.weighs_input && x.bias == y.bias &&
                                     x.router_bias == y.router_bias && x.group_best == y.group_best},
  };
  for (const auto& [what, kept] : parts)
    if (!kept) return what;
  for (std::size_t block = 0; block < a.blocks; ++block)
    if (std::string what = lost_block(a, b, block); !what.empty()) return what;
  return {};
}

bool has_gguf_files(const Architecture& a) {
  const Family* family = find_family(a.model_type);
  return family != nullptr && !family->gguf.empty();
}

void check_gguf_parts(const Architecture& a, const std::string& where) {
  if (!has_gguf_files(a))
    fail("{}: GGUF files of {} models are neither read nor written here; use the Hugging Face folder", where,
         a.model_type);
  const GgufFamily row = gguf_family_of(a);
  if (const std::string what = unloadable(a, row); !what.empty())
    fail("{}: this {} model has {}, which llama.cpp's {} cannot load; use the Hugging Face folder", where, a.model_type,
         what, row.name);
  const Vectors divisors = rope_tensors(a);
  const Architecture back = parse_architecture(config_from_gguf(described(a, row, divisors, where), where), where);
  if (const std::string what = lost_in_gguf(a, back); !what.empty())
    fail(
        "{}: a GGUF file would lose {} of this {} model: llama.cpp's {} has it otherwise, and no key says it; use the "
        "Hugging Face folder",
        where, what, a.model_type, row.name);
}

std::size_t window_left_out(const Architecture& a) {
  std::size_t smallest = 0;
  if (gguf_family_of(a).window_pattern != 0) return smallest;
  for (const BlockAttention& block : a.attention)
    if (block.window != 0 && block.window < a.max_position)
      smallest = smallest == 0 ? block.window : std::min(smallest, block.window);
  return smallest;
}

}  // namespace strata::model
