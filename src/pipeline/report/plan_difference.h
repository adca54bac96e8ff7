// What sets two plans of one model apart: the groups whose codecs differ, with the bytes and the estimated cost that
// the second has more than the first.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/json.h"
#include "pipeline/plan/plan.h"

namespace strata::pipeline {

struct GroupDifference {
  std::string group;
  const codec::Codec *first, *second;  ///< never the same
  std::int64_t bytes;                  ///< bytes of the second minus those of the first
  std::optional<double> cost;          ///< cost of the second minus that of the first; as PlanDifference::cost
};

struct PlanDifference {
  std::size_t groups = 0;               ///< of either plan
  std::vector<GroupDifference> differ;  ///< in the model's order
  std::int64_t bytes = 0;               ///< of all groups
  double bits = 0.0;                    ///< of the linears of the blocks
  /// Absent unless both plans' costs are in the same unit, and that is known.
  std::optional<double> cost;
  std::string cost_signal;  ///< the unit of the costs; "" without costs

  json to_json() const;
  /// Rows of cells for a table, the first row a heading: group, codecs, bytes and cost of every group that differs,
  /// and a last row with the sums.
  std::vector<std::vector<std::string>> rows() const;
};

/// Throws Error when the plans are of different models, or group the linears differently (as plans for llama.cpp do
/// beside those for other runtimes).
PlanDifference difference(const Plan& first, const Plan& second);

}  // namespace strata::pipeline
