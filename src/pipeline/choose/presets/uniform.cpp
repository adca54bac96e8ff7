// Preset uniform:CODEC: one codec for all linears of the blocks. A baseline, and the plan for runtimes without mixed
// precision.
#include "pipeline/choose/presets/makers.h"

namespace strata::pipeline {
namespace {

Assignment wanted(const Problem& problem) {
  const model::Architecture& a = problem.architecture();
  const std::string& preset = problem.request().preset;
  const codec::Codec& codec = problem.usable(preset.substr(preset.find(':') + 1));
  Assignment result;
  for (const model::FusionGroup& group : a.groups)
    result.push_back(group.block != model::kNoBlock ? &codec : &outside_blocks(problem));
  return result;
}

}  // namespace

Assignment smallest_uniform(const Problem& problem) { return problem.given(wanted(problem)); }

Made make_uniform(const Problem& problem, ByteLimit limit) {
  check_within(problem, limit, smallest_uniform(problem));
  return filled(problem, wanted(problem));
}

}  // namespace strata::pipeline
