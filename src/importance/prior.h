// prior: what the literature says about which linears lose by losing bits, as a table of rules. Needs no calibration;
// the baseline that a measured signal has to beat.
#pragma once
#include <span>
#include <string>
#include <vector>

#include "core/json.h"
#include "model/architecture.h"

namespace strata::importance {

/// Multiplies the importance of the linears that it matches.
struct PriorRule {
  std::string match;  ///< regular expression, searched in module names
  /// Blocks that it is for: [first, last], as shares of the depth; all by default. lm_head is of no block, and matches
  /// only a rule for all blocks.
  double first = 0.0, last = 1.0;
  double factor = 1.0;  ///< > 0
  std::string source;   ///< where it comes from
};

/// The rules of docs/signals.md.
std::span<const PriorRule> prior_rules();

/// By fusion group: the largest product of factors among its linears. Throws Error for a malformed expression.
std::vector<double> prior(const model::Architecture& architecture, std::span<const PriorRule> rules);

/// {"rules": [{"match": "down_proj$", "blocks": [0, 0.1], "factor": 2, "source": "..."}]}; `blocks` and `source` may be
/// absent. Reading throws Error naming `where` and the rule.
json to_json(std::span<const PriorRule> rules);
std::vector<PriorRule> prior_rules_from_json(const json& value, const std::string& where);

}  // namespace strata::importance
