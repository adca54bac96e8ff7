// Presets best and prior: the choices of least cost within the limit. best takes costs from the scores, prior from
// rules. --bits counts the linears of the blocks, so lm_head outside of them has a share of its own.
#include <algorithm>
#include <limits>

#include "pipeline/choose/costs.h"
#include "pipeline/choose/presets/makers.h"
#include "pipeline/choose/prior_costs.h"
#include "pipeline/choose/two_memories.h"

namespace strata::pipeline {
namespace {

using Bundles = std::vector<const Bundle*>;

/// How an lm_head outside of the knapsack gets its share. The limit over all linears holds in both cases.
enum class HeadShare {
  leftover,  ///< the blocks are planned first, and the head has the bytes that they leave
  weighed,   ///< the head's codec is the one that makes the cost of the whole plan least
};

/// A choice for each of some bundles, by index into Bundle::choices.
struct Chosen {
  std::vector<std::size_t> choice;
  std::uint64_t bytes = 0;
  double cost = 0.0, lower_bound = 0.0;

  void add(const Chosen& other) {
    choice.insert(choice.end(), other.choice.begin(), other.choice.end());
    bytes += other.bytes;
    cost += other.cost;
    lower_bound += other.lower_bound;
  }
};

std::vector<allocate::Group> knapsack_of(const Bundles& bundles) {
  std::vector<allocate::Group> groups;
  for (const Bundle* bundle : bundles) groups.push_back(knapsack(bundle->choices));
  return groups;
}

Chosen solved(std::span<const allocate::Group> groups, std::uint64_t limit) {
  allocate::Solution solution = allocate::solve(groups, limit);
  return {std::move(solution.choice), solution.bytes, solution.cost, solution.lower_bound};
}

std::size_t smallest_of(const Bundle& bundle) {
  return static_cast<std::size_t>(std::ranges::min_element(bundle.choices, {}, &Choice::bytes) -
                                  bundle.choices.begin());
}

/// Bytes of the choice that is best when a byte costs `price`.
std::uint64_t bytes_at_price(const Bundle& bundle, double price) {
  const auto weighed = [&](const Choice& c) { return c.cost + price * static_cast<double>(c.bytes); };
  return std::ranges::min_element(bundle.choices, {}, weighed)->bytes;
}

Chosen head_within(const Bundle& head, std::uint64_t limit) {
  const allocate::Group group = knapsack(head.choices);
  return solved({&group, 1}, limit);
}

/// The blocks within their limit, then the head in what is left. What the user has decided about the head is not
/// counted; a head that the rest leaves no room for makes the blocks smaller.
Chosen blocks_first(std::span<const allocate::Group> blocks, const Bundle& head, ByteLimit limit) {
  const std::uint64_t least = head.choices[smallest_of(head)].bytes;
  Chosen chosen = solved(blocks, limit.blocks);
  if (chosen.bytes + least > limit.all && !head.decided) chosen = solved(blocks, limit.all - least);
  chosen.add(head_within(head, std::max(least, limit.all - std::min(limit.all, chosen.bytes))));
  return chosen;
}

/// The head's choice and the blocks' that together cost least. What the user has decided about the head is not counted.
Chosen weighed_together(std::span<const allocate::Group> blocks, const Bundle& head, ByteLimit limit) {
  const std::uint64_t least = allocate::smallest(blocks);
  Chosen best;
  double bound = std::numeric_limits<double>::infinity();
  for (std::size_t i = 0; i < head.choices.size(); ++i) {
    const Choice& choice = head.choices[i];
    const bool owed = head.decided && i == smallest_of(head);
    if (!owed && least + choice.bytes > limit.all) continue;
    Chosen chosen = solved(blocks, owed ? limit.blocks : std::min(limit.blocks, limit.all - choice.bytes));
    chosen.add({{i}, choice.bytes, choice.cost, choice.cost});
    bound = std::min(bound, chosen.lower_bound);
    if (best.choice.empty() || chosen.cost < best.cost) best = std::move(chosen);
  }
  best.lower_bound = bound;
  return best;
}

bool looks_up(const model::Architecture& a, const Bundle& bundle) {
  return a.linears[a.groups[bundle.groups.front()].linears.front()].role == model::Role::embed;
}

Assignment wanted_of(const Problem& problem, const Bundles& bundles, std::span<const std::size_t> choice) {
  Assignment wanted = all_kept(problem.architecture());
  for (std::size_t i = 0; i < bundles.size(); ++i)
    for (const std::size_t g : bundles[i]->groups) wanted[g] = bundles[i]->choices[choice[i]].codec;
  return wanted;
}

Made planned(const Problem& problem, ByteLimit limit, HeadShare share) {
  // apart: what has a memory and a knapsack of its own; beside: what nobody counts; large: an embedding of a runtime
  // that fuses, whose two or three sizes are further apart than a knapsack's repair can mend
  Bundles bundles, heads, apart, beside, large;
  const model::Architecture& a = problem.architecture();
  for (const Bundle& bundle : problem.bundles()) {
    if (!problem.counts(bundle.groups.front())) {
      beside.push_back(&bundle);
      continue;
    }
    if (problem.target().fuses() && !bundle.decided && looks_up(a, bundle)) {
      large.push_back(&bundle);
      continue;
    }
    const bool in_main = limit.main != kNoLimit && in_main_memory(a, a.groups[bundle.groups.front()]);
    (in_main ? apart : bundle.in_block || limit.counts() == Count::all ? bundles : heads).push_back(&bundle);
  }
  const std::vector<allocate::Group> blocks = knapsack_of(bundles);
  check_within(problem, limit, smallest_choices(problem));
  Chosen chosen;
  if (!large.empty()) {
    chosen = weighed_together(blocks, *large[0], limit);
  } else if (!problem.target().fuses() || heads.empty()) {
    chosen = solved(blocks, limit.blocks);
    // --bits does not count them: they get what the last byte of the blocks is worth.
    const double worth = heads.empty() ? 0.0 : price(allocate::pareto(blocks), limit.blocks);
    for (const Bundle* head : heads) chosen.add(head_within(*head, bytes_at_price(*head, worth)));
  } else {
    STRATA_CHECK(heads.size() == 1, "{} groups outside of the blocks", heads.size());
    chosen = share == HeadShare::leftover ? blocks_first(blocks, *heads[0], limit)
                                          : weighed_together(blocks, *heads[0], limit);
  }
  bundles.insert(bundles.end(), large.begin(), large.end());
  bundles.insert(bundles.end(), heads.begin(), heads.end());
  for (const Bundle* bundle : beside) chosen.add(head_within(*bundle, kNoLimit));
  bundles.insert(bundles.end(), beside.begin(), beside.end());
  if (!apart.empty()) chosen.add(solved(knapsack_of(apart), limit.main));
  bundles.insert(bundles.end(), apart.begin(), apart.end());
  Made made = filled(problem, wanted_of(problem, bundles, chosen.choice));
  made.plan.lower_bound = chosen.lower_bound;
  made.plan.cost_signal = problem.costs().signal;
  return made;
}

}  // namespace

Assignment smallest_choices(const Problem& problem) {
  Assignment result = all_kept(problem.architecture());
  for (const Bundle& bundle : problem.bundles())
    for (const std::size_t g : bundle.groups) result[g] = bundle.choices[smallest_of(bundle)].codec;
  return problem.given(result);
}

Made make_best(const Problem& problem, ByteLimit limit) {
  check_linear_costs(problem);
  return planned(problem, limit, HeadShare::leftover);
}

Made make_prior(const Problem& problem, ByteLimit limit) {
  const importance::Prior prior = prior_of(problem.request());
  return planned(problem.with(prior_costs(prior, problem.model())), limit, HeadShare::weighed);
}

}  // namespace strata::pipeline
