// Channels of what linears read may be scaled without a change of the model: what makes them is divided, and the
// columns of the linears are multiplied (SmoothQuant: arXiv 2211.10438, equation 3).
#pragma once
#include <cstddef>
#include <optional>
#include <vector>

#include "model/model.h"
#include "model/site.h"

namespace strata::model {

/// Rows of a block that nothing but these linears reads, and what makes them: a norm with weights, or the rows of `up`,
/// whose product with the activation of gate `down` reads.
struct SmoothSite {
  std::size_t block;
  Site site;                         ///< where the rows are seen
  std::vector<std::size_t> linears;  ///< indices into Architecture::linears
  std::optional<Norm> norm;          ///< unset: Role::up makes them
  std::size_t size;                  ///< channels
};

/// Where a model's channels can be scaled, in the order of the forward pass. Left out are norms that multiply by 1 + w,
/// as 16 bits do not hold (1 + w) / s - 1; what the router of a mixture or an indexer reads too; and linears that an
/// output takes over as the source holds them. There are none in a model that cannot be run.
std::vector<SmoothSite> smooth_sites(const Model& model);

/// The powers of two that channels are divided by, as exponents, by the index of a SmoothSite: (size), or empty where
/// nothing is scaled.
using ChannelExponents = std::vector<std::vector<int>>;

}  // namespace strata::model
