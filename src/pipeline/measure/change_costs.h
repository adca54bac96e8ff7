// What changing one group's codec costs, within the plan at hand: measured where it was measured, else the estimate of
// the scores, put right by the measurements of like changes.
#pragma once
#include <map>
#include <utility>
#include <vector>

#include "pipeline/choose/choices.h"

namespace strata::pipeline {

class ChangeCosts {
 public:
  using Assignment = std::vector<const codec::Codec*>;

  /// options: by group, with the estimated costs; plan: the one at hand, among the options.
  ChangeCosts(std::vector<std::vector<Option>> options, Assignment plan);

  const std::vector<std::vector<Option>>& options() const { return options_; }
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
  /// Costs for the planner. `free`: by group, whether it may change; only_measured: and only to what was measured.
  Costs costs(const model::Architecture& architecture, const std::vector<bool>& free, bool only_measured) const;

 private:
  using Pair = std::pair<const codec::Codec*, const codec::Codec*>;
  struct Sums {
    double measured = 0.0, estimated = 0.0;
  };
  double estimate(std::size_t group, const codec::Codec& codec) const;
  double corrected(std::size_t group, const codec::Codec& codec) const;
  void correct();

  std::vector<std::vector<Option>> options_;
  std::vector<std::map<const codec::Codec*, double>> estimated_;  ///< by group: the scores' costs
  std::vector<std::map<const codec::Codec*, double>> known_;      ///< by group: measured, up to a constant
  struct Sample {
    std::size_t group;
    const codec::Codec *from, *to;
    double change;
  };
  std::vector<Sample> samples_;
  double overall_ = 1.0;            ///< measured / estimated, of all samples
  std::map<Pair, double> of_pair_;  ///< of samples from one codec to another, beside overall_
  std::vector<double> of_group_;    ///< of the group's samples, beside both
  Assignment plan_;
};

}  // namespace strata::pipeline
