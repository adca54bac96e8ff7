// The steps before the writing. Activations are rounded to bf16 where only means over thousands of tokens are wanted;
// scores are computed in f32, since a single group's divergence can be as small as that rounding.
#include "pipeline/job/prepare.h"

#include "importance/imatrix.h"
#include "importance/smooth_channels.h"
#include "importance/weight_scores.h"
#include "pipeline/choose/gradient_costs.h"
#include "pipeline/choose/presets.h"
#include "pipeline/job/methods.h"
#include "pipeline/job/shared_work.h"
#include "pipeline/job/stages.h"
#include "pipeline/measure/confirm.h"
#include "pipeline/measure/max_kl.h"
#include "pipeline/output/cache_plan.h"
#include "pipeline/plan/least_version.h"

namespace strata::pipeline {
namespace {

/// The file of a pass that finds the mean squares of inputs and nothing else.
constexpr const char* kInputs = "inputs.pass";

/// Throws Error for a model that the container cannot hold, such as a tokenizer that GGUF has no form for.
void check_container(const model::Model& model, const QuantizeRequest& request) {
  const model::Architecture& a = model.architecture();
  plan_output(model, codecs_by_linear(all_kept(a), a), target_of(request), request.plan.shard_bytes);
  if (!request.plan.fp8_cache) return;
  if (const std::string why = why_no_fp8_cache(target_of(request), a); !why.empty()) fail("--kv fp8: {}", why);
}

/// What has to be found out, given what is known.
struct Findings {
  bool scores = false;    ///< none were given, and the preset spends bytes by them
  bool inputs = false;    ///< the mean squares that scales are searched by
  bool search = false;    ///< plans are measured, and changed where that is better
  bool under_kl = false;  ///< plans are measured until one is under the divergence
  bool measures() const { return search || under_kl; }
  bool text() const { return scores || inputs || measures(); }
};

class Preparation {
 public:
  Preparation(const model::Model& model, const QuantizeRequest& request, JobFolder* folder, Listener& listener)
      : original_(model),
        request_(request),
        target_(target_of(request)),
        plan_request_(request.plan),
        stages_(model, folder),
        writes_(folder != nullptr),
        search_(search_of(request.search, model.architecture())),
        listener_(listener) {
    plan_request_.method = std::string(method_of(request).name);
    // A job that reads no text is not made to.
    const bool reads_text = request.scale_fit == codec::ScaleFit::search || method_of(request).calibrated;
    if (!reads_text && !plan_request_.smoothing && request.scores_file.empty()) plan_request_.smoothing = 0.0;
  }

  Prepared run() {
    find_what_is_known();
    if (needs_.scores || needs_.measures()) foretell_seconds();
    if (smooths_first()) smooth(smoothing_before_plan());
    if (needs_.text() && !prepared_.calibration) calibrate();
    if (needs_.text()) measure_inputs();
    if (!planned_) plan();
    if (!smooths_first()) smooth(prepared_.plan.plan.smoothing);
    scale_importance();
    return std::move(prepared_);
  }

 private:
  void find_what_is_known();
  void check_costs() const;
  /// What is scored, planned and rounded.
  const model::Model& model() const { return prepared_.rounded(original_); }
  /// Whether codecs are measured before the plan is made, or the plan is known: then on the smoothed model. Else the
  /// plan says whether there is one.
  bool smooths_first() const {
    return !request_.plan_file.empty() || preset_named(request_.plan.preset).needs == Needs::linear_costs;
  }
  double smoothing_before_plan() const;
  void smooth(double smoothing);
  void scale_importance();
  bool runnable() const { return model().architecture().why_not_runnable.empty(); }
  Costs costs() const;
  void foretell_seconds();
  void calibrate();
  void measure_inputs();
  importance::InputMeanSquare score(engine::Engine& engine);
  importance::InputMeanSquare input_mean_square(engine::Engine& engine) const;
  /// Those that share the work.
  Ranks ranks() const { return writes_ ? all_ranks() : Ranks(); }
  Ranks ranks_to_measure(const importance::InputMeanSquare& inputs) const;
  /// inputs: read where plans are measured, under --max-kl.
  PlanResult plan_by_costs(const importance::InputMeanSquare* inputs) const;
  void plan();
  PlanResult read_plan() const;

