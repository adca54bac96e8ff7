// The sites of the forward pass as observers see them, the two halves of a block, and where linears read and write.
#pragma once
#include <cstddef>
#include <functional>

#include "model/architecture.h"
#include "model/site.h"

namespace strata::engine {

using model::kLinearSites;
using model::Site;

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
/// Whether a linear reads what the one before it in its block reads: the linears of a site stand one after another, and
/// a block's first one reads something new.
bool reads_as_before(const model::Architecture& architecture, std::size_t index);
/// The half that a site within a block belongs to: those up to o_in, or those from mlp_in on.
Half half_of(Site site);
/// Whether a half reads the block's input after the other half has added to the residual stream: so does the second
/// half of blocks whose halves stand side by side.
bool reads_input(const model::Architecture& architecture, Half half);
/// Whether the linear that reads from a site writes to the residual stream itself. In a mixture no single linear does,
/// and none does where its output is normed or scaled first.
bool ends_half(const model::Architecture& architecture, std::size_t block, Site site);

}  // namespace strata::engine
