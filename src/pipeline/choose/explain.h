// Why each group has its codec: the next better and the next worse choice, and what either would change.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "pipeline/choose/choices.h"
#include "pipeline/plan/plan.h"

namespace strata::pipeline {

/// Another choice of a group, beside the one it has.
struct Neighbour {
  const codec::Codec* codec;
  std::int64_t bytes;  ///< more (or fewer) than now
  double cost;         ///< more (or less) than now
  /// Cost per byte of the change: what it saves for a byte (better), or costs (worse). > 0.
  double rate() const { return -cost / static_cast<double>(bytes); }
};

struct Explanation {
  std::string group;
  const codec::Codec* codec;
  std::uint64_t bytes;
  double cost;
  std::optional<Neighbour> better;  ///< saves most cost for a byte more
  std::optional<Neighbour> worse;   ///< costs least for a byte less
  bool pinned;
};

/// By group. `request` and `costs` are those that the plan was made with.
std::vector<Explanation> explain(const Plan& plan, const Choices& choices);

json to_json(const std::vector<Explanation>& explanations);

}  // namespace strata::pipeline
