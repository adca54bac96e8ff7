// Sizes of caches and buffers. Windows of sliding attention bound a block's cache.
// Products are checked: context and batch come from the user.
#include "pipeline/choose/runtime_memory.h"

#include <algorithm>

#include "core/checked.h"
#include "core/units.h"

namespace strata::pipeline {
namespace {

/// States of mixers that are no attention are kept in f32, by llama.cpp as by vLLM where config.json says so.
constexpr std::uint64_t kCacheBytes = 2, kStateBytes = 4, kActivationBytes = 2, kLogitBytes = 4;
/// Tokens of a prompt that runtimes take at once: llama.cpp's n_ubatch; vLLM's max_num_batched_tokens.
constexpr std::uint64_t kTokensOnCpu = 512, kTokensOnGpu = 2048;
constexpr std::uint64_t kRuntimeOnGpu = 1024u << 20;

std::uint64_t checked_product(std::uint64_t a, std::uint64_t b) {
  const auto result = multiply(a, b);
  if (!result || *result >> 62 != 0) fail("--ctx and --batch ask for more memory than can be counted");
  return *result;
}

}  // namespace

MemoryNeeds memory_beside_weights(const model::Architecture& a, const Target& target, const MemoryBudget& budget) {
  MemoryNeeds needs;
  std::uint64_t of_sequence = 0;
  for (std::size_t b = 0; b < a.blocks; ++b) {
    std::uint64_t seen = budget.context;
    for (const std::size_t limit : {a.attention[b].window, a.attention[b].chunk})
      if (limit != 0) seen = std::min<std::uint64_t>(seen, limit);
    of_sequence += checked_product(checked_product(seen, a.cache_size(b)), kCacheBytes) + a.state_size(b) * kStateBytes;
  }
  needs.kv_cache = checked_product(of_sequence, budget.batch);
  const std::uint64_t in_flight = std::max<std::uint64_t>(
      budget.batch, std::min(checked_product(budget.context, budget.batch), target.gpu ? kTokensOnGpu : kTokensOnCpu));
  const std::uint64_t per_token = 4 * a.hidden + 2 * a.q_size() + 2 * a.kv_size() + 3 * a.dense_size();
  needs.buffers =
      checked_product(in_flight, per_token * kActivationBytes) + checked_product(budget.batch, a.vocab * kLogitBytes);
  needs.runtime = target.gpu || budget.expert_bytes != 0 ? kRuntimeOnGpu : kRuntimeOnCpu;
  return needs;
}

std::uint64_t size_that_fits(const model::Architecture& a, const Target& target, const MemoryBudget& budget) {
  if (!a.why_not_runnable.empty())
    fail("--fit: what a cache takes is not known, since {}; give --bits or --size", a.why_not_runnable);
  const MemoryNeeds needs = memory_beside_weights(a, target, budget);
  if (needs.total() >= budget.bytes)
    fail("--fit {}: the KV cache of {} x {} tokens takes {}, buffers {}, {} itself {}; nothing is left for weights",
         human_bytes(budget.bytes), budget.batch, budget.context, human_bytes(needs.kv_cache),
         human_bytes(needs.buffers), target.name, human_bytes(needs.runtime));
  return budget.bytes - needs.total();
}

}  // namespace strata::pipeline
