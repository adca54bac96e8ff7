// How large the whole output of a plan will be: the one place where planning asks the writers.
#pragma once
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "pipeline/choose/problem.h"

namespace strata::pipeline {

/// Reads the files that go with the weights once, since planning asks for many sizes. The problem must outlive this.
class OutputSize {
 public:
  explicit OutputSize(const Problem& problem) : problem_(problem), companions_(problem.model().companion_files()) {}
  /// Exact bytes of all files.
  std::uint64_t of(const Plan& plan) const;
  std::uint64_t of(const Assignment& assignment) const { return of(plan_of(problem_.model(), assignment)); }
  /// Bytes of what is no linear: it depends on the plan only through a few names in config.json.
  std::uint64_t beside_linears(const Assignment& assignment) const {
    return of(assignment) - bytes_of(assignment, problem_.architecture(), Count::all);
  }

 private:
  const Problem& problem_;
  std::vector<std::pair<std::string, std::string>> companions_;
};

}  // namespace strata::pipeline
