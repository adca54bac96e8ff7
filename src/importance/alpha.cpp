// alpha: how much a unit of relative weight error in one fusion group costs in KL divergence of the logits. Measured at
// one codec; the cost of any other is alpha times its relative error (linearity theorem, arXiv 2411.17525).
#include "importance/signal.h"

namespace strata::importance {
namespace {

/// About four bits, so that the error is well above rounding noise and still small; the first that fits.
const codec::Codec* reference_codec(const model::Architecture& a, const model::FusionGroup& group) {
  for (const char* name : {"nvfp4", "mxfp4", "int4_channel"}) {
    const codec::Codec& codec = codec::by_name(name);
    if (fits(codec, a, group)) return &codec;
  }
  return nullptr;
}

}  // namespace

Samples alpha(engine::Engine& engine, const CalibrationSet& set, const InputMeanSquare& inputs,
              const MeasureRequest& request) {
  const model::Architecture& a = engine.architecture();
  std::vector<SingleChange> units;
  std::vector<double> errors;
  for (std::size_t g = 0; g < a.groups.size(); ++g) {
    const codec::Codec* codec = reference_codec(a, a.groups[g]);
    if (codec == nullptr) continue;
    const double error = relative_error(engine.model(), a.groups[g], *codec, inputs);
    if (!(error > 0)) continue;
    units.push_back({g, codec});
    errors.push_back(error);
  }
  const Samples measured = measure_changes(engine, set, inputs, units, request, "alpha");
  Samples result(a.groups.size());
  for (std::size_t u = 0; u < units.size(); ++u)
    for (const double value : measured[u]) result[units[u].group].push_back(value / errors[u]);
  return result;
}

}  // namespace strata::importance
