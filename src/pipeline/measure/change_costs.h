// What changing one group's codec costs, within the plan at hand: measured where it was measured, else the estimate of
// the scores, corrected by the measurements of like changes.
#pragma once
#include <map>
#include <utility>
#include <vector>

#include "pipeline/choose/problem.h"

namespace strata::pipeline {

class ChangeCosts {
 public:
  /// choices: by group, with the estimated costs; plan: the one at hand, among the choices.
  ChangeCosts(std::vector<std::vector<Choice>> choices, Assignment plan);

  const std::vector<std::vector<Choice>>& choices() const { return choices_; }
  const Assignment& plan() const { return plan_; }
  /// Another plan is at hand from now on; what was measured stays.
  void move_to(const Assignment& plan);

  /// Changing only the group to `codec` was measured to change the plan's KL divergence by this.
  void measured(std::size_t group, const codec::Codec& codec, double change);
  bool is_measured(std::size_t group, const codec::Codec& codec) const;

  /// Expected change of the plan's KL divergence, in nats; 0 for the codec it has.
  double change(std::size_t group, const codec::Codec& codec) const;
  /// How far the truth is expected from change(): a share of the change where it is an estimate.
  double deviation(std::size_t group, const codec::Codec& codec) const;
  /// The choices with the cost of changing to each, above the least of the group, so that none is negative.
  std::vector<std::vector<Choice>> priced() const;
  /// Costs for the planner. Groups that are not `free` keep their codec; others may change to every codec, or only to
  /// those that were measured.
  enum class To { every, measured };
  Costs costs(const model::Architecture& architecture, const std::vector<bool>& free, To to) const;

 private:
  using Pair = std::pair<const codec::Codec*, const codec::Codec*>;
  struct Sums {
    double measured = 0.0, estimated = 0.0;
  };
  double estimate(std::size_t group, const codec::Codec& codec) const;
  double corrected(std::size_t group, const codec::Codec& codec) const;
  void correct();

  std::vector<std::vector<Choice>> choices_;
  std::vector<std::map<const codec::Codec*, double>> estimated_;  ///< by group, from the scores
  std::vector<std::map<const codec::Codec*, double>> known_;      ///< by group, measured, up to a constant of the group
  struct Sample {
    std::size_t group;
    const codec::Codec *from, *to;
    double change;
  };
  std::vector<Sample> samples_;
  double overall_ = 1.0;            ///< measured / estimated, over all samples
  std::map<Pair, double> of_pair_;  ///< the same ratio over changes from one codec to another, beside overall_
  std::vector<double> of_group_;    ///< the same ratio over a group's changes, beside both
  Assignment plan_;
};

}  // namespace strata::pipeline