  const model::Model& original_;
  const QuantizeRequest& request_;
  const Target& target_;
  PlanRequest plan_request_;  ///< the request's, with the method that was decided
  Stages stages_;
  bool writes_;  ///< the codes will be chosen, so that the inputs' mean squares are of use
  SearchOptions search_;
  Listener& listener_;
  Prepared prepared_;
  Findings needs_;
  bool planned_ = false;  ///< an earlier run has kept the plan
  std::optional<importance::InputMeanSquare> inputs_;
  model::ChannelExponents exponents_;  ///< of the smoothed model
};

void Preparation::find_what_is_known() {
  const std::string scores_file = request_.scores_file.string();
  prepared_.importance =
      request_.imatrix.empty() ? stages_.inputs() : importance::read_imatrix(request_.imatrix, model());
  prepared_.scores = scores_file.empty()
                         ? stages_.scores()
                         : importance::Scores::from_json(read_json_file(scores_file), model(), scores_file);
  planned_ = stages_.plan(prepared_.plan);
  const bool makes_plan = !planned_ && request_.plan_file.empty();
  if (!planned_ && !makes_plan) prepared_.plan = read_plan();  // refused, if it must be, before anything is kept
  needs_.scores = makes_plan && !prepared_.scores && preset_named(request_.plan.preset).reads_scores();
  // A dry run rounds nothing, so it asks for no text unless the plan needs one.
  needs_.inputs = writes_ && request_.scale_fit == codec::ScaleFit::search && !method_of(request_).calibrated &&
                  prepared_.importance.empty() && runnable();
  if (needs_.scores && !runnable()) {  // by signals of weights alone (fitted_to)
    prepared_.scores =
        importance::score_weights(model(), scores_needed(request_.plan, target_, model().architecture()).signals);
    needs_.scores = false;
  }
  needs_.under_kl = makes_plan && std::holds_alternative<KlBudget>(request_.plan.budget);
  if (makes_plan && prepared_.scores) check_costs();
  needs_.search = makes_plan && runnable() && search_.steps > 0;
}

/// Scores that a preset cannot spend bytes by are refused before anything is measured.
void Preparation::check_costs() const {
  if (preset_named(request_.plan.preset).needs == pipeline::Needs::linear_costs)
    check_linear_costs(Problem(model(), target_, plan_request_, costs()));
}

Costs Preparation::costs() const {
  if (!prepared_.scores) return {};
  return costs_of(*prepared_.scores, model().architecture(), method_of(request_).pricing);
}

void Preparation::foretell_seconds() {
  importance::ScoreRequest needed = scores_needed(request_.plan, target_, model().architecture());
  if (!needs_.scores) needed.signals.clear();
  prepared_.scoring = scoring_seconds(model(), request_, needed);
  const char* const what =
      needs_.scores ? "scoring first, since no --scores are given (`strata score` makes them once for all sizes)"
                    : "measuring plans first";
  listener_.on_remark(fmt::format("{}: about {}", what, prepared_.scoring->describe()));
}

double Preparation::smoothing_before_plan() const {
  if (planned_ || !request_.plan_file.empty()) return prepared_.plan.plan.smoothing;
  if (plan_request_.smoothing) return possible_smoothing(*plan_request_.smoothing, original_);
  if (prepared_.scores) return possible_smoothing(prepared_.scores->smoothing, original_);
  return possible_smoothing(automatic_smoothing(target_, allowed_codecs(target_, request_.plan.codecs).codecs),
                            original_);
}

/// A dry run measures no more than a plan is made by.
void Preparation::smooth(double smoothing) {
  if (smoothing == 0.0 || !(writes_ || needs_.scores || needs_.measures())) return;
  exponents_ = stages_
                   .kept("smoothing.json",
                         [&] {
                           if (!prepared_.calibration) calibrate();
                           engine::Engine engine(original_, kernel::Precision::bf16);
                           return json(importance::smooth_channels(engine, *prepared_.calibration, smoothing));
                         })
                   .get<model::ChannelExponents>();
  prepared_.smoothed = std::make_shared<const model::Model>(original_.smoothed(exponents_));
  if (writes_) ask_for_help(kSmooth, {{"exponents", exponents_}});
}

/// Importances that are of the original's inputs become those of the smoothed model's.
void Preparation::scale_importance() {
  if (!prepared_.smoothed || prepared_.importance.empty() || (smooths_first() && request_.imatrix.empty())) return;
  importance::scale_mean_squares(original_, exponents_, prepared_.importance);
}

void Preparation::calibrate() {
  prepared_.calibration = calibration_text(model(), request_, stages_);
  listener_.on_calibration(model(), *prepared_.calibration);
}

/// Plans are measured in the same precision whether the scores are of this run or an earlier one.
void Preparation::measure_inputs() {
  const bool exact = needs_.scores || needs_.measures();
  engine::Engine engine(model(), exact ? kernel::Precision::f32 : kernel::Precision::bf16);
  inputs_.emplace(needs_.scores ? score(engine) : input_mean_square(engine));
  if (needs_.inputs || (request_.scale_fit == codec::ScaleFit::search && request_.imatrix.empty())) {
    prepared_.importance.clear();
    for (const model::Linear& linear : model().architecture().linears)
      prepared_.importance.push_back(inputs_->of(linear));
    stages_.keep_inputs(prepared_.importance);
  }
  if (needs_.scores) stages_.keep_scores(*prepared_.scores);  // after the inputs: who finds scores finds those too
}

importance::InputMeanSquare Preparation::score(engine::Engine& engine) {
  importance::ScoreRequest needed = scores_needed(request_.plan, target_, model().architecture());
  needed.fit = request_.scale_fit;
  if (smooths_first()) needed.smoothing = smoothing_before_plan();
  needed.measure.journal = stages_.file("scores.journal");
  needed.resumed = [&](std::size_t blocks) {
    listener_.on_remark(fmt::format("{} of {} blocks were scored before", blocks, engine.architecture().blocks));
  };
  std::vector<importance::CalibrationSet> sets = {*prepared_.calibration};
  if (request_.calibration.texts.size() > 1)
    sets = importance::make_calibrations(engine, model::Tokenizer::of(model()), request_.calibration);
  if (writes_) ask_for_help("score", {{"sets", sets.size()}});
  for (importance::CalibrationSet& set : sets)
    if (writes_) importance::share(all_ranks(), set);
  importance::ScoreResult result = [&] {
    std::optional<WorkingTogether> together;
    if (writes_) together.emplace();
    return importance::score(engine, sets, needed, importance::Combine::mean);
  }();
  prepared_.scores = std::move(result.scores);
  // A resumed job that has the scores but no plan measures plans with these.
  if (sets.size() == 1 && needs_.measures())
    importance::keep_input_mean_square(engine, sets.front(), result.inputs, stages_.file(kInputs));
  const auto of_all_texts = [&] {
    return writes_ ? inputs_by_all(engine, *prepared_.calibration, stages_.file(kInputs)) : input_mean_square(engine);
  };
  importance::InputMeanSquare inputs = sets.size() == 1 ? std::move(result.inputs) : of_all_texts();
  // Under --max-kl a plan is found by measuring about ten; the rounds after the first take plans of the size found.
  std::optional<Budget> size;
  const auto next_plan = [&] {
    if (size) return make_plan(Problem(model(), target_, plan_request_, costs()).with(*size)).plan;
    const Plan plan = plan_by_costs(&inputs).plan;
    if (!needs_.under_kl) return plan;
    size = BitsBudget{plan.bits()};
    if (writes_) dismiss_helpers();  // from what they did within this (help_to_score)
    return plan;
  };
  if (has_gradient_costs(*prepared_.scores))
    confirm_costs(engine, sets, inputs, rounded_inputs(target_), stages_.file("confirm.journal"), *prepared_.scores,
                  next_plan, ranks());
  return inputs;
}

importance::InputMeanSquare Preparation::input_mean_square(engine::Engine& engine) const {
  if (!writes_) return importance::input_mean_square(engine, *prepared_.calibration, stages_.file(kInputs));
  ask_for_help("measure inputs", {{"f32", engine.precision() == kernel::Precision::f32}});
  return inputs_by_all(engine, *prepared_.calibration, stages_.file(kInputs));
}

/// The ranks that measure plans, all of which know the text and the inputs then.
Ranks Preparation::ranks_to_measure(const importance::InputMeanSquare& inputs) const {
  if (!ranks().many()) return {};
  ask_for_help("measure plans");
  importance::CalibrationSet set = *prepared_.calibration;
  importance::share(ranks(), set);
  importance::InputMeanSquare shared = inputs;
  importance::share_state(ranks(), shared);
  return ranks();
}

PlanResult Preparation::plan_by_costs(const importance::InputMeanSquare* inputs) const {
  const Problem problem(model(), target_, plan_request_, costs());
  if (!needs_.under_kl) return make_plan(problem);
  const Ranks ranks = PlanMeter::ranks_that_share(*prepared_.calibration, kMaxKlTokens, ranks_to_measure(*inputs));
  engine::Engine exact(model(), kernel::Precision::f32);
  PlanMeter meter(exact, *prepared_.calibration, *inputs, kMaxKlTokens, stages_.file("plans.journal"), "max-kl",
                  rounded_inputs(target_), {ranks});
  PlanResult result = plan_under_kl(problem, meter);
  end_measurements(ranks);
  return result;
}

void Preparation::plan() {
  if (!request_.plan_file.empty()) return;  // it was read
  if (needs_.search && !needs_.under_kl)
    prepared_.plan = search_on_set(Problem(model(), target_, plan_request_, costs()), *prepared_.calibration, *inputs_,
                                   search_, ranks_to_measure(*inputs_));
  else
    prepared_.plan = plan_by_costs(inputs_ ? &*inputs_ : nullptr);
  if (needs_.measures() || prepared_.scores) stages_.keep_plan(prepared_.plan);  // other plans are made in no time
}

PlanResult Preparation::read_plan() const {
  const std::string where = request_.plan_file.string();
  PlanResult result;
  result.plan = Plan::from_json(read_json_file(request_.plan_file), model(), where);
  check_plan(result.plan, model().architecture(), target_, request_.plan.parts, where);
  result.least_version = least_version(target_, result.plan, model().architecture());
  if (result.plan.smoothing != 0.0) result.notes.push_back(describe_smoothing(result.plan.smoothing, model()));
  const auto codecs = codecs_by_linear(result.plan, model().architecture());
  const MeasuredScales scales = planned_scales(request_.plan, model().architecture());
  result.output_bytes = plan_output(model(), codecs, target_, request_.plan.shard_bytes, DType::bf16, scales)->bytes();
  return result;
}

}  // namespace

importance::CalibrationSet calibration_text(const model::Model& model, const QuantizeRequest& request,
                                            const Stages& stages) {
  return stages.calibration("calibration.json", [&] {
    engine::Engine engine(model, kernel::Precision::bf16);
    return importance::make_calibration(engine, model::Tokenizer::of(model), request.calibration);
  });
}

Prepared prepare(const model::Model& model, const QuantizeRequest& request, JobFolder* folder, Listener& listener) {
  check_container(model, request);
  if (request.plan_file.empty()) check_request(model, target_of(request), request.plan);
  return Preparation(model, request, folder, listener).run();
}

}  // namespace strata::pipeline
