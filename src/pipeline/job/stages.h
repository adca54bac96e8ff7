// The results of the stages before writing, kept in the job's folder so that a killed job need not find them again:
// calibration sets, scores, the inputs' mean squares and the plan.
#pragma once
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "core/job_folder.h"
#include "importance/scores.h"
#include "pipeline/choose/planner.h"

namespace strata::pipeline {

/// Without a job it keeps nothing and finds nothing. A kept file that cannot be read is an Error that names it.
class Stages {
 public:
  Stages(const model::Model& model, JobFolder* job) : model_(model), job_(job) {}

  /// Returns the path of a stage's file, which is empty without a job.
  std::filesystem::path file(const std::string& name) const;

  /// Returns the kept set of this name, or else the one that `make` returns, which it keeps.
  importance::CalibrationSet calibration(const std::string& name,
                                         const std::function<importance::CalibrationSet()>& make) const;
  /// Returns the kept JSON of this name, or else what `make` returns, which it keeps.
  json kept(const std::string& name, const std::function<json()>& make) const;
  /// Returns the kept scores, if there are any.
  std::optional<importance::Scores> scores() const;
  void keep_scores(const importance::Scores& scores) const;
  /// Returns the kept mean squares of every linear's inputs, or an empty vector when none are kept.
  std::vector<std::vector<float>> inputs() const;
  void keep_inputs(const std::vector<std::vector<float>>& inputs) const;
  /// Sets `result` to the kept plan. Returns false when none is kept.
  bool plan(PlanResult& result) const;
  void keep_plan(const PlanResult& result) const;

 private:
  bool has(const std::string& name) const { return job_ != nullptr && job_->has(name); }
  void note(const std::string& stage) const;

  const model::Model& model_;
  JobFolder* job_;
};

}  // namespace strata::pipeline
