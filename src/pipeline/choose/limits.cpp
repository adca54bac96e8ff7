// Bits are an average over the linears of the blocks; the same average over all linears bounds the whole plan.
#include "pipeline/choose/limits.h"

#include <algorithm>
#include <cmath>

#include "allocate/orders.h"
#include "format/gguf.h"
#include "model/gguf/held.h"
#include "pipeline/choose/presets.h"
#include "pipeline/choose/two_memories.h"

namespace strata::pipeline {
namespace {

/// Of the linears that --bits counts (Problem::counts).
std::uint64_t all_weights(const model::Architecture& a) {
  std::uint64_t sum = 0;
  for (const model::Linear& linear : a.linears)
    if (linear.role != model::Role::embed || a.fusion == model::Fusion::single) sum += linear.rows * linear.cols;
  return sum;
}

ByteLimit limit_of_mix(const Problem& problem, const StockBudget& budget) {
  const model::Architecture& a = problem.architecture();
  const std::vector<StockTensor> stock = stock_of(problem, budget);
  std::uint64_t total = 0;
  for (std::size_t l = 0; l < stock.size(); ++l) {
    const model::Linear& linear = a.linears[l];
    const codec::Codec* pin = linear.role == model::Role::embed ? problem.pinned(linear.group) : nullptr;
    total += pin != nullptr ? codec::stored_bytes(*pin, linear.rows, linear.cols) : stock[l].bytes;
  }
  return {total, total};
}

}  // namespace

ByteLimit limit_of_bits(const model::Architecture& a, double bits) {
  if (!std::isfinite(bits) || bits <= 0 || bits > 64)
    fail_usage("--bits {}: expected a number above 0 and at most 64", bits);
  return {allocate::budget_of_bits(bits, a.block_linear_weights()), allocate::budget_of_bits(bits, all_weights(a))};
}

ByteLimit limit_of(const Problem& problem) {
  const PlanRequest& request = problem.request();
  const Preset& preset = preset_named(request.preset);
  const std::string text = text_of(request.budget);
  if (const auto* bits = std::get_if<BitsBudget>(&request.budget))
    return limit_of_bits(problem.architecture(), bits->bits);
  if (const auto* stock = std::get_if<StockBudget>(&request.budget)) {
    if (preset.needs == Needs::block_signals)
      fail_usage(
          "{} counts the embedding and lm_head too, which preset {} does not plan; use best, prior, "
          "uniform:CODEC or stock",
          text, request.preset);
    return limit_of_mix(problem, *stock);
  }
  if (std::holds_alternative<KlBudget>(request.budget)) {
    if (preset.needs != Needs::linear_costs) fail_usage("{} needs preset best, not {}", text, request.preset);
    return {};
  }
  if (preset.spends()) fail_usage("preset {} needs a budget: --bits, --size, --fit or --like", request.preset);
  return preset.default_bits > 0 ? limit_of_bits(problem.architecture(), preset.default_bits) : ByteLimit{};
}

std::vector<StockTensor> stock_of(const Problem& problem, const StockBudget& budget) {
  if (problem.target().container != codec::Container::gguf)
    fail_usage("--like {}: is a mix of GGUF types; it needs --for llama.cpp", budget.mix);
  if (budget.is_file()) {
    std::vector<StockTensor> tensors;
    for (const auto& [type, bytes] :
         model::held_linears(problem.architecture(), format::GgufFile::open(budget.mix), "--like " + budget.mix))
      tensors.push_back({type, bytes});
    return tensors;
  }
  if (problem.architecture().experts.count != 0)
    fail_usage("--like {}: llama.cpp's mixes of models with experts are not known here; name a GGUF file of this model",
               budget.mix);
  return stock_mix(problem.architecture(), budget.mix);
}

ByteLimit needed_limit(const Problem& problem, const Assignment& assignment, Count count) {
  const model::Architecture& a = problem.architecture();
  if (two_memories(problem.request()) != nullptr) {
    const std::uint64_t main = bytes_in_main_memory(assignment, a);
    const std::uint64_t rest = bytes_of(assignment, a, Count::all) - main;
    return {rest, rest, main};
  }
  if (count == Count::all) {
    std::uint64_t all = 0;
    for (std::size_t g = 0; g < assignment.size(); ++g)
      if (problem.counts(g)) all += problem.bytes(g, *assignment[g]);
    return {all, all};
  }
  ByteLimit needed;
  needed.all = needed.blocks = bytes_of(assignment, a, Count::blocks);
  if (!problem.target().fuses() || !preset_named(problem.request().preset).spends()) return needed;
  for (const Bundle& bundle : problem.bundles())
    if (!bundle.in_block && !bundle.decided && problem.counts(bundle.groups.front()))
      for (const std::size_t g : bundle.groups) needed.all += problem.bytes(g, *assignment[g]);
  return needed;
}

double bits_for(const model::Architecture& a, ByteLimit needed, double step) {
  const auto bits = [](std::uint64_t bytes, std::uint64_t weights) {
    return 8.0 * static_cast<double>(bytes) / static_cast<double>(weights);
  };
  const double least = std::max(bits(needed.blocks, a.block_linear_weights()), bits(needed.all, all_weights(a)));
  for (double count = std::max(1.0, std::floor(least / step));; ++count) {
    const ByteLimit limit{allocate::budget_of_bits(count * step, a.block_linear_weights()),
                          allocate::budget_of_bits(count * step, all_weights(a))};
    if (limit.blocks >= needed.blocks && limit.all >= needed.all) return count * step;
  }
}

}  // namespace strata::pipeline
