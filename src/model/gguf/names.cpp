// Names are translated part by part: the model's own, those of a block, and those that follow from an architecture.
// A family's names come from its TensorNames, GGUF's from the tables here.
#include "model/gguf/names.h"

#include <algorithm>
#include <array>
#include <span>

#include "model/tensors.h"

namespace strata::model {
namespace {

constexpr std::array<std::pair<Role, std::string_view>, 24> kLinearNames{{{Role::q, "attn_q"},
                                                                          {Role::k, "attn_k"},
                                                                          {Role::v, "attn_v"},
                                                                          {Role::o, "attn_output"},
                                                                          {Role::gate, "ffn_gate"},
                                                                          {Role::up, "ffn_up"},
                                                                          {Role::down, "ffn_down"},
                                                                          {Role::qkv, "attn_qkv"},
                                                                          {Role::gate_up, "ffn_up"},
                                                                          {Role::q_a, "attn_q_a"},
                                                                          {Role::q_b, "attn_q_b"},
                                                                          {Role::kv_a, "attn_kv_a_mqa"},
                                                                          {Role::kv_b, "attn_kv_b"},
                                                                          {Role::in_qkv, "attn_qkv"},
                                                                          {Role::in_z, "attn_gate"},
                                                                          {Role::in_b, "ssm_beta"},
                                                                          {Role::in_a, "ssm_alpha"},
                                                                          {Role::in_ba, "ssm_ba"},
                                                                          {Role::in_bcx, "shortconv.in_proj"},
                                                                          {Role::in_zxbcdt, "ssm_in"},
                                                                          {Role::in_xz, "ssm_in"},
                                                                          {Role::dtbc, "ssm_x"},
                                                                          {Role::dt, "ssm_dt"},
                                                                          {Role::out_gate, "attn_gate"}}};
constexpr std::array<std::pair<Norm, std::string_view>, 12> kNormNames{{{Norm::before_attention, "attn_norm"},
                                                                        {Norm::q, "attn_q_norm"},
                                                                        {Norm::k, "attn_k_norm"},
                                                                        {Norm::q_a, "attn_q_a_norm"},
                                                                        {Norm::kv_a, "attn_kv_a_norm"},
                                                                        {Norm::after_attention, "post_attention_norm"},
                                                                        {Norm::before_feed_forward, {}},
                                                                        {Norm::after_feed_forward, "post_ffw_norm"},
                                                                        {Norm::after_dense, "post_ffw_norm_1"},
                                                                        {Norm::before_experts, "pre_ffw_norm_2"},
                                                                        {Norm::after_experts, "post_ffw_norm_2"},
                                                                        {Norm::after_embedding, "post_norm"}}};
/// The indexer of sparse attention, named within a block's attention and within GGUF's block.
constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kIndexerNames{
    {{"wq_b", "attn_q_b"}, {"wk", "attn_k"}, {"k_norm", "k_norm"}, {"weights_proj", "proj"}}};
constexpr std::string_view kBlocks = "blk.";

/// A tensor's name in both kinds of file, without ".weight".
struct BothNames {
  std::string gguf, hf;
  bool bias = false;  ///< there may be biases besides; of a block's tensors all may have some
};

/// The tensors that belong to no block.
std::array<BothNames, 7> whole_names(const Names& names, const GgufFamily& row) {
  const auto below_root = [&](std::string_view name) { return names.root + std::string(name); };
  return {{{"token_embd", names.linear(Role::embed)},
           {std::string(row.last_norm), below_root(names.last_norm), true},
           {"output", names.linear(Role::lm_head), true},
           {"position_embd", below_root(names.positions)},
           {"per_layer_token_embd", below_root(names.block_table)},
           {"per_layer_model_proj", below_root(names.block_projection)},
           {"per_layer_proj_norm", below_root(names.block_projection_norm)}}};
}

/// Whether a family has this matrix rather than the one that it is a part of, or its parts.
bool is_stored(const Names& names, Role role) {
  if (role == Role::q || role == Role::k || role == Role::v || role == Role::in_qkv) return names.qkv.empty();
  if (role == Role::gate || role == Role::up) return names.gate_up.empty();
  return (role != Role::qkv || !names.qkv.empty()) && (role != Role::gate_up || !names.gate_up.empty());
}

/// The tensors of a block, named within it.
std::vector<BothNames> block_names(const Names& names, const GgufFamily& row) {
  std::vector<BothNames> result;
  for (const auto& [role, gguf] : kLinearNames)
    if (is_stored(names, role)) result.push_back({std::string(gguf), names.linear(role)});
  result.push_back({"ssm_out", fmt::format("{}.{}", names.*row.states, names.*row.states_out)});
  // This name may stand for two parts: gguf_part_names, which knows the blocks, tells what a file's is.
  result.push_back({"ssm_out", fmt::format("{}.{}", names.mamba, names.mamba_out)});
  for (const auto& [hf, gguf] : kIndexerNames)
    if (row.indexer)
      result.push_back({fmt::format("indexer.{}", gguf), fmt::format("{}.indexer.{}", names.attention, hf)});
  result.push_back({"inp_gate", std::string(names.embed_gate)});
  result.push_back({"proj", std::string(names.embed_out)});
  result.push_back({"shortconv.out_proj", fmt::format("{}.{}", names.convolution, names.convolution_out)});
  for (const auto& [norm, gguf] : kNormNames)
    if (!names.norm(norm).empty())
      result.push_back({std::string(gguf.empty() ? row.feed_forward_norm : gguf), std::string(names.norm(norm))});
  return result;
}

/// "model.layers."
std::string blocks_of(const Names& names) { return names.root + std::string(names.blocks); }

/// A block's tensor name in three parts: "3", "attn_q", ".weight" of "blk.3.attn_q.weight" after the prefix "blk.".
struct BlockTensor {
  std::string_view block, part, suffix;
};
std::optional<BlockTensor> split(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix)) return std::nullopt;
  const std::string_view rest = name.substr(prefix.size());
  const auto first = rest.find('.'), last = rest.rfind('.');
  if (first == std::string_view::npos || first == last) return std::nullopt;
  return BlockTensor{rest.substr(0, first), rest.substr(first + 1, last - first - 1), rest.substr(last)};
}

