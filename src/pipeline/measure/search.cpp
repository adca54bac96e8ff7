// A round measures the changes that are expected to help most, solves the knapsack again, and keeps the plan if both
// texts agree that it is better. A plan that is not better is tried again with fewer of its changes.
#include "pipeline/measure/search.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numbers>

#include "allocate/allocate.h"
#include "core/progress.h"
#include "core/seconds.h"
#include "model/tokenizer.h"
#include "pipeline/choose/presets.h"
#include "pipeline/measure/change_costs.h"

namespace strata::pipeline {
namespace {

constexpr std::size_t kRound = 12;        ///< changes measured before planning anew
constexpr std::size_t kFewestSteps = 30;  ///< fewer find nothing
constexpr std::size_t kMostSteps = 400;   ///< more gain next to nothing
constexpr double kNominalFlops = 1.5e11, kNominalSeconds = 60;
/// A change that promises less than this share of the plan's divergence is not worth a measurement.
constexpr double kWorthwhile = 2e-5;

/// Mean of max(0, -x) for a normal x.
double expected_gain(double mean, double deviation) {
  if (deviation <= 0) return std::max(0.0, -mean);
  const double z = -mean / deviation;
  return -mean * 0.5 * std::erfc(-z / std::numbers::sqrt2) +
         deviation * std::exp(-0.5 * z * z) / std::sqrt(2 * std::numbers::pi);
}

class LocalSearch {
 public:
  LocalSearch(const Problem& problem, PlanMeter& changes, PlanMeter& whole, const SearchOptions& options)
      : problem_(problem),
        changes_(changes),
        whole_(whole),
        options_(options),
        best_(make_plan(problem)),
        costs_(choices_around(best_.plan), assignment_of(best_.plan)),
        progress_("search", options.steps) {}

  PlanResult run() {
    kl_ = changes_.measure(costs_.plan()).kl;
    check_ = whole_.measure(costs_.plan()).kl;
    const double kl_before = kl_, check_before = check_;
    changes_.rebase(costs_.plan());
    while (!over()) {
      if (!measure_changes()) break;
      for (std::size_t tries = 0; tries < 3 && !over() && !improve(tries); ++tries) {
      }
    }
    best_.plan.search = {{"steps", steps_},
                         {"plans_taken", taken_},
                         {"ended_by", over() ? (steps_ >= options_.steps ? "steps" : "time") : "nothing left to gain"},
                         {"tokens", changes_.tokens()},
                         {"kl_before", kl_before},
                         {"kl_after", kl_},
                         {"held_out_tokens", whole_.tokens()},
                         {"held_out_kl_before", check_before},
                         {"held_out_kl_after", check_}};
    best_.notes.push_back(fmt::format(
        "the search took {} plans in {} measurements: KL divergence {:.5f} -> {:.5f} on its text, {:.5f} -> "
        "{:.5f} on held-out text",
        taken_, steps_, kl_before, kl_, check_before, check_));
    return std::move(best_);
  }

 private:
  std::vector<std::vector<Choice>> choices_around(const Plan& plan) const {
    std::vector<std::vector<Choice>> result;
    const model::Architecture& a = problem_.architecture();
    for (std::size_t g = 0; g < a.groups.size(); ++g) {
      result.push_back(problem_.choices(g));
      // Experts that must all have one codec are not changed one block at a time.
      const PlannedGroup& now = plan.groups[g];
      if (problem_.target().one_expert_codec && a.linears[a.groups[g].linears.front()].routed())
        result.back() = {{now.codec, now.bytes, now.cost}};
    }
    return result;
  }
  bool over() const {
    if (steps_ >= options_.steps) return true;
    return options_.seconds && seconds_since(begin_) >= *options_.seconds;
  }
  void step() {
    ++steps_;
    progress_.advance();
  }

  /// Nats that a byte is worth around the plan; 0 for a plan that could not get better by more bytes.
  double worth_of_byte() const {
    const allocate::Curve curve = allocate::pareto(knapsack(costs_.priced()));
    const std::uint64_t bytes = bytes_of(costs_.plan(), problem_.architecture(), Count::all);
    return price(curve, bytes);
  }

