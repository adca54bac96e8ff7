// Mixture of experts: which experts a token goes to and with what weight, and what a watch is shown of their inputs.
// The rules are data (model::Experts); the engine makes the products.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "engine/site.h"
#include "model/model.h"

namespace strata::engine {

/// What a mixture has beside its linears.
struct RouterWeights {
  model::LinearWeights router;                           ///< (count, hidden)
  std::vector<float> bias = {}, correction = {};         ///< (count), or empty
  std::optional<model::LinearWeights> shared_gate = {};  ///< (1, hidden)
  /// (hidden), (count): of the norm of what the router reads, and of the experts' weights, beside a dense part.
  std::vector<float> norm = {}, expert_scale = {};
};
RouterWeights router_weights(const model::Model& model, std::size_t block);

/// What the router puts out for x (tokens, hidden): (tokens, count).
std::vector<float> router_logits(const RouterWeights& weights, const float* x, std::size_t tokens, std::size_t hidden);
/// What the shared expert's outputs are multiplied by, (tokens): the sigmoid of its gate.
std::vector<float> shared_scales(const model::LinearWeights& gate, const float* x, std::size_t tokens,
                                 std::size_t hidden);

/// The tokens of a batch that one expert works on, rising, and the weights of its outputs.
struct Share {
  std::vector<std::uint32_t> tokens;
  std::vector<float> weights;
};

/// Shares of all experts. logits: (tokens, count), the router's outputs; correction: (count), or empty. Among experts
/// with equal scores the first is chosen. The result does not depend on the number of threads.
std::vector<Share> route(const model::Experts& experts, const float* logits, std::size_t tokens,
                         std::span<const float> correction);

/// The same, with weights times those of each expert (RouterWeights::expert_scale).
std::vector<Share> route(const model::Experts& experts, const RouterWeights& weights, const float* logits,
                         std::size_t tokens);

// What route() weighs one token by: the weight of a chosen expert is its score over the divisor, times
// Experts::scale.
/// The scores of all experts (count) by the router's outputs.
void router_scores(const model::Experts& experts, std::span<const float> logits, std::span<float> scores);
/// One choice with sparse scores (Experts::Score): the best of the experts that are not taken yet, of which there must
/// be one. shares: the softmax over those of them that are near it, 0 elsewhere; its own is its weight.
std::size_t sparse_choice(const model::Experts& experts, std::span<const float> logits, const std::vector<bool>& taken,
                          std::span<float> shares);
/// The divisor for chosen experts whose scores have this sum; 1 where weights are not normalized.
float weight_divisor(const model::Experts& experts, float sum);

/// to[i] = from[rows[i]], rows of `size` floats.
void gather_rows(const float* from, std::span<const std::uint32_t> rows, std::size_t size, float* to);
/// to[rows[i]] += weights[i] * from[i], or += from[i] without weights.
void add_rows(const float* from, std::span<const std::uint32_t> rows, std::span<const float> weights, std::size_t size,
              float* to);

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