/// The name that `from` of a pair has in the other kind of file, `to`.
std::optional<std::string> translate(const Names& names, const GgufFamily& row, std::string_view name,
                                     std::string BothNames::*from, std::string BothNames::*to,
                                     std::string_view from_blocks, std::string_view to_blocks) {
  for (const BothNames& both : whole_names(names, row))
    for (const char* suffix : {".weight", ".bias"})
      if (both.*from + suffix == name && (both.bias || suffix == std::string_view(".weight"))) return both.*to + suffix;
  const std::optional<BlockTensor> tensor = split(name, from_blocks);
  if (!tensor) return std::nullopt;
  for (const BothNames& both : block_names(names, row))
    if (both.*from == tensor->part) return fmt::format("{}{}.{}{}", to_blocks, tensor->block, both.*to, tensor->suffix);
  return std::nullopt;
}

constexpr std::array<std::pair<Role, std::string_view>, 3> kExpertNames{
    {{Role::gate, "gate"}, {Role::up, "up"}, {Role::down, "down"}}};

}  // namespace

std::optional<std::string> hf_tensor_name(const Names& names, std::string_view gguf_name, const GgufFamily& row) {
  return translate(names, row, gguf_name, &BothNames::gguf, &BothNames::hf, kBlocks, blocks_of(names));
}

std::optional<std::string> gguf_tensor_name(const Names& names, std::string_view hf_name, const GgufFamily& row) {
  return translate(names, row, hf_name, &BothNames::hf, &BothNames::gguf, blocks_of(names), kBlocks);
}

std::optional<std::string> gguf_carried_name(const Architecture& a, std::string_view hf_name) {
  for (std::size_t b = 0; b < a.blocks; ++b)
    if (hf_name.starts_with(fmt::format("{}{}.indexer.", a.names.block(b), a.names.attention)) &&
        (hf_name.ends_with(".weight") || hf_name.ends_with(".bias")))
      return gguf_tensor_name(a.names, hf_name, gguf_family_of(a));
  return std::nullopt;
}

std::string gguf_factor_name(std::string_view gguf_name) {
  return std::string(gguf_name.substr(0, gguf_name.rfind('.'))) + ".scale";
}

bool holds_norm_offset(std::string_view gguf_name) {
  return gguf_name.ends_with("norm.weight") && !gguf_name.ends_with("ssm_norm.weight");
}

