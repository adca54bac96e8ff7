// vLLM alone reads the scales that compressed-tensors declares for keys and values.
// A cache of anything but keys and values of heads has no such scales.
#include "pipeline/output/cache_plan.h"

#include <algorithm>

namespace strata::pipeline {

CacheScales cache_to_measure(const model::Architecture& a) {
  CacheScales scales(a.blocks);
  for (std::size_t b = 0; b < a.blocks; ++b)
    if (model::has_cached_keys(a, b)) scales[b] = {1.0f, 1.0f};
  return scales;
}

MeasuredScales planned_scales(const PlanRequest& request, const model::Architecture& a) {
  return {.cache = request.fp8_cache ? cache_to_measure(a) : CacheScales()};
}

std::string why_no_fp8_cache(const Target& target, const model::Architecture& a) {
  if (!target.fp8_cache) return fmt::format("{} reads no scales of a cache; --for vllm does", target.name);
  if (!a.why_not_runnable.empty()) return "scales are measured, and " + a.why_not_runnable;
  const CacheScales scales = cache_to_measure(a);
  if (std::ranges::none_of(scales, &model::CacheScales::rounds))
    return fmt::format("no block of {} models keeps keys and values of heads", a.model_type);
  return {};
}

}  // namespace strata::pipeline
