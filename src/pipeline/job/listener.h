// Who is told what a job does while it does it: a command line, a Python module, a test.
// Every function may be left as it is; none is called from two threads at once.
#pragma once
#include <filesystem>
#include <string>

#include "eval/evaluate.h"
#include "importance/calibration.h"
#include "pipeline/round/rounding.h"

namespace strata::pipeline {

struct Forecast;
struct Prepared;
struct Written;

class Listener {
 public:
  Listener() = default;
  virtual ~Listener() = default;
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  /// The job was begun by an earlier run, whose work is in this folder.
  virtual void on_resume(const std::filesystem::path&) {}
  /// The text that scores are made on and inputs are weighed by.
  virtual void on_calibration(const model::Model&, const importance::CalibrationSet&) {}
  /// A sentence that a person should read, such as what a stage that begins will take.
  virtual void on_remark(const std::string&) {}
  /// What will be written and what that takes; of a dry run it is all that is told.
  virtual void on_plan(const model::Model&, const Prepared&, const Forecast&) {}
  /// A calibrated method has chosen the codes of a linear.
  virtual void on_linear(const RoundedLinear&) {}
  virtual void on_written(const Written&) {}
  virtual void on_verified(const eval::Evaluation&) {}
};

}  // namespace strata::pipeline