std::vector<GgufName> gguf_part_names(const Architecture& a, std::size_t b) {
  std::vector<GgufName> names;
  const auto add = [&](std::string_view gguf, std::string hf, GgufForm form = GgufForm::as_it_is,
                       std::size_t matrix_rows = 0) {
    names.push_back({fmt::format("{}{}.{}", kBlocks, b, gguf), std::move(hf), form, matrix_rows});
  };
  // This name may stand for what a gated delta net reads too.
  if (a.output_gate == OutputGate::apart) add("attn_gate.weight", a.linear(b, Role::out_gate).module + ".weight");
  if (a.sinks) add("attn_sinks.weight", sinks_name(a, b));
  if (a.block_scale) add("layer_output_scale.weight", block_scale_name(a, b));
  if (a.attention[b].mixer == Mixer::delta) {
    add("ssm_conv1d.weight", kept_name(a, b, "conv1d.weight"), GgufForm::squeezed);
    add("ssm_a", kept_name(a, b, "A_log"), GgufForm::rates);
    add("ssm_dt.bias", kept_name(a, b, "dt_bias"));
    add("ssm_norm.weight", kept_name(a, b, "norm.weight"));
  }
  if (a.attention[b].mixer == Mixer::mamba) {
    add("ssm_conv1d.weight", kept_name(a, b, "conv1d.weight"), GgufForm::squeezed);
    if (a.mamba.convolution_bias) add("ssm_conv1d.bias", kept_name(a, b, "conv1d.bias"));
    add("ssm_a", kept_name(a, b, "A_log"), GgufForm::rates, a.mamba.heads);
    add("ssm_d", kept_name(a, b, "D"), GgufForm::as_it_is, a.mamba.heads);
    add("ssm_dt.bias", kept_name(a, b, "dt_bias"));
    add("ssm_norm.weight", kept_name(a, b, "norm.weight"), GgufForm::as_it_is, a.mamba.groups);
    add("ssm_out.weight", a.linear(b, Role::o).module + ".weight");
  }
  if (a.attention[b].mixer == Mixer::selective) {
    add("ssm_conv1d.weight", kept_name(a, b, "conv1d.weight"), GgufForm::squeezed);
    add("ssm_conv1d.bias", kept_name(a, b, "conv1d.bias"));
    add("ssm_a", kept_name(a, b, "A_log"), GgufForm::rates);
    add("ssm_d", kept_name(a, b, "D"));
  }
  if (a.attention[b].mixer == Mixer::convolution)
    add("shortconv.conv.weight", kept_name(a, b, "conv.weight"), GgufForm::squeezed);
  if (!a.layout[b].mixture) return names;
  const Experts& e = a.experts;
  add("ffn_gate_inp.weight", router_name(a, b), GgufForm::float32);
  if (e.router_bias) add("ffn_gate_inp.bias", router_bias_name(a, b));
  if (e.correction)
    add("exp_probs_b.bias", correction_name(a, b), e.correction_is_row ? GgufForm::row : GgufForm::as_it_is);
  if (e.shared_gate) add("ffn_gate_inp_shexp.weight", shared_gate_name(a, b), GgufForm::row);
  for (const auto& [role, name] :
       {std::pair{Role::to_latent, "ffn_latent_down.weight"}, {Role::from_latent, "ffn_latent_up.weight"}})
    if (e.latent != 0) add(name, a.linear(b, role).module + ".weight");
  if (e.beside_dense) {
    add("ffn_gate_inp.scale", router_scale_name(a, b));
    add("ffn_down_exps.scale", expert_scale_name(a, b));
  }
  const std::string_view shared = e.beside_dense ? "" : "_shexp";
  for (const auto& [role, name] : kExpertNames) {
    if (e.shared_intermediate == 0 || !a.has(b, role)) continue;
    const Linear& linear = a.linear(b, role, kSharedExpert);
    add(fmt::format("ffn_{}{}.weight", name, shared), linear.module + ".weight");
    if (linear.bias) add(fmt::format("ffn_{}{}.bias", name, shared), linear.module + ".bias");
  }
  return names;
}

std::string gguf_gate_up_stack(std::size_t block) {
  return fmt::format("{}{}.ffn_gate_up_exps.weight", kBlocks, block);
}

std::vector<GgufStack> gguf_stacks(const Architecture& a, std::size_t block) {
  std::vector<GgufStack> stacks;
  for (const bool bias : {false, true})
    for (const auto& [role, name] : kExpertNames) {
      const std::span<const Role> roles = a.expert_roles();
      if ((bias && !a.experts.bias) || std::ranges::find(roles, role) == roles.end()) continue;
      const std::string_view suffix = bias ? "bias" : "weight";
      GgufStack& stack = stacks.emplace_back(
          GgufStack{fmt::format("{}{}.ffn_{}_exps.{}", kBlocks, block, name, suffix), bias, {}, {}});
      for (std::size_t e = 0; e < a.experts.count; ++e) {
        stack.parts.push_back(fmt::format("{}.{}", a.linear(block, role, e).module, suffix));
        stack.singles.push_back(fmt::format("{}{}.ffn_{}.{}.{}", kBlocks, block, name, e, suffix));
      }
    }
  return stacks;
}

}  // namespace strata::model
