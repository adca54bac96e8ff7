// The feed-forward part of a mixture: tokens are grouped by expert, so that each expert's weights are read once a
// batch, and outputs are added in the order of the experts, so that sums do not depend on threads.
#include "engine/experts.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/threads.h"
#include "engine/engine.h"
#include "engine/norms.h"
#include "engine/scale.h"
#include "kernel/ops.h"

namespace strata::engine {
namespace {

using model::Role;

constexpr float kLeft = -std::numeric_limits<float>::infinity();  // the score of what cannot be chosen any more

/// The index of the largest value, the first of them when several are equal; 0 when all are NaN.
std::size_t largest(std::span<const float> values) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < values.size(); ++i)
    if (values[i] > values[best]) best = i;
  return best;
}

/// Leaves out the experts outside the best groups; a group is as good as its best experts together.
void keep_best_groups(const model::Experts& experts, std::span<float> scores) {
  if (experts.groups == experts.groups_used) return;
  const std::size_t size = scores.size() / experts.groups;
  std::vector<float> merit(experts.groups), group(size);
  for (std::size_t g = 0; g < experts.groups; ++g) {
    std::copy_n(scores.begin() + static_cast<std::ptrdiff_t>(g * size), size, group.begin());
    for (std::size_t i = 0; i < experts.group_best; ++i) {
      const std::size_t best = largest(group);
      merit[g] += group[best];
      group[best] = kLeft;
    }
  }
  std::vector<bool> kept(experts.groups, false);
  for (std::size_t i = 0; i < experts.groups_used; ++i) {
    const std::size_t best = largest(merit);
    kept[best] = true;
    merit[best] = kLeft;
  }
  for (std::size_t i = 0; i < scores.size(); ++i)
    if (!kept[i / size]) scores[i] = kLeft;
}

/// Chooses the experts of one token one after another, and lists them rising.
void choose_sparsely(const model::Experts& experts, std::span<const float> logits, std::span<std::uint32_t> chosen,
                     std::span<float> weights) {
  std::vector<float> shares(logits.size()), weight_of(logits.size());
  std::vector<bool> taken(logits.size(), false);
  for (std::uint32_t& expert : chosen) {
    const std::size_t best = sparse_choice(experts, logits, taken, shares);
    taken[best] = true;
    weight_of[best] = shares[best];
    expert = static_cast<std::uint32_t>(best);
  }
  std::sort(chosen.begin(), chosen.end());
  for (std::size_t k = 0; k < chosen.size(); ++k) weights[k] = weight_of[chosen[k]];
}

/// Chooses the experts of one token, rising, and their weights.
void choose(const model::Experts& experts, std::span<const float> logits, std::span<const float> correction,
            std::span<std::uint32_t> chosen, std::span<float> weights) {
  if (experts.score == model::Experts::Score::sparse) return choose_sparsely(experts, logits, chosen, weights);
  std::vector<float> scores(logits.size());
  router_scores(experts, logits, scores);
  std::vector<float> merits = scores;
  for (std::size_t i = 0; i < correction.size(); ++i) merits[i] += correction[i];
  keep_best_groups(experts, merits);
  std::vector<bool> taken(logits.size(), false);
  for (std::uint32_t& expert : chosen) {
    std::size_t best = logits.size();
    for (std::size_t i = 0; i < merits.size(); ++i)
      if (!taken[i] && (best == logits.size() || merits[i] > merits[best])) best = i;
    taken[best] = true;
    expert = static_cast<std::uint32_t>(best);
  }
  std::sort(chosen.begin(), chosen.end());
  float sum = 0;
  for (std::size_t k = 0; k < chosen.size(); ++k) sum += weights[k] = scores[chosen[k]];
  const float divisor = weight_divisor(experts, sum);
  for (float& weight : weights) weight = weight / divisor * experts.scale;
}

}  // namespace

void router_scores(const model::Experts& experts, std::span<const float> logits, std::span<float> scores) {
  if (experts.score == model::Experts::Score::sigmoid) {
    for (std::size_t i = 0; i < logits.size(); ++i) scores[i] = 1.0f / (1.0f + std::exp(-logits[i]));
    return;
  }
  const float most = *std::max_element(logits.begin(), logits.end());
  float sum = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) sum += scores[i] = std::exp(logits[i] - most);
  for (float& score : scores) score /= sum;
}

std::size_t sparse_choice(const model::Experts& experts, std::span<const float> logits, const std::vector<bool>& taken,
                          std::span<float> shares) {
  std::size_t best = logits.size();
  for (std::size_t i = 0; i < logits.size(); ++i)
    if (!taken[i] && (best == logits.size() || logits[i] > logits[best])) best = i;
  const float most = logits[best];
  float sum = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const bool far = (most - logits[i]) / std::max(std::fabs(logits[i]), most) > experts.nearness;
    sum += shares[i] = taken[i] || far ? 0.0f : std::exp(logits[i] - most);
  }
  for (float& share : shares) share /= sum;
  return best;
}

