// One pass of the original, block by block, with keys as the cache gets them: normed and turned. Linears that read from
// one site share its scale, as runtimes that fuse them want it, and so do all experts of a block.
// The numbers are kept as JSON, which holds a float in full.
#include "pipeline/job/measured_scales.h"

#include <algorithm>

#include "core/file.h"
#include "core/numbers.h"
#include "engine/modes.h"
#include "importance/linear_inputs.h"
#include "pipeline/output/cache_plan.h"

namespace strata::pipeline {
namespace {

CacheScales cache_of(const model::Architecture& a, CacheScales largest) {
  const CacheScales wanted = cache_to_measure(a);
  for (std::size_t b = 0; b < wanted.size(); ++b) {
    model::CacheScales& found = largest[b];
    if (!wanted[b].rounds() || !found.rounds())
      found = wanted[b];  // no such cache, or nothing but zeros was seen
    else
      found = {found.k / kMostE4m3, found.v / kMostE4m3};
  }
  return largest;
}

std::vector<float> inputs_of(const model::Architecture& a, const Codecs& codecs,
                             const importance::InputMeanSquare& inputs) {
  std::vector<float> scales;
  for (std::size_t l = 0; l < a.linears.size(); ++l)
    scales.push_back(inputs.rounding(a.linears[l], codecs[l]->activations).scale);
  return scales;
}

MeasuredScales measure(const model::Model& model, const QuantizeRequest& request, const Codecs& codecs,
                       const Stages& stages) {
  const model::Architecture& a = model.architecture();
  const importance::CalibrationSet set = calibration_text(model, request, stages);
  engine::Engine engine(model, kernel::Precision::bf16, residency_of(request));
  engine::CacheUse use{CacheScales(a.blocks), false};
  std::vector<float> inputs(a.linears.size(), 1.0f);
  {
    const engine::HoldingCache finding(engine, use);
    if (std::ranges::any_of(codecs, &codec::Codec::has_input_scale))
      inputs = inputs_of(a, codecs, importance::input_mean_square(engine, set));
    else
      importance::run_calibration(engine, set, {});  // the cache alone
  }
  return {.cache = request.plan.fp8_cache ? cache_of(a, std::move(use.scales)) : CacheScales(),
          .inputs = std::move(inputs)};
}

json to_json(const MeasuredScales& scales) {
  json cache = json::array();
  for (const model::CacheScales& block : scales.cache) cache.push_back({block.k, block.v});
  return {{"cache", std::move(cache)}, {"inputs", scales.inputs}};
}

}  // namespace

MeasuredScales measured_scales(const model::Model& model, const QuantizeRequest& request, const Plan& plan,
                               JobFolder& folder) {
  const Codecs codecs = codecs_by_linear(plan, model.architecture());
  if (!request.plan.fp8_cache && std::ranges::none_of(codecs, &codec::Codec::has_input_scale)) return {};
  const Stages stages(model, &folder);
  const json kept = stages.kept("scales.json", [&] { return to_json(measure(model, request, codecs, stages)); });
  MeasuredScales scales{.inputs = kept.at("inputs").get<std::vector<float>>()};
  for (const json& block : kept.at("cache"))
    scales.cache.push_back({block.at(0).get<float>(), block.at(1).get<float>()});
  return scales;
}

}  // namespace strata::pipeline
