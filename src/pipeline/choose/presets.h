// The presets, each turning a budget in bytes into a plan.
// Every preset respects pins and falls back to `keep`, with a note, where its codec cannot hold a shape.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "allocate/orders.h"
#include "model/model.h"
#include "pipeline/choose/choices.h"
#include "pipeline/plan/plan.h"

namespace strata::pipeline {

/// Throws Error, opening with `where`, when experts have a codec that the target cannot load in experts, or several
/// where it loads one for all.
void check_experts(const Plan& plan, const model::Architecture& architecture, const Target& target,
                   const std::string& where);

class Presets {
 public:
  /// The arguments must outlive this.
  Presets(const model::Model& model, const Target& target, const PlanRequest& request, const Costs& costs);

  /// Throws Error for a budget that cannot be met, UsageError for a preset that is not known or lacks what it needs.
  Plan make(Budget budget);
  /// What the last make() could not do as asked.
  const std::vector<std::string>& notes() const { return notes_; }
  const AllowedCodecs& allowed() const { return choices_.allowed(); }
  const Choices& choices() const { return choices_; }

 private:
  Plan by_preset(Budget budget);
  Plan uniform(const codec::Codec& codec);
  Plan lwq(Budget budget);
  Plan lwq_levels(Budget budget);
  Plan three_tier(Budget budget);
  Plan best(Budget budget);

  using Codecs = std::vector<const codec::Codec*>;
  Plan by_levels(const allocate::Levels& levels, const Codecs& codecs);
  /// Bytes of every block under every codec, pins counted.
  allocate::LevelBytes level_bytes(const Codecs& codecs) const;
  /// By block, higher = more important; throws Error when the costs do not hold the request's signal.
  std::vector<double> importance() const;
  /// The codec of lm_head, or of the embedding of a GGUF file, in presets that have no costs.
  const codec::Codec& outside_blocks() const;
  /// Throws Error when the plan is over the budget.
  void check(const Plan& plan, Budget budget) const;
  void give(Plan& plan, std::size_t group, const codec::Codec& wanted);

  const model::Model& model_;
  const model::Architecture& a_;
  const Target& target_;
  const PlanRequest& request_;
  Costs prior_costs_;  ///< preset prior's own
  const Costs& costs_;
  Choices choices_;
  std::vector<std::string> notes_;
  std::map<std::string, std::size_t> replaced_;  ///< why a group has smaller blocks than asked for -> groups
};

}  // namespace strata::pipeline
