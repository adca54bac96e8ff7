// The counterpart of Engine::mix_experts: experts one after another, each on the tokens that are routed to it.
#include "engine/routed_gradient.h"

#include <algorithm>

#include "core/threads.h"
#include "kernel/ops.h"

namespace strata::engine {
namespace {

/// dots[i] = a[i] b[rows[i]], rows of `size` floats.
std::vector<float> row_products(std::span<const float> a, std::span<const float> b, std::span<const std::uint32_t> rows,
                                std::size_t size) {
  std::vector<float> dots(rows.size());
  parallel_for(rows.size(), [&](std::size_t i) {
    double sum = 0.0;
    for (std::size_t c = 0; c < size; ++c)
      sum += static_cast<double>(a[i * size + c]) * static_cast<double>(b[rows[i] * size + c]);
    dots[i] = static_cast<float>(sum);
  });
  return dots;
}

}  // namespace

void RoutedGradient::choose(std::span<const float> routed_by) {
  const std::size_t tokens = routed_by.size() / a_.hidden;
  logits_ = router_logits(weights_, routed_by.data(), tokens, a_.hidden);
  shares_ = route(a_.experts, weights_, logits_.data(), tokens);
}

/// What an expert reads: the rows of its tokens, with their weights where those multiply it.
std::vector<float> RoutedGradient::rows_of(const Share& share, std::span<const float> x) const {
  const std::size_t size = a_.expert_size();
  std::vector<float> rows(share.tokens.size() * size);
  gather_rows(x.data(), share.tokens, size, rows.data());
  if (a_.experts.weighs_input) kernel::scale_rows(rows.data(), size, share.tokens.size(), size, share.weights.data());
  return rows;
}

void RoutedGradient::forward(const Batch& batch, BlockProducts& products, std::span<const float> x,
                             std::vector<float>& sum) {
  workers_.clear();
  for (std::size_t e = 0; e < shares_.size(); ++e) {
    const Share& share = shares_[e];
    if (share.tokens.empty()) continue;
    Worker& worker = workers_.emplace_back(e, share);
    std::vector<float> y = worker.gated.forward(batch, products, rows_of(share, x));
    const bool weighs_input = a_.experts.weighs_input;
    add_rows(y.data(), share.tokens, weighs_input ? std::span<const float>() : share.weights, a_.expert_size(),
             sum.data());
    if (!weighs_input) worker.y = std::move(y);
  }
}

std::vector<float> RoutedGradient::worker_backward(const Batch& batch, BlockProducts& products, Worker& worker,
                                                   std::span<const float> x, const std::vector<float>& dy, float* dx) {
  const Share& share = shares_[worker.expert];
  const std::size_t n = share.tokens.size(), size = a_.expert_size();
  const bool weighs_input = a_.experts.weighs_input;
  const auto weigh = [&](std::vector<float>& rows) {
    kernel::scale_rows(rows.data(), size, n, size, share.weights.data());
  };
  std::vector<float> d(n * size), drows(n * size, 0.0f), dweights;
  gather_rows(dy.data(), share.tokens, size, d.data());
  if (!weighs_input) {
    dweights = row_products(worker.y, dy, share.tokens, size);
    weigh(d);
  }
  worker.gated.backward(batch, products, rows_of(share, x), std::move(d), drows.data());
  if (weighs_input) {
    dweights = row_products(drows, x, share.tokens, size);
    weigh(drows);
  }
  add_rows(drows.data(), share.tokens, {}, size, dx);
  return dweights;
}

/// The same with sparse scores: the weight of each choice is a share of its softmax.
void RoutedGradient::sparse_gradient(const Choice& choice, std::span<const float> logits,
                                     std::span<float> dlogits) const {
  std::vector<float> shares(logits.size());
  std::vector<bool> taken(logits.size(), false);
  std::fill(dlogits.begin(), dlogits.end(), 0.0f);
  for (std::size_t k = 0; k < choice.experts.size(); ++k) {
    const std::size_t best = sparse_choice(a_.experts, logits, taken, shares);
    taken[best] = true;
    const auto at = std::ranges::find(choice.experts, static_cast<std::uint32_t>(best)) - choice.experts.begin();
    const float along = choice.dweights[static_cast<std::size_t>(at)] * shares[best];
    dlogits[best] += along;
    for (std::size_t i = 0; i < shares.size(); ++i) dlogits[i] -= along * shares[i];
  }
}

/// The gradient by the router's outputs of one token. With s the scores, c the factor and d the divisor of weights, the
/// weight of k is c s[k] / d, and d is the sum of the chosen scores unless it is bounded or 1.
void RoutedGradient::choice_gradient(const Choice& choice, std::span<const float> logits,
                                     std::span<float> dlogits) const {
  const model::Experts& experts = a_.experts;
  if (experts.score == model::Experts::Score::sparse) return sparse_gradient(choice, logits, dlogits);
  std::vector<float> scores(logits.size());
  router_scores(experts, logits, scores);
  float sum = 0.0f, along = 0.0f;
  for (std::size_t k = 0; k < choice.experts.size(); ++k) {
    sum += scores[choice.experts[k]];
    along += choice.dweights[k] * scores[choice.experts[k]];
  }
  const float divisor = weight_divisor(experts, sum);
  const float by_sum = experts.normalize && sum > experts.least_sum ? along / divisor : 0.0f;
  std::fill(dlogits.begin(), dlogits.end(), 0.0f);  // the gradient by the scores at first
  for (std::size_t k = 0; k < choice.experts.size(); ++k)
    dlogits[choice.experts[k]] = experts.scale * (choice.dweights[k] - by_sum) / divisor;
  const bool sigmoid = experts.score == model::Experts::Score::sigmoid;
  float mean = 0.0f;
  for (std::size_t i = 0; i < scores.size() && !sigmoid; ++i) mean += dlogits[i] * scores[i];
  for (std::size_t i = 0; i < scores.size(); ++i)
    dlogits[i] = scores[i] * (sigmoid ? dlogits[i] * (1.0f - scores[i]) : dlogits[i] - mean);
}

void RoutedGradient::backward(const Batch& batch, BlockProducts& products, std::span<const float> x,
                              const std::vector<float>& dy, float* dx, float* drouted_by) {
  const std::size_t count = a_.experts.count;
  std::vector<Choice> choices(batch.tokens);
  for (Worker& worker : workers_) {
    const std::vector<float> dweights = worker_backward(batch, products, worker, x, dy, dx);
    const float scale = weights_.expert_scale.empty() ? 1.0f : weights_.expert_scale[worker.expert];
    const Share& share = shares_[worker.expert];
    for (std::size_t i = 0; i < dweights.size(); ++i) {
      choices[share.tokens[i]].experts.push_back(static_cast<std::uint32_t>(worker.expert));
      choices[share.tokens[i]].dweights.push_back(scale * dweights[i]);
    }
  }
  std::vector<float> dlogits(logits_.size());
  parallel_for(choices.size(), [&](std::size_t t) {
    choice_gradient(choices[t], std::span(logits_).subspan(t * count, count),
                    std::span(dlogits).subspan(t * count, count));
  });
  products.add_turned_product(weights_.router.view(), dlogits, kernel::Precision::f32, drouted_by);
}

}  // namespace strata::engine