  struct Candidate {
    double gain;
    std::size_t group;
    const codec::Codec* codec;
  };
  /// Changes by what they promise with the bytes paid for at the price; only those not measured yet.
  std::vector<Candidate> promising() const {
    const double price_of_byte = worth_of_byte();
    std::vector<Candidate> result;
    for (std::size_t g = 0; g < costs_.choices().size(); ++g) {
      const auto now = std::ranges::find(costs_.choices()[g], costs_.plan()[g], &Choice::codec);
      if (now == costs_.choices()[g].end()) continue;
      for (const Choice& choice : costs_.choices()[g]) {
        if (costs_.is_measured(g, *choice.codec) || choice.codec == now->codec) continue;
        const double bytes = static_cast<double>(choice.bytes) - static_cast<double>(now->bytes);
        const double gain =
            expected_gain(costs_.change(g, *choice.codec) + price_of_byte * bytes, costs_.deviation(g, *choice.codec));
        if (gain > kWorthwhile * kl_) result.push_back({gain, g, choice.codec});
      }
    }
    std::ranges::stable_sort(result, std::greater{}, &Candidate::gain);
    return result;
  }

  /// False when there was nothing to measure.
  bool measure_changes() {
    const std::vector<Candidate> candidates = promising();
    for (std::size_t i = 0; i < std::min(kRound, candidates.size()) && !over(); ++i) {
      Assignment changed = costs_.plan();
      changed[candidates[i].group] = candidates[i].codec;
      progress_.note(
          fmt::format("{} {}", problem_.architecture().groups[candidates[i].group].name, candidates[i].codec->name));
      costs_.measured(candidates[i].group, *candidates[i].codec, changes_.measure(changed).kl - kl_);
      step();
    }
    return !candidates.empty();
  }

  /// Plans anew: with all codecs in the first try, with those measured in the second, then with half of the changes of
  /// the try before. True when there is nothing more to try from here.
  bool improve(std::size_t tries) {
    const std::size_t groups = costs_.plan().size();
    if (tries <= 1) free_.assign(groups, true);
    const auto to = tries > 0 ? ChangeCosts::To::measured : ChangeCosts::To::every;
    PlanResult candidate = make_plan(problem_.with(costs_.costs(problem_.architecture(), free_, to)));
    const Assignment wanted = assignment_of(candidate.plan);
    std::vector<std::pair<double, std::size_t>> changed;
    for (std::size_t g = 0; g < groups; ++g)
      if (wanted[g] != costs_.plan()[g]) changed.emplace_back(costs_.change(g, *wanted[g]), g);
    if (changed.empty()) return tries > 0;
    progress_.note(fmt::format("{} changes together", changed.size()));
    const double kl = changes_.measure(wanted).kl;
    step();
    if (kl < kl_) {
      const double check = whole_.measure(wanted).kl;
      step();
      if (check < check_) {
        kl_ = kl, check_ = check;
        best_ = std::move(candidate);
        costs_.move_to(wanted);
        changes_.rebase(wanted);
        ++taken_;
        return true;
      }
    }
    // Half of those that save most, and half of those that cost least.
    std::ranges::sort(changed);
    free_.assign(groups, false);
    for (std::size_t i = 0; i < changed.size(); ++i) {
      const std::size_t raised =
          static_cast<std::size_t>(std::ranges::count_if(changed, [](const auto& entry) { return entry.first < 0; }));
      const bool kept = i < raised ? i < (raised + 1) / 2 : i - raised < (changed.size() - raised + 1) / 2;
      free_[changed[i].second] = kept;
    }
    return false;
  }

