// The layout of the output is made without writing it.
#include "pipeline/choose/output_size.h"

#include "pipeline/output/cache_plan.h"

namespace strata::pipeline {

OutputSize::OutputSize(const Problem& problem)
    : problem_(problem),
      kept_(plan_output(problem.model(), codecs_by_linear(all_kept(problem.architecture()), problem.architecture()),
                        problem.target(), problem.request().shard_bytes, DType::bf16,
                        planned_scales(problem.request(), problem.architecture()))) {}

std::uint64_t OutputSize::of(const Assignment& assignment) const {
  return kept_->with(codecs_by_linear(assignment, problem_.architecture()))->bytes();
}

}  // namespace strata::pipeline
