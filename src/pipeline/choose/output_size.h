// How large the whole output of a plan will be: the one place where planning asks the writers.
#pragma once
#include <cstdint>
#include <memory>

#include "pipeline/choose/problem.h"
#include "pipeline/output/output.h"

namespace strata::pipeline {

/// Sizes of many plans, which share what does not depend on codecs. The problem must outlive this.
class OutputSize {
 public:
  explicit OutputSize(const Problem& problem);
  /// Exact bytes of all files.
  std::uint64_t of(const Assignment& assignment) const;
  std::uint64_t of(const Plan& plan) const { return of(assignment_of(plan)); }
  /// Bytes of what is no linear: it depends on the plan only through a few names in config.json.
  std::uint64_t beside_linears(const Assignment& assignment) const {
    return of(assignment) - bytes_of(assignment, problem_.architecture(), Count::all);
  }

 private:
  const Problem& problem_;
  std::unique_ptr<Output> kept_;  ///< the output of a model that is left as it is
};

}  // namespace strata::pipeline
