// The routed experts of a block and their router with a backward pass. Which experts a token goes to is held; the
// weights of the chosen ones have gradients, and through them so has what the router reads.
#pragma once
#include <span>
#include <utility>
#include <vector>

#include "engine/experts.h"
#include "engine/gated_gradient.h"

namespace strata::engine {

class RoutedGradient {
 public:
  /// The architecture must outlive this.
  RoutedGradient(const model::Architecture& architecture, RouterWeights weights)
      : a_(architecture), weights_(std::move(weights)) {}
  const RouterWeights& router() const { return weights_; }

  /// Chooses the experts of every token. routed_by: what the router reads, (tokens, hidden).
  void choose(std::span<const float> routed_by);
  /// Must follow choose. Adds what the chosen experts make of x (tokens, Architecture::expert_size) to `sum`, of the
  /// same size. Only what is routed is run, kept and shown.
  void forward(const Batch& batch, BlockProducts& products, std::span<const float> x, std::vector<float>& sum);
  /// Must follow forward with the same arguments. dy: the gradient by the sum. dx += that by x, drouted_by += that by
  /// what the router reads; neither may be null.
  void backward(const Batch& batch, BlockProducts& products, std::span<const float> x, const std::vector<float>& dy,
                float* dx, float* drouted_by);

 private:
  /// An expert to which tokens are routed.
  struct Worker {
    explicit Worker(std::size_t number, const Share& share) : expert(number), gated({number, share.tokens}) {}
    std::size_t expert;
    GatedGradient gated;
    std::vector<float> y = {};  ///< what it put out, (n, expert_size), where its weights multiply that
  };
  /// The experts of one token, and the gradients by the weights that the router gave them.
  struct Choice {
    std::vector<std::uint32_t> experts = {};
    std::vector<float> dweights = {};
  };
  std::vector<float> rows_of(const Share& share, std::span<const float> x) const;
  /// Adds to dx what comes through one expert, and returns the gradients by the weights of its share.
  std::vector<float> worker_backward(const Batch& batch, BlockProducts& products, Worker& worker,
                                     std::span<const float> x, const std::vector<float>& dy, float* dx);
  void sparse_gradient(const Choice& choice, std::span<const float> logits, std::span<float> dlogits) const;
  void choice_gradient(const Choice& choice, std::span<const float> logits, std::span<float> dlogits) const;

  const model::Architecture& a_;
  RouterWeights weights_;
  std::vector<float> logits_;  ///< (tokens, count)
  std::vector<Share> shares_;  ///< by expert
  std::vector<Worker> workers_;
};

}  // namespace strata::engine