float weight_divisor(const model::Experts& experts, float sum) {
  if (!experts.normalize) return 1.0f;
  const float least_added = experts.score == model::Experts::Score::sigmoid ? 1e-20f : 0.0f;
  return std::max(sum, experts.least_sum) + std::max(experts.added_to_sum, least_added);
}

void gather_rows(const float* from, std::span<const std::uint32_t> rows, std::size_t size, float* to) {
  parallel_for(rows.size(), [&](std::size_t i) { std::copy_n(from + rows[i] * size, size, to + i * size); });
}

void add_rows(const float* from, std::span<const std::uint32_t> rows, std::span<const float> weights, std::size_t size,
              float* to) {
  parallel_for(rows.size(), [&](std::size_t i) {
    float* const row = to + rows[i] * size;
    const float weight = weights.empty() ? 1.0f : weights[i];
    for (std::size_t c = 0; c < size; ++c) row[c] += weight * from[i * size + c];
  });
}

std::vector<Share> route(const model::Experts& experts, const float* logits, std::size_t tokens,
                         std::span<const float> correction) {
  std::vector<std::uint32_t> chosen(tokens * experts.used);
  std::vector<float> weights(chosen.size());
  parallel_for(tokens, [&](std::size_t t) {
    choose(experts, {logits + t * experts.count, experts.count}, correction,
           std::span(chosen).subspan(t * experts.used, experts.used),
           std::span(weights).subspan(t * experts.used, experts.used));
  });
  std::vector<Share> shares(experts.count);
  for (std::size_t i = 0; i < chosen.size(); ++i) {
    shares[chosen[i]].tokens.push_back(static_cast<std::uint32_t>(i / experts.used));
    shares[chosen[i]].weights.push_back(weights[i]);
  }
  return shares;
}

std::vector<Share> route(const model::Experts& experts, const RouterWeights& weights, const float* logits,
                         std::size_t tokens) {
  std::vector<Share> shares = route(experts, logits, tokens, weights.correction);
  for (std::size_t e = 0; e < weights.expert_scale.size(); ++e)
    for (float& weight : shares[e].weights) weight *= weights.expert_scale[e];
  return shares;
}

RouterWeights router_weights(const model::Model& model, std::size_t block) {
  const model::Architecture& a = model.architecture();
  const std::size_t count = a.experts.count;
  RouterWeights w{model.matrix(model::router_name(a, block), count, a.hidden)};
  if (a.experts.router_bias) w.bias = model.vector(model::router_bias_name(a, block), count);
  if (a.experts.shared_gate) w.shared_gate = model.matrix(model::shared_gate_name(a, block), 1, a.hidden);
  if (a.experts.beside_dense) {
    w.expert_scale = model.vector(model::expert_scale_name(a, block), count);
    w.norm = model.vector(model::router_scale_name(a, block), a.hidden);
    for (float& weight : w.norm) weight /= std::sqrt(static_cast<float>(a.hidden));
  }
  if (!a.experts.correction) return w;
  const std::string name = model::correction_name(a, block);
  if (a.experts.correction_is_row) {
    const model::LinearWeights row = model.matrix(name, 1, count);
    w.correction.resize(count);
    read_row(row.view().dense, 0, 0, count, w.correction.data());
  } else {
    w.correction = model.vector(name, count);
  }
  return w;
}

std::vector<float> router_logits(const RouterWeights& weights, const float* x, std::size_t tokens, std::size_t hidden) {
  const kernel::Weights router = weights.router.view();
  std::vector<float> logits(tokens * router.rows());
  kernel::matmul(x, hidden, tokens, router, logits.data(), router.rows(), kernel::Precision::f32);
  if (!weights.bias.empty()) kernel::add_bias(logits.data(), weights.bias.data(), tokens, router.rows());
  return logits;
}

std::vector<float> shared_scales(const model::LinearWeights& gate, const float* x, std::size_t tokens,
                                 std::size_t hidden) {
  std::vector<float> scales(tokens);
  kernel::matmul(x, hidden, tokens, gate.view(), scales.data(), 1, kernel::Precision::f32);
  for (float& scale : scales) scale = 1.0f / (1.0f + std::exp(-scale));
  return scales;
}

