// Preset lwq: "Layer-Wise Quantization" (arXiv 2406.17415). Blocks in order of a signal, the first N at the high codec
// and the rest at the low one; or any number of codecs, by counts of blocks or by values of the signal.
#include <algorithm>

#include "pipeline/choose/presets/block_levels.h"
#include "pipeline/choose/presets/makers.h"
#include "pipeline/choose/refusal.h"

namespace strata::pipeline {
namespace {

std::vector<Level> levels_of(const PlanRequest& request) {
  return request.levels.empty() ? std::vector<Level>() : parse_levels(request.levels, request.signal);
}

LevelCodecs codecs_of(const Problem& problem) {
  const PlanRequest& request = problem.request();
  if (request.levels.empty()) return {&problem.usable(request.high), &problem.usable(request.low)};
  LevelCodecs codecs;
  for (const Level& level : levels_of(request)) codecs.push_back(&problem.usable(level.codec));
  return codecs;
}

bool by_thresholds(const PlanRequest& request) {
  const std::vector<Level> levels = levels_of(request);
  return !levels.empty() && levels.front().threshold.has_value();
}

/// The budget decides how many blocks are at the high codec.
bool by_budget(const PlanRequest& request) { return request.levels.empty() && !request.n_high; }

/// The number of blocks at every level but the last; nothing when the signal's values or the budget decide.
std::vector<std::size_t> counts_of(const Problem& problem) {
  const PlanRequest& request = problem.request();
  if (request.n_high) {
    const std::size_t blocks = problem.architecture().blocks;
    if (*request.n_high > blocks) fail("--n-high {}: the model has {} blocks", *request.n_high, blocks);
    return {*request.n_high};
  }
  std::vector<std::size_t> counts;
  for (const Level& level : levels_of(request))
    if (level.count) counts.push_back(*level.count);
  if (by_budget(request) && !is_given(request.budget))
    fail_usage("preset lwq: give --n-high N, --levels, or a budget with --bits, --size or --fit");
  return counts;
}

/// The levels of fewest bytes: of every block by itself.
allocate::Levels smallest_levels(const allocate::LevelBytes& bytes) {
  allocate::Levels levels;
  for (const std::vector<std::uint64_t>& block : bytes)
    levels.push_back(static_cast<std::size_t>(std::ranges::min_element(block) - block.begin()));
  return levels;
}

/// The levels with as many blocks at the high codec as the limit allows, the most important first. Throws Error when
/// not even the low codec everywhere stays within it.
allocate::Levels most_high(const Problem& problem, const LevelCodecs& codecs, ByteLimit limit) {
  const allocate::Order order = allocate::by_importance(block_importance(problem));
  const allocate::LevelBytes bytes = level_bytes(problem, codecs);
  for (std::size_t count = order.size();; --count) {
    allocate::Levels levels = allocate::top_n(order, {&count, 1});
    if (allocate::bytes_of(levels, bytes) <= limit.blocks) return levels;
    if (count == 0) refuse(problem, limit, problem.given(by_levels(problem, levels, codecs)));
  }
}

}  // namespace

Assignment smallest_lwq(const Problem& problem) {
  const LevelCodecs codecs = codecs_of(problem);
  const std::vector<std::size_t> counts = counts_of(problem);
  const std::size_t blocks = problem.architecture().blocks;
  allocate::Levels levels(blocks, codecs.size() - 1);
  if (by_thresholds(problem.request()))
    levels = smallest_levels(level_bytes(problem, codecs));
  else if (!counts.empty())
    levels = allocate::top_n(allocate::first_blocks(blocks), counts);  // which blocks they are is not known yet
  return problem.given(by_levels(problem, levels, codecs));
}

Made make_lwq(const Problem& problem, ByteLimit limit) {
  const LevelCodecs codecs = codecs_of(problem);
  const std::vector<std::size_t> counts = counts_of(problem);
  allocate::Levels levels;
  if (by_thresholds(problem.request())) {
    std::vector<double> thresholds;
    for (const Level& level : levels_of(problem.request()))
      if (level.threshold) thresholds.push_back(*level.threshold);
    levels = allocate::by_thresholds(block_importance(problem), thresholds);
  } else if (by_budget(problem.request())) {
    levels = most_high(problem, codecs, limit);
  } else {
    levels = allocate::top_n(allocate::by_importance(block_importance(problem)), counts);
  }
  const Assignment wanted = by_levels(problem, levels, codecs);
  if (!by_budget(problem.request())) check_within(problem, limit, problem.given(wanted));
  Made made = filled(problem, wanted);
  made.plan.cost_signal = problem.request().signal;
  return made;
}

}  // namespace strata::pipeline
