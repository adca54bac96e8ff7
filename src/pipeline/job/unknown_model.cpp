// Options that cannot be met are refused; only what the user may have left open is decided here.
#include "pipeline/job/unknown_model.h"

#include "importance/weight_scores.h"
#include "model/unknown.h"
#include "pipeline/choose/presets.h"
#include "pipeline/job/methods.h"

namespace strata::pipeline {
namespace {

/// The option of the request that takes a forward pass; empty when none does.
std::string needs_a_run(const QuantizeRequest& request) {
  if (method_of(request).calibrated) return fmt::format("--method {}", method_of(request).name);
  if (std::holds_alternative<KlBudget>(request.plan.budget)) return text_of(request.plan.budget);
  if (request.search.wanted()) return "--search";
  if (!request.imatrix.empty()) return "--imatrix";
  if (!request.calibration.texts.empty()) return "--calib";
  return {};
}

/// Leaves the plan no choice that takes a measurement. Returns what was put in the place of the user's, as a sentence's
/// beginning.
std::string settle_preset(PlanRequest& plan, bool scored, const std::string& where, const std::string& why) {
  const Needs needs = preset_named(plan.preset).needs;
  if (needs == Needs::linear_costs) {
    plan.preset = "prior";
    return "the preset is prior, which goes by rules of the literature; ";
  }
  if (needs != Needs::block_signals || scored || importance::signal_by_name(plan.signal).of_block != nullptr) return {};
  if (plan.signal != PlanRequest().signal)
    fail("{}: --signal {}: {}; signals of weights alone are {}", where, plan.signal, why, importance::weight_signals());
  plan.signal = "zd";
  return "blocks are ordered by the signal zd, which reads weights alone; ";
}

}  // namespace

void check_input_scale(const codec::Codec& codec, const model::Architecture& a) {
  if (codec.has_input_scale() && !a.why_not_runnable.empty())
    fail(
        "{}: the scale of what linears read is measured, and a {} model cannot be run here; codecs without such a "
        "scale "
        "are mxfp4_a4, mxfp8_a8 and those that round weights alone",
        codec.name, a.model_type);
}

QuantizeRequest fitted_to(const model::Model& model, QuantizeRequest request, Listener& listener) {
  request.calibration.fit(model.architecture());
  const std::string& why = model.architecture().why_not_runnable;
  if (why.empty()) return request;
  const std::string where = model.path().string();
  if (target_of(request).container == codec::Container::gguf) model::check_gguf_names(model.architecture(), where);
  if (const std::string option = needs_a_run(request); !option.empty()) fail("{}: {}: {}", where, option, why);
  for (const std::string& name : request.plan.codecs)
    if (const codec::Codec* codec = codec::find(name)) check_input_scale(*codec, model.architecture());
  if (const auto at = request.plan.preset.find(':'); at != std::string::npos)
    if (const codec::Codec* codec = codec::find(request.plan.preset.substr(at + 1)))
      check_input_scale(*codec, model.architecture());
  std::string settled;
  if (request.plan_file.empty()) settled = settle_preset(request.plan, !request.scores_file.empty(), where, why);
  request.verify = false;
  listener.on_remark(fmt::format("model_type '{}' is not known here: {}nothing was run, and so nothing was measured",
                                 model.architecture().model_type, settled));
  return request;
}

}  // namespace strata::pipeline
