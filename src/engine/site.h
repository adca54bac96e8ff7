// Named points of the forward pass, the two halves of a block, and where linears read and write among them.
#pragma once
#include <cstddef>
#include <functional>

#include "model/architecture.h"

namespace strata::engine {

/// q, k, v read attn_in; o reads o_in; gate, up and a router read mlp_in; down reads down_in.
enum class Site { block_in, attn_in, o_in, mlp_in, down_in, block_out, logits };

/// A block adds its attention to the residual stream, then its feed-forward part.
enum class Half { attention, feed_forward };

/// Called with the rows (tokens, size) of all sequences in order; they are valid during the call only.
using Observer =
    std::function<void(Site site, std::size_t block, const float* rows, std::size_t tokens, std::size_t size)>;

/// The site a linear reads from.
Site input_site(model::Role role);
/// The half that a site within a block belongs to: attn_in and o_in, or mlp_in and down_in.
Half half_of(Site site);
/// Whether a half reads the block's input after the other half has added to the residual stream: so does the second
/// half of blocks whose halves stand side by side.
bool reads_input(const model::Architecture& architecture, Half half);
/// Whether the linear that reads from a site writes to the residual stream itself. In a mixture no single linear does,
/// and none does where its output is normed or scaled first.
bool ends_half(const model::Architecture& architecture, std::size_t block, Site site);

}  // namespace strata::engine
