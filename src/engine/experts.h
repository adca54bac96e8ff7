// Mixture of experts: which experts a token goes to and with what weight, and what a watch is shown of their inputs.
// The rules are data (model::Experts); the engine makes the products.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "engine/site.h"
#include "model/architecture.h"

namespace strata::engine {

/// The tokens of a batch that one expert works on, rising, and the weights of its outputs.
struct Share {
  std::vector<std::uint32_t> tokens;
  std::vector<float> weights;
};

/// Shares of all experts. logits: (tokens, count), the router's outputs; correction: (count), or empty. Among experts
/// with equal scores the first is chosen. The result does not depend on the number of threads.
std::vector<Share> route(const model::Experts& experts, const float* logits, std::size_t tokens,
                         std::span<const float> correction);

/// The inputs of an expert's linears at mlp_in (gate, up) or down_in (down), valid during the call only.
struct ExpertRows {
  Site site;
  std::size_t block, expert;
  bool routed;        ///< false: `tokens` are all of the batch, whether they are routed to the expert or not
  const float* rows;  ///< (tokens.size(), size)
  std::size_t size;
  std::span<const std::uint32_t> tokens;  ///< the rows' places in the batch, rising
};

/// What the experts of a block read and what their router reads, (tokens, hidden) each.
struct ExpertInput {
  const float *rows, *routed_by;
};

/// What is shown of the experts while blocks run. Before the experts run, a block's Observer sees mlp_in (which the
/// router and a shared expert read) and the shared expert's down_in.
struct ExpertWatch {
  std::function<void(const ExpertRows&)> show;
  /// Whether an expert, to which `routed` tokens of the batch are routed, is shown all tokens of the batch besides;
  /// they do not change the block's output. An empty function feeds no expert all tokens.
  std::function<bool(std::size_t expert, std::size_t routed)> feed_all;
  /// The experts [first, end) are watched. A pass that ends at a site runs no others.
  std::size_t first = 0, end = model::kNoExpert;
};

}  // namespace strata::engine
