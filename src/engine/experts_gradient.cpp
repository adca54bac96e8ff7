// A mixture of experts with a backward pass: the counterpart of experts.cpp. Which experts a token goes to is held; the
// weights of the chosen ones have gradients, and through them so has what the router reads. Only what is routed is run,
// kept and shown.
#include <algorithm>
#include <optional>
#include <utility>

#include "core/threads.h"
#include "engine/experts.h"
#include "engine/gated_gradient.h"
#include "kernel/gates.h"
#include "kernel/ops.h"

namespace strata::engine {
namespace {

using model::Role;

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

/// The experts of one token, and the gradients by their weights.
struct Choice {
  std::vector<std::uint32_t> experts = {};
  std::vector<float> dweights = {};
};

/// The gradient by the router's outputs of one token. With s the scores, c the factor and d the divisor of weights, the
/// weight of k is c s[k] / d, and d is the sum of the chosen scores unless it is bounded or 1.
void choice_gradient(const model::Experts& experts, const Choice& choice, std::span<const float> logits,
                     std::span<float> dlogits) {
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

class ExpertsGradient final : public PartGradient {
 public:
  ExpertsGradient(const model::Model& model, std::size_t block)
      : a_(model.architecture()), weights_(router_weights(model, block)) {
    if (a_.experts.shared_intermediate != 0) shared_.emplace(ExpertTokens{.expert = model::kSharedExpert});
  }
  std::vector<float> forward(const Batch& batch, BlockProducts& products, std::span<const float> x) override;
  void backward(const Batch& batch, BlockProducts& products, std::span<const float> x, std::vector<float> dy,
                float* dx) override;

 private:
  /// An expert to which tokens are routed.
  struct Worker {
    explicit Worker(std::size_t number, const Share& share) : expert(number), gated({number, share.tokens}) {}
    std::size_t expert;
    GatedGradient gated;
    std::vector<float> y = {};  ///< what it put out, (n, expert_size), where its weights multiply that
  };
  std::vector<float> rows_of(const Share& share, std::span<const float> x) const;
  std::vector<float> run_shared(const Batch& batch, BlockProducts& products, std::span<const float> x);
  void shared_backward(const Batch& batch, BlockProducts& products, std::span<const float> x,
                       const std::vector<float>& dy, float* dx);
  /// Adds what the routed experts make of x (tokens, expert_size) to `sum`, of the same size.
  void run_workers(const Batch& batch, BlockProducts& products, std::span<const float> x, std::vector<float>& sum);
  /// Adds to dx what comes through them, and returns the gradients by the weights of every token.
  std::vector<Choice> workers_backward(const Batch& batch, BlockProducts& products, std::span<const float> x,
                                       const std::vector<float>& dy, float* dx);
  /// The same of one expert, with the gradient by the weights of its share.
  std::vector<float> worker_backward(const Batch& batch, BlockProducts& products, Worker& worker,
                                     std::span<const float> x, const std::vector<float>& dy, float* dx);
  void router_backward(BlockProducts& products, const std::vector<Choice>& choices, float* dx) const;

  const model::Architecture& a_;
  RouterWeights weights_;
  std::vector<float> logits_;  ///< (tokens, count)
  std::vector<Share> shares_;  ///< by expert
  std::vector<Worker> workers_;
  std::optional<GatedGradient> shared_;
  std::vector<float> shared_out_, shared_scales_;  ///< (tokens, hidden), and (tokens) where it has a gate
  std::vector<float> latents_, sum_;  ///< (tokens, expert_size): what narrow experts read, and the sum of their outputs
};

/// What an expert reads: the rows of its tokens, with their weights where those multiply it.
std::vector<float> ExpertsGradient::rows_of(const Share& share, std::span<const float> x) const {
  const std::size_t size = a_.expert_size();
  std::vector<float> rows(share.tokens.size() * size);
  gather_rows(x.data(), share.tokens, size, rows.data());
  if (a_.experts.weighs_input) kernel::scale_rows(rows.data(), size, share.tokens.size(), size, share.weights.data());
  return rows;
}

std::vector<float> ExpertsGradient::run_shared(const Batch& batch, BlockProducts& products, std::span<const float> x) {
  if (!shared_) return std::vector<float>(x.size(), 0.0f);
  shared_out_ = shared_->forward(batch, products, x);
  if (!weights_.shared_gate) return shared_out_;
  shared_scales_ = shared_scales(*weights_.shared_gate, x.data(), batch.tokens, a_.hidden);
  std::vector<float> out = shared_out_;
  kernel::scale_rows(out.data(), a_.hidden, batch.tokens, a_.hidden, shared_scales_.data());
  return out;
}

void ExpertsGradient::run_workers(const Batch& batch, BlockProducts& products, std::span<const float> x,
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

std::vector<float> ExpertsGradient::forward(const Batch& batch, BlockProducts& products, std::span<const float> x) {
  logits_ = router_logits(weights_, x.data(), batch.tokens, a_.hidden);
  shares_ = route(a_.experts, logits_.data(), batch.tokens, weights_.correction);
  std::vector<float> out = run_shared(batch, products, x);
  if (a_.experts.latent == 0) {
    run_workers(batch, products, x, out);
    return out;
  }
  latents_ = products.multiply(Role::to_latent, x);
  sum_.assign(latents_.size(), 0.0f);
  run_workers(batch, products, latents_, sum_);
  const std::vector<float> widened = products.multiply(Role::from_latent, sum_);
  kernel::add(out.data(), widened.data(), out.size());
  return out;
}

std::vector<float> ExpertsGradient::worker_backward(const Batch& batch, BlockProducts& products, Worker& worker,
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

std::vector<Choice> ExpertsGradient::workers_backward(const Batch& batch, BlockProducts& products,
                                                      std::span<const float> x, const std::vector<float>& dy,
                                                      float* dx) {
  std::vector<Choice> choices(batch.tokens);
  for (Worker& worker : workers_) {
    const std::vector<float> dweights = worker_backward(batch, products, worker, x, dy, dx);
    const Share& share = shares_[worker.expert];
    for (std::size_t i = 0; i < dweights.size(); ++i) {
      choices[share.tokens[i]].experts.push_back(static_cast<std::uint32_t>(worker.expert));
      choices[share.tokens[i]].dweights.push_back(dweights[i]);
    }
  }
  return choices;
}

void ExpertsGradient::router_backward(BlockProducts& products, const std::vector<Choice>& choices, float* dx) const {
  const std::size_t count = a_.experts.count;
  std::vector<float> dlogits(logits_.size());
  parallel_for(choices.size(), [&](std::size_t t) {
    choice_gradient(a_.experts, choices[t], std::span(logits_).subspan(t * count, count),
                    std::span(dlogits).subspan(t * count, count));
  });
  products.add_turned_product(weights_.router.view(), dlogits, kernel::Precision::f32, dx);
}

void ExpertsGradient::shared_backward(const Batch& batch, BlockProducts& products, std::span<const float> x,
                                      const std::vector<float>& dy, float* dx) {
  std::vector<float> d = dy;
  if (weights_.shared_gate) {
    std::vector<float> dscales(batch.tokens);
    parallel_for(batch.tokens, [&](std::size_t t) {
      double sum = 0.0;
      for (std::size_t i = t * a_.hidden; i < (t + 1) * a_.hidden; ++i)
        sum += static_cast<double>(dy[i]) * static_cast<double>(shared_out_[i]);
      dscales[t] = static_cast<float>(sum);
    });
    kernel::sigmoid_gradient(shared_scales_.data(), dscales.size(), dscales.data());
    products.add_turned_product(weights_.shared_gate->view(), dscales, kernel::Precision::f32, dx);
    kernel::scale_rows(d.data(), a_.hidden, batch.tokens, a_.hidden, shared_scales_.data());
  }
  shared_->backward(batch, products, x, std::move(d), dx);
}

void ExpertsGradient::backward(const Batch& batch, BlockProducts& products, std::span<const float> x,
                               std::vector<float> dy, float* dx) {
  std::vector<float> unwanted;
  if (dx == nullptr) {
    unwanted.resize(x.size());
    dx = unwanted.data();
  }
  if (shared_) shared_backward(batch, products, x, dy, dx);
  if (a_.experts.latent == 0) {
    router_backward(products, workers_backward(batch, products, x, dy, dx), dx);
    return;
  }
  std::vector<float> dsum(sum_.size(), 0.0f), dlatents(latents_.size(), 0.0f);
  products.gradient(Role::from_latent, dy, sum_, dsum.data());
  router_backward(products, workers_backward(batch, products, latents_, dsum, dlatents.data()), dx);
  products.gradient(Role::to_latent, dlatents, x, dx);
}

}  // namespace

std::unique_ptr<PartGradient> make_experts_gradient(const model::Model& model, std::size_t block) {
  return std::make_unique<ExpertsGradient>(model, block);
}

}  // namespace strata::engine
