// From levels of blocks to codecs of groups, and the bytes of both.
#include "pipeline/choose/presets/block_levels.h"

namespace strata::pipeline {

std::vector<double> block_importance(const Problem& problem) {
  const std::string& signal = problem.request().signal;
  const auto it = problem.costs().blocks.find(signal);
  if (it == problem.costs().blocks.end())
    fail("the scores hold no signal '{}' per block; score with --signals {}", signal, signal);
  return it->second;
}

Assignment by_levels(const Problem& problem, const allocate::Levels& levels, const LevelCodecs& codecs) {
  Assignment wanted;
  for (const model::FusionGroup& group : problem.architecture().groups)
    wanted.push_back(group.block == model::kNoBlock ? &outside_blocks(problem) : codecs[levels[group.block]]);
  return wanted;
}

allocate::LevelBytes level_bytes(const Problem& problem, const LevelCodecs& codecs) {
  const model::Architecture& a = problem.architecture();
  allocate::LevelBytes result(a.blocks, std::vector<std::uint64_t>(codecs.size(), 0));
  for (std::size_t g = 0; g < a.groups.size(); ++g) {
    if (a.groups[g].block == model::kNoBlock) continue;
    for (std::size_t level = 0; level < codecs.size(); ++level)
      result[a.groups[g].block][level] += problem.bytes(g, problem.given(g, *codecs[level]));
  }
  return result;
}

}  // namespace strata::pipeline
