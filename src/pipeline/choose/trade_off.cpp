// The choices of every group, handed to allocate::pareto; and each codec alone.
// A group is priced as the planner prices it: the sum over its linears.
#include "pipeline/choose/trade_off.h"

#include <algorithm>
#include <cmath>

#include "allocate/allocate.h"
#include "allocate/orders.h"

namespace strata::pipeline {

using codec::Codec;

TradeOff trade_off(const Problem& problem, std::size_t points) {
  const model::Architecture& a = problem.architecture();
  TradeOff result;
  result.cost_signal = problem.costs().signal;
  if (problem.costs().linears.size() != a.linears.size() || points < 2) return result;
  const Codec& keep = codec::by_name("keep");
  const auto at = [&](std::uint64_t bytes, double cost) {
    return TradeOff::Point{bytes, allocate::true_bits(bytes, a.block_linear_weights()), cost};
  };
  std::vector<std::size_t> in_blocks;
  std::vector<allocate::Group> groups;
  for (std::size_t g = 0; g < a.groups.size(); ++g) {
    if (a.groups[g].block == model::kNoBlock) continue;
    in_blocks.push_back(g);
    groups.push_back(knapsack(problem.choices(g)));
  }
  const allocate::Curve curve = allocate::pareto(groups);
  const std::size_t last = curve.points.size() - 1, count = std::min(points, curve.points.size());
  for (std::size_t i = 0; i < count; ++i) {
    const allocate::Curve::Point& point = curve.points[count < 2 ? last : i * last / (count - 1)];
    result.curve.push_back(at(point.bytes, point.cost));
  }
  for (const Codec* codec : problem.allowed().codecs) {
    if (!codec->has_codes()) continue;
    allocate::Choice sum;
    std::size_t held = 0;
    for (const std::size_t g : in_blocks) {
      const double cost = problem.cost(g, *codec);
      const bool holds = problem.fits(g, *codec) && std::isfinite(cost);
      held += holds;
      sum.bytes += problem.bytes(g, holds ? *codec : keep);
      sum.cost += holds ? cost : 0.0;
    }
    if (2 * held > in_blocks.size()) result.uniform.push_back({codec, at(sum.bytes, sum.cost)});
  }
  std::ranges::stable_sort(result.uniform, {}, [](const TradeOff::Uniform& u) { return u.point.bytes; });
  return result;
}

}  // namespace strata::pipeline
