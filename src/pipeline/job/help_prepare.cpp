// What the other ranks do while the first one prepares a job: the same passes over the text, each with its share.
#include <utility>

#include "pipeline/choose/gradient_costs.h"
#include "pipeline/choose/presets.h"
#include "pipeline/job/shared_work.h"
#include "pipeline/measure/confirm.h"
#include "pipeline/measure/max_kl.h"

namespace strata::pipeline {

importance::InputMeanSquare inputs_by_all(engine::Engine& engine, importance::CalibrationSet set,
                                          const std::filesystem::path& file) {
  importance::share(all_ranks(), set);
  const WorkingTogether together;
  return importance::input_mean_square(engine, set, file);
}

void help_to_score(const model::Model& model, const QuantizeRequest& request, const json& details) {
  std::vector<importance::CalibrationSet> sets(get<std::size_t>(details, "sets", "what the first rank sent"));
  for (importance::CalibrationSet& set : sets) importance::share(all_ranks(), set);
  importance::ScoreRequest needed = scores_needed(request.plan, target_of(request), model.architecture());
  needed.fit = request.scale_fit;
  engine::Engine engine(model, kernel::Precision::f32);
  importance::ScoreResult result = [&] {
    const WorkingTogether together;
    return importance::score(engine, sets, needed, importance::Combine::mean);
  }();
  const importance::InputMeanSquare inputs = sets.size() == 1 ? std::move(result.inputs) : inputs_by_all(engine, {});
  if (!has_gradient_costs(result.scores)) return;
  bool measures = std::holds_alternative<KlBudget>(request.plan.budget);  // the first plan of all rounds
  const auto next_plan = [&] {
    if (std::exchange(measures, false)) help_first_rank(model, request);
    return Plan();
  };
  confirm_costs(engine, sets, inputs, needed.measure.rounded_inputs, {}, result.scores, next_plan, all_ranks());
}

void help_to_measure_inputs(const model::Model& model, const QuantizeRequest&, const json& details) {
  const bool exact = get<bool>(details, "f32", "what the first rank sent");
  engine::Engine engine(model, exact ? kernel::Precision::f32 : kernel::Precision::bf16);
  inputs_by_all(engine, {});
}

void help_to_measure_plans(const model::Model& model, const QuantizeRequest& request, const json&) {
  importance::CalibrationSet set;
  importance::share(all_ranks(), set);
  importance::InputMeanSquare inputs(model);
  importance::share_state(all_ranks(), inputs);
  const Target& target = target_of(request);
  if (!std::holds_alternative<KlBudget>(request.plan.budget))
    return help_to_search(model, target, set, inputs, search_of(request.search, model.architecture()).tokens,
                          all_ranks());
  const Ranks ranks = PlanMeter::ranks_that_share(set, kMaxKlTokens, all_ranks());
  if (ranks.rank() >= ranks.size()) return;
  engine::Engine exact(model, kernel::Precision::f32);
  PlanMeter meter(exact, set, inputs, kMaxKlTokens, {}, "", rounded_inputs(target), {ranks});
  PlanMeter* const only = &meter;
  help_to_measure(ranks, {&only, 1});
}

}  // namespace strata::pipeline
