// What verbs that make calibration texts or plans show, and the options that only a command line has.
// The options of the work itself are declared beside the structs that hold them.
#pragma once
#include "cli/verb.h"
#include "importance/calibration.h"
#include "model/tokenizer.h"
#include "pipeline/choose/planner.h"

namespace strata::cli {

/// --precision of activations in matrix products.
void declare_precision(CommandLine& line, kernel::Precision& precision);
/// --show-calib.
void declare_show_calibration(CommandLine& line, bool& show);
/// The decoded sequences, to stderr.
void show_calibration(const importance::CalibrationSet& set, const model::Tokenizer& tokenizer);

/// The plan for people: totals, codecs by role, notes.
void show_plan(const pipeline::PlanResult& result, const model::Model& model);
/// Codecs that were not considered, and why; those that share a reason are on one line. Nothing when there are none.
void show_left_out(const pipeline::PlanResult& result);

}  // namespace strata::cli