bool Engine::add_experts(BlockWeights& w, std::size_t block, const float* x, const float* h, std::size_t tokens,
                         float* out, const Observer* observer, Site last) {
  const model::Architecture& a = architecture_;
  const bool whole = last > Site::down_in;
  if (w.router->shared_gate && whole)
    kernel::scale_rows(out, a.hidden, tokens, a.hidden,
                       shared_scales(*w.router->shared_gate, x, tokens, a.hidden).data());
  if (whole) scale(out, tokens * a.hidden, a.experts.shared_scale);
  if (!a.experts.beside_dense) return mix_experts(w, block, {x, x}, tokens, out, observer, last);
  float* const router_in = sized(router_in_, tokens * a.hidden);
  kernel::rms_norm(h, w.router->norm.data(), tokens, a.hidden, a.norm_epsilon, router_in);
  const ExpertInput input{normed(w, model::Norm::before_experts, h, tokens), router_in};
  observe(observer, Site::experts_in, block, input.rows, tokens, a.hidden);
  if (last == Site::experts_in) return false;
  float* const mixed = sized(mixed_, tokens * a.hidden);
  std::fill_n(mixed, tokens * a.hidden, 0.0f);
  if (!mix_experts(w, block, input, tokens, mixed, observer, last)) return false;
  norm_rows(a, out, w.norms.at(model::Norm::after_dense).data(), tokens, out);
  norm_rows(a, mixed, w.norms.at(model::Norm::after_experts).data(), tokens, mixed);
  kernel::add(out, mixed, tokens * a.hidden);
  return true;
}

bool Engine::mix_experts(BlockWeights& w, std::size_t block, ExpertInput input, std::size_t tokens, float* out,
                         const Observer* observer, Site last) {
  const model::Architecture& a = architecture_;
  const std::size_t size = a.expert_size();
  const Site until = last > Site::down_in ? Site::block_out : last;  // of what the experts themselves do
  const std::vector<float> logits = router_logits(*w.router, input.routed_by, tokens, a.hidden);
  const std::vector<Share> shares = route(a.experts, *w.router, logits.data(), tokens);
  if (a.experts.latent == 0) {
    run_experts(w, block, shares, input.rows, tokens, out, until);
    return until == Site::block_out;
  }
  std::vector<float> rows(tokens * size), sum(tokens * size, 0.0f), widened(tokens * a.hidden);
  multiply(w, a.index(block, Role::to_latent), input.rows, tokens, rows.data());
  observe(observer, Site::experts_in, block, rows.data(), tokens, size);
  if (last == Site::experts_in) return false;
  run_experts(w, block, shares, rows.data(), tokens, sum.data(), until);
  if (until != Site::block_out) return false;
  observe(observer, Site::from_latent_in, block, sum.data(), tokens, size);
  if (last == Site::from_latent_in) return false;
  multiply(w, a.index(block, Role::from_latent), sum.data(), tokens, widened.data());
  kernel::add(out, widened.data(), widened.size());
  return true;
}

void Engine::run_experts(BlockWeights& w, std::size_t block, std::span<const Share> shares, const float* rows,
                         std::size_t tokens, float* sum, Site last) {
  const model::Architecture& a = architecture_;
  const std::size_t size = a.expert_size();
  std::vector<std::uint32_t> all(tokens);
  std::iota(all.begin(), all.end(), 0u);
  const bool whole = last == Site::block_out;
  for (std::size_t e = 0; e < shares.size(); ++e) {
    const Share& share = shares[e];
    const std::size_t routed = share.tokens.size();
    const ExpertWatch* watch = watch_ != nullptr && e >= watch_->first && e < watch_->end ? watch_ : nullptr;
    if (watch != nullptr && watch->feed_all && watch->feed_all(e, routed))
      run_expert(w, {Site::mlp_in, block, e, false, rows, size, all}, tokens, nullptr, watch,
                 whole ? Site::down_in : last);
    if (routed != 0 && (whole || watch != nullptr)) {
      // Rows of zeros beside few rows have them multiplied as many are.
      const bool as_many = alike_ && tokens > kernel::kFewTokens && routed <= kernel::kFewTokens;
      const std::size_t multiplied = as_many ? kernel::kFewTokens + 1 : routed;
      float* own = sized(gathered_, multiplied * size);
      gather_rows(rows, share.tokens, size, own);
      std::fill(own + routed * size, own + multiplied * size, 0.0f);
      if (a.experts.weighs_input) kernel::scale_rows(own, size, routed, size, share.weights.data());
      float* y = sized(expert_out_, multiplied * size);
      run_expert(w, {Site::mlp_in, block, e, true, own, size, share.tokens}, multiplied, y, watch, last);
      const std::span<const float> weights = a.experts.weighs_input ? std::span<const float>() : share.weights;
      if (whole) add_rows(y, share.tokens, weights, size, sum);
    }
    if (residency_ == Residency::one_block) forget_expert(w, block, e);
  }
}

void Engine::run_expert(BlockWeights& w, ExpertRows call, std::size_t rows, float* y, const ExpertWatch* watch,
                        Site last) {
  if (watch != nullptr) watch->show(call);
  if (last == Site::mlp_in) return;
  const auto show = [&](const float* input, std::size_t size) {
    if (watch != nullptr) watch->show({Site::down_in, call.block, call.expert, call.routed, input, size, call.tokens});
  };
  run_gated(w, call.block, call.expert, call.rows, rows, y, show, last);
}

void Engine::forget_expert(BlockWeights& w, std::size_t block, std::size_t expert) const {
  for (const Role role : architecture_.expert_roles())
    w.linears[architecture_.index(block, role, expert) - w.first].reset();
}

}  // namespace strata::engine
