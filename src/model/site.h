// Named points of the forward pass, where linears read and rows can be observed.
#pragma once
#include <array>

namespace strata::model {

/// q, k, v read attn_in; o reads o_in; gate, up and a router read mlp_in; down reads down_in. In latent attention q_a
/// and kv_a read attn_in; q_b and kv_b read the latents that these make. In Mamba-1 dtbc and dt read the sites of their
/// names. experts_in is what the experts' gate and up read where that is not mlp_in: rows of a latent size, the sum of
/// whose outputs is seen at from_latent_in, or those of experts beside a dense part, whose own sites mlp_in and down_in
/// are then. embed_gate and embed_out read the sites of their names. The sites are in the order of the forward pass.
enum class Site {
  block_in,
  attn_in,
  q_b_in,
  kv_b_in,
  dtbc_in,
  dt_in,
  o_in,
  mlp_in,
  down_in,
  experts_in,
  from_latent_in,
  embed_gate_in,
  embed_out_in,
  block_out,
  logits
};

/// The sites that the linears of a block read from, in the order of the forward pass.
inline constexpr std::array kLinearSites = {
    Site::attn_in, Site::q_b_in,  Site::kv_b_in,    Site::dtbc_in,        Site::dt_in,         Site::o_in,
    Site::mlp_in,  Site::down_in, Site::experts_in, Site::from_latent_in, Site::embed_gate_in, Site::embed_out_in};

}  // namespace strata::model
