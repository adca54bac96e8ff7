// The part of the main job that ranks share. The first rank does the job as a process alone does it, keeps its folder,
// and asks the others to take part in the steps that take long; they wait for what it asks (docs/cluster.md).
#pragma once
#include <string_view>

#include "core/json.h"
#include "core/ranks.h"
#include "importance/linear_inputs.h"
#include "pipeline/job/request.h"
#include "pipeline/output/output.h"

namespace strata::pipeline {

/// The work of scaling channels: the others' model is the smoothed one from then on.
inline constexpr std::string_view kSmooth = "smooth";

/// The first rank's: has the others take part in the work of this name, which is a row of the table in shared_work.cpp.
/// Both sides make the same calls from then on.
void ask_for_help(std::string_view work, json details = json::object());
/// The other ranks': they take part in all that the first one asks for, until it dismisses them.
void help_first_rank(const model::Model& model, const QuantizeRequest& request);
/// The first rank's, when the job is done.
void dismiss_helpers();

/// The ranks that share a rounding by a calibrated method: all, but tuning learns from sequences in turn, which the
/// first rank does alone.
Ranks ranks_to_round(const QuantizeRequest& request);

/// Codecs of linears as details, and back.
json names_of(const Codecs& codecs);
Codecs codecs_named(const json& names);

/// Mean squares of inputs by all ranks, with the first one's set. file: the first one's. All call it.
importance::InputMeanSquare inputs_by_all(engine::Engine& engine, importance::CalibrationSet set,
                                          const std::filesystem::path& file = {});

// What the others do: beside the step of its name, or in help_prepare.cpp.
void help_to_round(const model::Model& model, const QuantizeRequest& request, const json& details);
void help_to_score(const model::Model& model, const QuantizeRequest& request, const json& details);
void help_to_measure_inputs(const model::Model& model, const QuantizeRequest& request, const json& details);
void help_to_measure_plans(const model::Model& model, const QuantizeRequest& request, const json& details);
void help_to_encode(const model::Model& model, const QuantizeRequest& request, const json& details);
void help_to_verify(const model::Model& model, const QuantizeRequest& request, const json& details);

}  // namespace strata::pipeline
