// The layout of the output is made without writing it.
#include "pipeline/choose/output_size.h"

#include "pipeline/output/checkpoint.h"

namespace strata::pipeline {

std::uint64_t OutputSize::of(const Plan& plan) const {
  return lay_out(problem_.model(), plan, problem_.target(), problem_.request().shard_bytes, companions_).total_bytes;
}

}  // namespace strata::pipeline
