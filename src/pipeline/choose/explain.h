// Why each group has its codec: the next better and the next worse choice, and what either would change.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "pipeline/choose/problem.h"
#include "pipeline/plan/plan.h"

namespace strata::pipeline {

/// Another choice of a group, beside the one it has.
struct Neighbour {
  const codec::Codec* codec;
  std::int64_t bytes;  ///< more than now; negative for fewer
  double cost;         ///< more than now; negative for less
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

/// The explanation of every group. `problem` is the one that the plan was made for, with the same costs.
std::vector<Explanation> explain(const Plan& plan, const Problem& problem);

json to_json(const std::vector<Explanation>& explanations);

}  // namespace strata::pipeline
