// One pass of the original, block by block, with keys as the cache gets them: normed and turned.
// The numbers are kept as JSON, which holds a float in full.
#include "pipeline/job/cache_scales.h"

#include "core/file.h"
#include "core/numbers.h"
#include "engine/modes.h"
#include "importance/pass.h"
#include "pipeline/output/cache_plan.h"

namespace strata::pipeline {
namespace {

CacheScales measured(const model::Model& model, const QuantizeRequest& request, const Stages& stages) {
  const importance::CalibrationSet set = calibration_text(model, request, stages);
  engine::Engine engine(model, kernel::Precision::bf16, residency_of(request));
  engine::CacheUse use{CacheScales(model.architecture().blocks), false};
  {
    const engine::HoldingCache finding(engine, use);
    importance::run_calibration(engine, set, {});
  }
  const CacheScales wanted = cache_to_measure(model.architecture());
  for (std::size_t b = 0; b < wanted.size(); ++b) {
    model::CacheScales& found = use.scales[b];
    if (!wanted[b].rounds() || !found.rounds())
      found = wanted[b];  // no such cache, or nothing but zeros was seen
    else
      found = {found.k / kMostE4m3, found.v / kMostE4m3};
  }
  return std::move(use.scales);
}

}  // namespace

CacheScales cache_scales(const model::Model& model, const QuantizeRequest& request, JobFolder& folder) {
  if (!request.plan.fp8_cache) return {};
  const Stages stages(model, &folder);
  const json kept = stages.kept("cache.json", [&] {
    json blocks = json::array();
    for (const model::CacheScales& block : measured(model, request, stages)) blocks.push_back({block.k, block.v});
    return blocks;
  });
  CacheScales scales;
  for (const json& block : kept) scales.push_back({block.at(0).get<float>(), block.at(1).get<float>()});
  return scales;
}

}  // namespace strata::pipeline
