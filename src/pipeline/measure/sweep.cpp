// The orders, the points along them, and the plans beside them.
// A point that several curves share is measured once.
#include "pipeline/measure/sweep.h"

#include <algorithm>

#include "allocate/allocate.h"
#include "allocate/orders.h"
#include "core/progress.h"
#include "importance/score.h"
#include "pipeline/choose/costs.h"
#include "pipeline/choose/planner.h"
#include "pipeline/measure/meter.h"

namespace strata::pipeline {
namespace {

using codec::Codec;
using Measured = PlanMeter::Measured;

constexpr std::size_t kPlansBeside = 5;  // three tiers, and fp8 alone

class Sweep {
 public:
  Sweep(engine::Engine& engine, const SweepRequest& request, const importance::ScoreResult& scored, PlanMeter& meter)
      : a_(engine.architecture()),
        problem_(engine.model(), default_target({}), {}, costs_of(scored.scores, a_)),
        request_(request),
        scored_(scored),
        meter_(meter) {
    const std::size_t step = request.step != 0 ? request.step : std::max<std::size_t>(1, a_.blocks / 15);
    for (std::size_t n = 0; n < a_.blocks; n += step) counts_.push_back(n);
    counts_.push_back(a_.blocks);
  }

  SweepResult run() {
    SweepResult result;
    result.high = request_.high->name;
    result.low = request_.low->name;
    result.blocks = a_.blocks;
    result.tokens = meter_.tokens();
    result.perplexity = meter_.original_perplexity();
    std::vector<std::pair<std::string, allocate::Order>> orders;
    for (const char* signal : {"lim", "zd"}) {
      const allocate::Order order = allocate::by_importance(scored_.scores.importance(signal));
      orders.emplace_back(signal, order);
      orders.emplace_back(std::string(signal) + " reversed", allocate::reversed(order));
    }
    orders.emplace_back("first", allocate::first_blocks(a_.blocks));
    orders.emplace_back("last", allocate::last_blocks(a_.blocks));
    orders.emplace_back("first and last", allocate::first_and_last(a_.blocks));
    for (std::size_t seed = 0; seed < request_.random_orders; ++seed)
      orders.emplace_back(fmt::format("random {}", seed), allocate::random_order(a_.blocks, seed));
    progress_.emplace("sweep", (orders.size() + 3) * counts_.size() + a_.blocks + kPlansBeside);
    measure_beforehand(orders);
    const std::vector<double> singles = single_blocks();
    orders.emplace_back("kl", allocate::by_importance(singles));
    for (const auto& [name, order] : orders) result.curves.push_back(curve(name, order));
    result.curves.push_back(best(singles));
    result.curves.push_back(pruned(orders[0].second));
    add_plans(result);
    return result;
  }

 private:
  /// Ranks share the points of the curves whose order is known, and single blocks.
  void measure_beforehand(const std::vector<std::pair<std::string, allocate::Order>>& orders) {
    std::vector<Assignment> plans;
    std::vector<std::vector<bool>> cuts;
    for (const auto& [name, order] : orders)
      for (const std::size_t count : counts_) plans.push_back(lowered(least(order, count)));
    for (std::size_t b = 0; b < a_.blocks; ++b) plans.push_back(lowered(only(b)));
    for (const std::size_t count : counts_) cuts.push_back(least(orders[0].second, count));
    meter_.measure_all(plans, [&] { progress_->advance(); });
    meter_.measure_all_without(cuts, [&] { progress_->advance(); });
  }
  std::vector<bool> only(std::size_t block) const {
    std::vector<bool> blocks(a_.blocks, false);
    blocks[block] = true;
    return blocks;
  }

  const Codec* held(std::size_t group, const Codec& codec) const {
    return importance::fits(codec, a_, a_.groups[group]) ? &codec : &codec::by_name("keep");
  }
  Assignment lowered(const std::vector<bool>& blocks) const {
    Assignment result;
    for (std::size_t g = 0; g < a_.groups.size(); ++g) {
      const std::size_t block = a_.groups[g].block;
      result.push_back(block == model::kNoBlock ? &codec::by_name("keep")
                                                : held(g, blocks[block] ? *request_.low : *request_.high));
    }
    return result;
  }
  std::vector<bool> least(const allocate::Order& order, std::size_t count) const {
    std::vector<bool> blocks(a_.blocks, false);
    for (std::size_t i = 0; i < count; ++i) blocks[order[a_.blocks - 1 - i]] = true;
    return blocks;
  }
  std::uint64_t block_bytes(const Assignment& assignment) const { return bytes_of(assignment, a_, Count::blocks); }
  double bits_of(const Assignment& assignment) const {
    return allocate::true_bits(block_bytes(assignment), a_.block_linear_weights());
  }

  SweepPoint point(std::size_t count, const Assignment& assignment) {
    const bool fresh = !meter_.knows(assignment);
    const Measured m = meter_.measure(assignment);
    if (fresh) progress_->advance();
    return {count, bits_of(assignment), m.kl, m.kl_standard_error, m.perplexity};
  }

  SweepCurve curve(const std::string& name, const allocate::Order& order) {
    SweepCurve result{name, {}};
    progress_->note(name);
    for (const std::size_t count : counts_) result.points.push_back(point(count, lowered(least(order, count))));
    return result;
  }