  const Problem& problem_;
  PlanMeter& changes_;
  PlanMeter& whole_;
  const SearchOptions& options_;
  PlanResult best_;
  ChangeCosts costs_;
  std::vector<bool> free_;
  double kl_ = 0, check_ = 0;
  std::size_t steps_ = 0, taken_ = 0;
  std::chrono::steady_clock::time_point begin_ = std::chrono::steady_clock::now();
  Progress progress_;
};

/// What single changes are measured on, and whole plans.
struct SearchText {
  importance::CalibrationSet changes, whole;
};

/// The set's first sequences and those after them, `tokens` tokens each, or as many as there are. A single sequence is
/// both.
SearchText split(const importance::CalibrationSet& set, std::size_t tokens) {
  const std::size_t wanted = std::max<std::size_t>(1, tokens / set.source.seq_len);
  const std::size_t all = set.sequences.size(), first = std::max<std::size_t>(1, std::min(wanted, all / 2));
  const std::size_t from = all == 1 ? 0 : first, until = std::min(all, from + wanted);
  const auto part = [&](std::size_t begin, std::size_t end) {
    const auto at = [&](std::size_t i) { return set.sequences.begin() + static_cast<std::ptrdiff_t>(i); };
    return importance::calibration_from_tokens({at(begin), at(end)}, set.source);
  };
  return {part(0, first), part(from, until)};
}

}  // namespace

void visit(SearchRequest& r, OptionVisitor& v) {
  v.heading("Search (preset best)");
  v.flag(
      {.name = "--search", .help = "Improve the plan by about a minute's worth of measured changes (for small models)"},
      r.search);
  v.option({.name = "--search-steps",
            .help = "Search with this many measurements; the plan is the same on every machine",
            .example = "50",
            .most = 1 << 20},
           r.steps);
  v.seconds({.name = "--search-time",
             .help = "Search for this time; the plan then depends on the machine's speed",
             .example = "60s"},
            r.seconds);
}

void check_options(const SearchRequest& request, const PlanRequest& plan) {
  if (!request.wanted()) return;
  if (preset_named(plan.preset).needs != Needs::linear_costs)
    fail_usage("a search needs preset best, not {}", plan.preset);
  if (std::holds_alternative<KlBudget>(plan.budget))
    fail_usage("--max-kl measures plans already; leave out the search");
}

SearchOptions search_of(const SearchRequest& request, const model::Architecture& architecture) {
  constexpr std::size_t kUntilTheTimeIsOver = 100000;
  SearchOptions search;
  search.seconds = request.seconds;
  if (request.steps)
    search.steps = *request.steps;
  else if (request.seconds)
    search.steps = *request.seconds > 0 ? kUntilTheTimeIsOver : 0;
  else if (request.search)
    search.steps = default_search_steps(architecture, search.tokens);
  return search;
}

std::size_t default_search_steps(const model::Architecture& a, std::size_t tokens) {
  // A change runs half of the blocks and the head, on average.
  const double flops = 2.0 * static_cast<double>(tokens) *
                       (0.5 * static_cast<double>(a.block_linear_weights()) + static_cast<double>(a.vocab * a.hidden));
  const auto steps = static_cast<std::size_t>(kNominalSeconds * kNominalFlops / flops);
  return steps < kFewestSteps ? 0 : std::min(steps, kMostSteps);
}

PlanResult search_plan(const Problem& problem, PlanMeter& changes, PlanMeter& whole, const SearchOptions& options) {
  return LocalSearch(problem, changes, whole, options).run();
}

namespace {

/// The meters of a search, which ranks make together.
struct SearchMeters {
  SearchMeters(const model::Model& model, const Target& target, const SearchText& text,
               const importance::InputMeanSquare& inputs, std::size_t tokens, const Ranks& ranks)
      : for_changes(model, kernel::Precision::f32),
        for_plans(model, kernel::Precision::f32),
        changes(for_changes, text.changes, inputs, tokens, {}, "", rounded_inputs(target), {ranks, 0}),
        whole(for_plans, text.whole, inputs, tokens, {}, "", rounded_inputs(target), {ranks, 1}) {}

  // A single change can cost as little as the rounding of activations to bf16 does.
  engine::Engine for_changes, for_plans;
  PlanMeter changes, whole;
};

Ranks ranks_that_share(const SearchText& text, std::size_t tokens, const Ranks& ranks) {
  return PlanMeter::ranks_that_share(text.whole, tokens, PlanMeter::ranks_that_share(text.changes, tokens, ranks));
}

}  // namespace

PlanResult search_on_set(const Problem& problem, const importance::CalibrationSet& set,
                         const importance::InputMeanSquare& inputs, const SearchOptions& options, const Ranks& all) {
  const SearchText text = split(set, options.tokens);
  const Ranks ranks = ranks_that_share(text, options.tokens, all);
  SearchMeters meters(problem.model(), problem.target(), text, inputs, options.tokens, ranks);
  PlanResult result = search_plan(problem, meters.changes, meters.whole, options);
  end_measurements(ranks);
  return result;
}

void help_to_search(const model::Model& model, const Target& target, const importance::CalibrationSet& set,
                    const importance::InputMeanSquare& inputs, std::size_t tokens, const Ranks& all) {
  const SearchText text = split(set, tokens);
  const Ranks ranks = ranks_that_share(text, tokens, all);
  if (ranks.rank() >= ranks.size()) return;
  SearchMeters meters(model, target, text, inputs, tokens, ranks);
  PlanMeter* const both[] = {&meters.changes, &meters.whole};
  help_to_measure(ranks, both);
}

}  // namespace strata::pipeline
