// What the stages before the writing have found, kept in the job's folder: calibration sets, scores, the inputs' mean
// squares and the plan, so that a job that was killed does not find them anew.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/job_folder.h"
#include "importance/scores.h"
#include "pipeline/choose/planner.h"

namespace strata::pipeline {

/// Without a job nothing is kept and nothing found.
class Stages {
 public:
  Stages(const model::Model& model, JobFolder* job) : model_(model), job_(job) {}

  /// Path of a stage's file; empty without a job.
  std::filesystem::path file(const std::string& name) const;

  /// The kept set of this name, or the one that `make` gives, kept.
  importance::CalibrationSet calibration(const std::string& name,
                                         const std::function<importance::CalibrationSet()>& make) const;
  std::optional<importance::Scores> scores() const;
  void keep_scores(const importance::Scores& scores) const;
  /// By linear; empty when none are kept.
  std::vector<std::vector<float>> inputs() const;
  void keep_inputs(const std::vector<std::vector<float>>& inputs) const;
  /// False when none is kept.
  bool plan(PlanResult& result) const;
  void keep_plan(const PlanResult& result) const;

 private:
  bool has(const std::string& name) const { return job_ != nullptr && job_->has(name); }
  void note(const std::string& stage) const;

  const model::Model& model_;
  JobFolder* job_;
};

}  // namespace strata::pipeline