  /// KL with one block lowered, all others at the high codec.
  std::vector<double> single_blocks() {
    std::vector<double> result;
    progress_->note("single blocks");
    for (std::size_t b = 0; b < a_.blocks; ++b) result.push_back(point(1, lowered(only(b))).kl);
    return result;
  }

  /// What the scores say that lowering costs each group beyond the high codec, in nats; at least 0.
  std::vector<double> scored_rises() const {
    std::vector<double> result;
    const auto cost = [&](std::size_t g, const Codec& codec) {
      return codec.has_codes() ? problem_.cost(g, codec) : 0.0;
    };
    for (std::size_t g = 0; g < a_.groups.size(); ++g)
      result.push_back(a_.groups[g].block == model::kNoBlock
                           ? 0.0
                           : std::max(0.0, cost(g, *held(g, *request_.low)) - cost(g, *held(g, *request_.high))));
    return result;
  }

  /// The two codecs by group instead of by block, at the bytes of every point of the other curves. singles: the KL of
  /// each block lowered alone. What it is above the KL of no block lowered is shared out among the block's groups in
  /// proportion to what the scores say of them.
  SweepCurve best(const std::vector<double>& singles) {
    SweepCurve result{"best", {}};
    progress_->note("best");
    const double none = point(0, lowered(std::vector<bool>(a_.blocks, false))).kl;
    const std::vector<double> rises = scored_rises();
    std::vector<double> of_blocks(a_.blocks, 0.0);
    for (std::size_t g = 0; g < a_.groups.size(); ++g)
      if (a_.groups[g].block != model::kNoBlock) of_blocks[a_.groups[g].block] += rises[g];
    std::vector<std::vector<Choice>> choices;
    std::vector<std::size_t> in_blocks;
    for (std::size_t g = 0; g < a_.groups.size(); ++g) {
      const std::size_t block = a_.groups[g].block;
      if (block == model::kNoBlock) continue;
      in_blocks.push_back(g);
      const double share = of_blocks[block] > 0.0 ? rises[g] / of_blocks[block] : 0.0;
      const Codec &high = *held(g, *request_.high), &low = *held(g, *request_.low);
      choices.push_back({{&high, problem_.bytes(g, high), 0.0},
                         {&low, problem_.bytes(g, low), share * std::max(0.0, singles[block] - none)}});
    }
    const std::vector<allocate::Group> groups = knapsack(choices);
    for (const std::size_t count : counts_) {
      const std::uint64_t budget = block_bytes(lowered(least(allocate::first_blocks(a_.blocks), count)));
      const allocate::Solution solution = allocate::solve(groups, budget);
      Assignment assignment = all_kept(a_);
      for (std::size_t i = 0; i < in_blocks.size(); ++i)
        assignment[in_blocks[i]] = choices[i][solution.choice[i]].codec;
      result.points.push_back(point(count, assignment));
    }
    return result;
  }

  SweepCurve pruned(const allocate::Order& order) {
    SweepCurve result{"pruned", {}};
    progress_->note("pruned");
    for (const std::size_t count : counts_) {
      const Measured m = meter_.measure_without(least(order, count));
      const double left = 1.0 - static_cast<double>(count) / static_cast<double>(a_.blocks);
      result.points.push_back({count, 16.0 * left, m.kl, m.kl_standard_error, m.perplexity});
    }
    return result;
  }

  void add_plans(SweepResult& result) {
    progress_->note("three tiers");
    const auto add = [&](const std::string& name, PlanRequest request) {
      try {
        const Problem problem(problem_.model(), problem_.target(), std::move(request), problem_.costs());
        const Assignment assignment = assignment_of(make_plan(problem).plan);
        const Measured m = meter_.measure(assignment);
        result.plans.push_back({name, bits_of(assignment), m.kl, m.kl_standard_error, m.perplexity,
                                static_cast<double>(block_bytes(assignment)) * 1e-9});
      } catch (const Error& error) {
        result.notes.push_back(fmt::format("{} was not measured: {}", name, error.what()));
      }
      progress_->advance();
    };
    for (const double bits : {5.0, 6.0, 7.0, 8.0}) {
      PlanRequest request;
      request.preset = "three-tier";
      request.budget = BitsBudget{bits};
      add(fmt::format("three-tier {:.0f}", bits), request);
    }
    PlanRequest request;
    request.preset = "uniform:fp8_channel";
    add("fp8_channel", request);
  }

  const model::Architecture& a_;
  Problem problem_;  ///< for the target of the plans beside the curves
  const SweepRequest& request_;
  const importance::ScoreResult& scored_;
  PlanMeter& meter_;
  std::vector<std::size_t> counts_;
  std::optional<Progress> progress_;
};

}  // namespace

SweepResult sweep(engine::Engine& engine, const importance::CalibrationSet& calibration,
                  const importance::CalibrationSet& text, const SweepRequest& request) {
  importance::ScoreRequest wanted;
  for (const Codec* codec : {request.high, request.low})
    if (codec->has_codes()) wanted.codecs.push_back(codec);
  wanted.signals = cheapest_cost_signals(wanted.codecs, engine.architecture());
  for (const char* signal : {"lim", "zd"}) wanted.signals.push_back(&importance::signal_by_name(signal));
  const importance::ScoreResult scored = importance::score(engine, calibration, wanted);
  PlanMeter meter(engine, text, scored.inputs, request.tokens, request.journal, "sweep");
  return Sweep(engine, request, scored, meter).run();
}

}  // namespace strata::pipeline
