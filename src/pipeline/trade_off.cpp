// The choices of every group, handed to allocate::pareto; and each codec alone.
// A group is priced as the planner prices it: the sum over its linears.
#include "pipeline/trade_off.h"

#include <algorithm>
#include <optional>

#include "allocate/allocate.h"
#include "allocate/orders.h"
#include "pipeline/pins.h"

namespace strata::pipeline {
namespace {

using codec::Codec;

std::uint64_t bytes_of(const model::Architecture& a, std::size_t group, const Codec& codec) {
  std::uint64_t bytes = 0;
  for (const std::size_t l : a.groups[group].linears)
    bytes += codec::stored_bytes(codec, a.linears[l].rows, a.linears[l].cols);
  return bytes;
}

/// Nothing when the codec cannot hold the group, or was not scored for it.
std::optional<allocate::Choice> choice(const model::Architecture& a, std::size_t group, const Codec& codec,
                                       const Costs& costs) {
  allocate::Choice result;
  for (const std::size_t l : a.groups[group].linears) {
    if (!why_not_shape(codec, a.linears[l].rows, a.linears[l].cols).empty()) return std::nullopt;
    const auto it = costs.linears[l].find(&codec);
    if (it == costs.linears[l].end()) return std::nullopt;
    result.cost += it->second;
  }
  result.bytes = bytes_of(a, group, codec);
  return result;
}

}  // namespace

TradeOff trade_off(const model::Architecture& a, const Target& target, const PlanRequest& request, const Costs& costs,
                   std::size_t points) {
  TradeOff result;
  result.cost_signal = costs.signal;
  if (costs.linears.size() != a.linears.size() || points < 2) return result;
  const std::vector<const Codec*> pins = pinned_codecs(a, target, request);
  const std::vector<const Codec*> codecs = allowed_codecs(target, request.codecs).codecs;
  const Codec& keep = codec::by_name("keep");
  const auto at = [&](std::uint64_t bytes, double cost) {
    return TradeOff::Point{bytes, allocate::true_bits(bytes, a.block_linear_weights()), cost};
  };
  std::vector<std::size_t> in_blocks;
  for (std::size_t g = 0; g < a.groups.size(); ++g)
    if (a.groups[g].block != model::kNoBlock) in_blocks.push_back(g);
  std::vector<allocate::Group> groups;
  for (const std::size_t g : in_blocks) {
    allocate::Group& choices = groups.emplace_back();
    if (pins[g] == nullptr)
      for (const Codec* codec : codecs)
        if (const auto found = choice(a, g, *codec, costs)) choices.push_back(*found);
    if (choices.empty()) choices.push_back({bytes_of(a, g, pins[g] != nullptr ? *pins[g] : keep), 0.0});
  }
  const allocate::Curve curve = allocate::pareto(groups);
  const std::size_t last = curve.points.size() - 1, count = std::min(points, curve.points.size());
  for (std::size_t i = 0; i < count; ++i) {
    const allocate::Curve::Point& point = curve.points[count < 2 ? last : i * last / (count - 1)];
    result.curve.push_back(at(point.bytes, point.cost));
  }
  for (const Codec* codec : codecs) {
    if (!codec->has_codes()) continue;
    allocate::Choice sum;
    std::size_t held = 0;
    for (const std::size_t g : in_blocks) {
      const auto found = choice(a, g, *codec, costs);
      held += found.has_value();
      sum.bytes += found ? found->bytes : bytes_of(a, g, keep);
      sum.cost += found ? found->cost : 0.0;
    }
    if (2 * held > in_blocks.size()) result.uniform.push_back({codec, at(sum.bytes, sum.cost)});
  }
  std::ranges::stable_sort(result.uniform, {}, [](const TradeOff::Uniform& u) { return u.point.bytes; });
  return result;
}

}  // namespace strata::pipeline
