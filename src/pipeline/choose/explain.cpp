// Neighbours on each group's trade-off, seen from the plan's choice.
// A choice of no more bytes and no more cost would be better in both; a plan of the knapsack leaves none.
#include "pipeline/choose/explain.h"

namespace strata::pipeline {
namespace {

json to_json(const std::optional<Neighbour>& neighbour) {
  if (!neighbour) return nullptr;
  return {{"codec", neighbour->codec->name}, {"bytes", neighbour->bytes}, {"cost", neighbour->cost}};
}

}  // namespace

std::vector<Explanation> explain(const Plan& plan, const Problem& problem) {
  std::vector<Explanation> result;
  for (std::size_t g = 0; g < plan.groups.size(); ++g) {
    const PlannedGroup& group = plan.groups[g];
    if (group.left_dense && !problem.counts(g)) continue;
    Explanation e{group.name, group.codec, group.bytes, group.cost, {}, {}, problem.pinned(g) != nullptr};
    for (const Choice& choice : problem.choices(g)) {
      const Neighbour n{choice.codec, static_cast<std::int64_t>(choice.bytes) - static_cast<std::int64_t>(group.bytes),
                        choice.cost - group.cost};
      if (n.bytes > 0 && n.cost < 0 && (!e.better || n.rate() > e.better->rate())) e.better = n;
      if (n.bytes < 0 && n.cost > 0 && (!e.worse || n.rate() < e.worse->rate())) e.worse = n;
    }
    result.push_back(e);
  }
  return result;
}

json to_json(const std::vector<Explanation>& explanations) {
  json list = json::array();
  for (const Explanation& e : explanations)
    list.push_back({{"group", e.group},
                    {"codec", e.codec->name},
                    {"pinned", e.pinned},
                    {"bytes", e.bytes},
                    {"cost", e.cost},
                    {"better", to_json(e.better)},
                    {"worse", to_json(e.worse)}});
  return list;
}

}  // namespace strata::pipeline
