// What verbs that make calibration texts or plans show, and the options that only a command line has.
// The options of the work itself are declared beside the structs that hold them.
#pragma once
#include "cli/verb.h"
#include "importance/calibration.h"
#include "model/tokenizer.h"
#include "pipeline/choose/planner.h"
#include "pipeline/job/listener.h"

namespace strata::cli {

/// --show-calib.
void declare_show_calibration(CommandLine& line, bool& show);
/// The decoded sequences, to stderr.
void show_calibration(const importance::CalibrationSet& set, const model::Tokenizer& tokenizer);

/// Tells a person of a job that has remarks and nothing else to say; with --show-calib also its text.
class Remarks final : public pipeline::Listener {
 public:
  explicit Remarks(bool shows_calibration = false) : shows_calibration_(shows_calibration) {}
  void on_remark(const std::string& text) override { remark("{}\n", text); }
  void on_calibration(const model::Model& model, const importance::CalibrationSet& set) override;

 private:
  bool shows_calibration_;
};

/// The plan for people: totals, codecs by role, notes.
void show_plan(const pipeline::PlanResult& result, const model::Model& model);
/// Codecs that were not considered, and why; those that share a reason are on one line. Nothing when there are none.
void show_left_out(const pipeline::PlanResult& result);

}  // namespace strata::cli
