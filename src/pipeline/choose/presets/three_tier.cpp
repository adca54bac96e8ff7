// Preset three-tier: blocks at bf16, FP8 or NVFP4 in order of a signal, the first and the last block kept. For hardware
// with FP8 and FP4 products.
#include "pipeline/choose/presets/block_levels.h"
#include "pipeline/choose/presets/makers.h"
#include "pipeline/choose/refusal.h"

namespace strata::pipeline {
namespace {

LevelCodecs codecs_of(const Problem& problem) {
  return {&codec::by_name("keep"), &problem.usable("fp8_channel"), &problem.usable("nvfp4")};
}

}  // namespace

Assignment smallest_three_tier(const Problem& problem) {
  const std::size_t blocks = problem.architecture().blocks;
  const LevelCodecs codecs = codecs_of(problem);
  allocate::Levels levels(blocks, codecs.size() - 1);
  levels.front() = levels.back() = 0;
  return problem.given(by_levels(problem, levels, codecs));
}

Made make_three_tier(const Problem& problem, ByteLimit limit) {
  const model::Architecture& a = problem.architecture();
  const Assignment least = smallest_three_tier(problem);
  if (bytes_of(least, a, Count::blocks) > limit.blocks) refuse(problem, limit, least);
  const LevelCodecs codecs = codecs_of(problem);
  const std::vector<std::size_t> ends = {0, a.blocks - 1};
  const allocate::Levels levels = allocate::tiers(allocate::by_importance(block_importance(problem)),
                                                  level_bytes(problem, codecs), limit.blocks, ends);
  Made made = filled(problem, by_levels(problem, levels, codecs));
  made.plan.cost_signal = problem.request().signal;
  return made;
}

}  // namespace strata::pipeline
