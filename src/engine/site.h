// Named points of the forward pass, the two halves of a block, and where linears read and write among them.
#pragma once
#include <array>
#include <cstddef>
#include <functional>

#include "model/architecture.h"

namespace strata::engine {

/// q, k, v read attn_in; o reads o_in; gate, up and a router read mlp_in; down reads down_in. In latent attention q_a
/// and kv_a read attn_in; q_b and kv_b read the latents that these make. experts_in is what the experts' gate and up
/// read where that is not mlp_in: rows of a latent size, the sum of whose outputs is seen at from_latent_in, or those
/// of experts beside a dense part, whose own sites mlp_in and down_in are then. embed_gate and embed_out read the sites
/// of their names. The sites are in the order of the forward pass.
enum class Site {
  block_in,
  attn_in,
  q_b_in,
  kv_b_in,
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
    Site::attn_in, Site::q_b_in,     Site::kv_b_in,        Site::o_in,          Site::mlp_in,
    Site::down_in, Site::experts_in, Site::from_latent_in, Site::embed_gate_in, Site::embed_out_in};

/// A block adds its attention to the residual stream, then its feed-forward part; it may have one of the two alone.
enum class Half { attention, feed_forward };

/// Called with the rows (tokens, size) of all sequences in order; they are valid during the call only.
using Observer =
    std::function<void(Site site, std::size_t block, const float* rows, std::size_t tokens, std::size_t size)>;

/// Shows rows (tokens, size) to an observer, unless there is none.
inline void observe(const Observer* observer, Site site, std::size_t block, const float* rows, std::size_t tokens,
                    std::size_t size) {
  if (observer != nullptr && *observer) (*observer)(site, block, rows, tokens, size);
}

/// The site a linear reads from.
Site input_site(model::Role role);
/// The same of a linear, since what a routed expert reads may be no row of the block.
Site input_site(const model::Architecture& architecture, const model::Linear& linear);
/// The half that a site within a block belongs to: those up to o_in, or those from mlp_in on.
Half half_of(Site site);
/// Whether a half reads the block's input after the other half has added to the residual stream: so does the second
/// half of blocks whose halves stand side by side.
bool reads_input(const model::Architecture& architecture, Half half);
/// Whether the linear that reads from a site writes to the residual stream itself. In a mixture no single linear does,
/// and none does where its output is normed or scaled first.
bool ends_half(const model::Architecture& architecture, std::size_t block, Site site);

}  // namespace strata::engine
