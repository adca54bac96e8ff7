// What a sweep shows: areas and retention points of its curves, the claims held against them, and its files.
// A claim that does not hold on this model is a result.
#include <algorithm>
#include <cmath>

#include "core/statistics.h"
#include "pipeline/measure/sweep.h"

namespace strata::pipeline {
namespace {

const SweepCurve* find(const SweepResult& result, const std::string& order) {
  for (const SweepCurve& curve : result.curves)
    if (curve.order == order) return &curve;
  return nullptr;
}

std::vector<const SweepCurve*> randoms(const SweepResult& result) {
  std::vector<const SweepCurve*> curves;
  for (const SweepCurve& curve : result.curves)
    if (curve.order.starts_with("random")) curves.push_back(&curve);
  return curves;
}

double all_lowered(const SweepResult& result) { return find(result, "lim")->points.back().kl; }

Claim late_loss(const SweepResult& result, const std::string& order) {
  const double all = all_lowered(result);
  std::vector<double> others;
  for (const SweepCurve* curve : randoms(result)) others.push_back(curve->share_at(0.1, all));
  if (others.empty()) others.push_back(find(result, order + " reversed")->share_at(0.1, all));
  const double ours = find(result, order)->share_at(0.1, all), random = estimate(others).mean;
  return {
      fmt::format("near-original until 25 to 50 % of the blocks are lowered in the order of {}, 5 to 10 % at random",
                  order),
      ours >= 0.25 && random <= 0.10,
      fmt::format("a tenth of the whole loss is reached at {:.0f} % of the blocks, at random at {:.0f} %", 100 * ours,
                  100 * random)};
}

Claim beats_random(const SweepResult& result, const std::string& order) {
  std::vector<double> means;
  for (const SweepCurve* curve : randoms(result)) means.push_back(curve->mean_kl());
  const double ours = find(result, order)->mean_kl();
  if (means.empty()) return {order + " beats random", false, "no random order was measured"};
  const auto [low, high] = std::ranges::minmax(means);
  return {fmt::format("{} beats random orders", order), ours < low,
          fmt::format("mean KL over the curve {:.4f}, random {:.4f} ({:.4f} to {:.4f})", ours, estimate(means).mean,
                      low, high)};
}

Claim beats_pruning(const SweepResult& result) {
  const SweepCurve& lowered = *find(result, "lim");
  const SweepCurve& pruned = *find(result, "pruned");
  std::size_t better = 0, count = 0;
  for (std::size_t i = 1; i < lowered.points.size(); ++i, ++count) better += lowered.points[i].kl < pruned.points[i].kl;
  return {"lowering blocks beats removing them, in the same order", better == count,
          fmt::format("less KL at {} of {} counts of blocks; at {}: {:.3f} against {:.3f}", better, count,
                      lowered.points[1].lowered, lowered.points[1].kl, pruned.points[1].kl)};
}

Claim tiers_beat_fp8(const SweepResult& result) {
  const SweepPlan* fp8 = nullptr;
  const SweepPlan* mix = nullptr;
  for (const SweepPlan& plan : result.plans) {
    if (plan.name == "fp8_channel") fp8 = &plan;
    if (plan.name.starts_with("three-tier") && plan.bits <= 8.0 && (mix == nullptr || plan.kl < mix->kl)) mix = &plan;
  }
  const std::string claim = "a mix of bf16, FP8 and FP4 of at most 8 bits beats FP8 per channel";
  if (fp8 == nullptr || mix == nullptr) return {claim, false, "not measured"};
  return {claim, mix->kl < fp8->kl,
          fmt::format("{} at {:.3f} bits: KL {:.5f}; fp8_channel at {:.3f} bits: {:.5f}", mix->name, mix->bits, mix->kl,
                      fp8->bits, fp8->kl)};
}

}  // namespace

double SweepCurve::mean_kl() const {
  double sum = 0;
  for (std::size_t i = 1; i < points.size(); ++i)
    sum += 0.5 * (points[i].kl + points[i - 1].kl) * static_cast<double>(points[i].lowered - points[i - 1].lowered);
  return points.size() < 2 ? 0.0 : sum / static_cast<double>(points.back().lowered);
}

double SweepCurve::share_at(double share, double all) const {
  const double wanted = points.front().kl + share * (all - points.front().kl);
  const auto blocks = static_cast<double>(points.back().lowered);
  for (std::size_t i = 1; i < points.size(); ++i) {
    if (points[i].kl < wanted) continue;
    const double rise = points[i].kl - points[i - 1].kl;
    const double part = rise > 0 ? (wanted - points[i - 1].kl) / rise : 1.0;
    return (static_cast<double>(points[i - 1].lowered) +
            part * static_cast<double>(points[i].lowered - points[i - 1].lowered)) /
           blocks;
  }
  return 1.0;
}

std::vector<Claim> check_claims(const SweepResult& result) {
  return {late_loss(result, "lim"),   late_loss(result, "zd"), beats_random(result, "lim"),
          beats_random(result, "zd"), beats_pruning(result),   tiers_beat_fp8(result)};
}

json SweepResult::to_json() const {
  json curve_list = json::array(), plan_list = json::array(), claim_list = json::array();
  const double all = all_lowered(*this);
  for (const SweepCurve& curve : curves) {
    json list = json::array();
    for (const SweepPoint& p : curve.points)
      list.push_back({{"lowered", p.lowered},
                      {"bits", p.bits},
                      {"kl", p.kl},
                      {"kl_stderr", p.kl_standard_error},
                      {"perplexity", p.perplexity}});
    curve_list.push_back({{"order", curve.order},
                          {"mean_kl", curve.mean_kl()},
                          {"share_at_10_percent", curve.share_at(0.1, all)},
                          {"share_at_50_percent", curve.share_at(0.5, all)},
                          {"points", std::move(list)}});
  }
  for (const SweepPlan& plan : plans)
    plan_list.push_back({{"name", plan.name},
                         {"bits", plan.bits},
                         {"kl", plan.kl},
                         {"kl_stderr", plan.kl_standard_error},
                         {"perplexity", plan.perplexity},
                         {"gigabytes_per_token", plan.gigabytes_per_token}});
  for (const Claim& claim : check_claims(*this))
    claim_list.push_back({{"claim", claim.claim}, {"holds", claim.holds}, {"figures", claim.figures}});
  return {{"format", "strata sweep"},
          {"version", 1},
          {"high", high},
          {"low", low},
          {"blocks", blocks},
          {"tokens", tokens},
          {"perplexity", perplexity},
          {"curves", std::move(curve_list)},
          {"plans", std::move(plan_list)},
          {"claims", std::move(claim_list)},
          {"notes", notes}};
}

std::string SweepResult::to_csv() const {
  std::string text = "order,lowered,bits,kl,kl_stderr,perplexity\n";
  for (const SweepCurve& curve : curves)
    for (const SweepPoint& p : curve.points)
      text += fmt::format("{},{},{:.6f},{:.8g},{:.8g},{:.8g}\n", curve.order, p.lowered, p.bits, p.kl,
                          p.kl_standard_error, p.perplexity);
  return text;
}

}  // namespace strata::pipeline
