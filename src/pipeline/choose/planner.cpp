// Budgets in bits, size on disk or memory, each turned into bytes for the linears.
// How the bytes are spent is the presets' business.
#include "pipeline/choose/planner.h"

#include <cmath>

#include "core/file.h"
#include "pipeline/choose/presets.h"
#include "pipeline/choose/runtime_memory.h"
#include "pipeline/choose/stock_mix.h"
#include "pipeline/output/output.h"

namespace strata::pipeline {
namespace {

Budget budget_of_bits(const model::Architecture& a, double bits) {
  if (!std::isfinite(bits) || bits <= 0 || bits > 64)
    fail_usage("--bits {}: expected a number above 0 and at most 64", bits);
  std::uint64_t all = 0;
  for (const model::Linear& linear : a.linears) all += linear.rows * linear.cols;
  return {allocate::budget_of_bits(bits, a.block_linear_weights()), allocate::budget_of_bits(bits, all)};
}

/// The bytes of llama-quantize's mix, with the user's type for the embedding on both sides.
Budget budget_like(const model::Architecture& a, const Target& target, const PlanRequest& request,
                   const Choices& choices) {
  if (target.fusion() != model::Fusion::single)
    fail_usage("--like {}: is a mix of GGUF types; it needs --for llama.cpp", request.like);
  if (request.preset != "best") fail_usage("--like {} needs preset best, not {}", request.like, request.preset);
  if (a.experts.count != 0)
    fail_usage("--like {}: llama.cpp's mixes of models with experts are not known here", request.like);
  const std::vector<StockTensor> stock = stock_mix(a, request.like);
  std::uint64_t total = 0;
  for (std::size_t l = 0; l < stock.size(); ++l) {
    const model::Linear& linear = a.linears[l];
    const codec::Codec* pin = linear.role == model::Role::embed ? choices.pinned(linear.group) : nullptr;
    total += pin != nullptr ? codec::stored_bytes(*pin, linear.rows, linear.cols) : stock[l].bytes;
  }
  return {total, total};
}

/// The plan whose whole output has at most `size` bytes.
void plan_of_size(const model::Model& model, const Target& target, const PlanRequest& request, Presets& presets,
                  std::uint64_t size, PlanResult& result) {
  const model::Architecture& a = model.architecture();
  const Plan keeps = plan_of_keeps(model);
  const auto output = plan_output(model, codecs_by_linear(keeps, a), target, request.shard_bytes);
  // Everything but the linears depends on the plan only through a few names in config.json, so this settles at once.
  std::uint64_t overhead = output->bytes() - keeps.bytes();
  for (int round = 0;; ++round) {
    if (size <= overhead)
      fail("{} {}: what is not quantized takes {} already", request.fit ? "--fit leaves" : "--size", human_bytes(size),
           human_bytes(overhead));
    const std::uint64_t budget = size - overhead;
    result.plan = presets.make({budget, budget});
    result.output_bytes = output->with(codecs_by_linear(result.plan, a))->bytes();
    if (result.output_bytes <= size) return;
    STRATA_CHECK(round < 64, "{} bytes for {}", result.output_bytes, size);
    overhead += result.output_bytes - size;
  }
}

}  // namespace

PlanResult make_plan(const model::Model& model, const Target& target, const PlanRequest& request, const Costs& costs) {
  if (request.bits.has_value() + request.size_bytes.has_value() + request.fit.has_value() > 1)
    fail_usage("--bits, --size and --fit contradict each other; give one");
  Presets presets(model, target, request, costs);
  PlanResult result;
  std::optional<Budget> like;
  if (request.size_bytes || request.fit) {
    const std::uint64_t size =
        request.fit ? size_that_fits(model.architecture(), target, *request.fit) : *request.size_bytes;
    plan_of_size(model, target, request, presets, size, result);
  } else {
    Budget budget{kNoLimit, kNoLimit};
    if (!request.like.empty())
      like = budget = budget_like(model.architecture(), target, request, presets.choices());
    else if (request.bits)
      budget = budget_of_bits(model.architecture(), *request.bits);
    else if (request.preset == "best" || request.preset == "prior")
      fail_usage("preset {} needs a budget: --bits, --size, --fit or --like", request.preset);
    result.plan = presets.make(budget);
    const auto codecs = codecs_by_linear(result.plan, model.architecture());
    result.output_bytes = plan_output(model, codecs, target, request.shard_bytes)->bytes();
  }
  result.plan.target = target.name;
  result.plan.preset = request.preset;
  result.plan.request = request.to_json();
  if (like) result.plan.request["like_bytes"] = like->all;
  result.plan.cost_signal = needs_linear_costs(request)    ? costs.signal
                            : needs_block_signals(request) ? request.signal
                            : request.preset == "prior"    ? "prior"
                                                           : "";
  result.left_out = presets.allowed().left_out;
  result.notes = presets.notes();
  if (request.fit) {
    const MemoryNeeds needs = memory_beside_weights(model.architecture(), target, *request.fit);
    result.notes.push_back(fmt::format("in {}: weights {}, KV cache {} ({} x {} tokens), buffers {}, runtime {}",
                                       human_bytes(request.fit->bytes), human_bytes(result.output_bytes),
                                       human_bytes(needs.kv_cache), request.fit->batch, request.fit->context,
                                       human_bytes(needs.buffers), human_bytes(needs.runtime)));
  }
  return result;
}

void check_request(const model::Model& model, const Target& target, const PlanRequest& request) {
  const model::Architecture& a = model.architecture();
  Costs costs;
  costs.linears.resize(a.linears.size());
  for (auto& row : costs.linears)
    for (const codec::Codec& codec : codec::all()) row[&codec] = 0.0;
  costs.blocks[request.signal].assign(a.blocks, 0.0);
  PlanRequest checked = request;
  // How many blocks pass a threshold, and so the bytes, is not known yet.
  if (!request.levels.empty() && request.levels.front().threshold) checked.bits.reset();
  make_plan(model, target, checked, costs);
}

}  // namespace strata::pipeline
