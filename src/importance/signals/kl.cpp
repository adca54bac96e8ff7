// kl measures every group at every codec that can hold it.
// The journal and the order of work are those of measure_changes.
#include "importance/signals/kl.h"

#include <algorithm>
#include <utility>

namespace strata::importance {

std::vector<Measurement> measurements(engine::Engine& engine, const CalibrationSet& set, const InputMeanSquare& inputs,
                                      const std::vector<SingleChange>& units, const MeasureRequest& request,
                                      const std::string& label) {
  Samples samples = measure_changes(engine, set, inputs, units, request, label);
  std::vector<Measurement> result;
  for (std::size_t u = 0; u < units.size(); ++u) {
    const Estimate value = estimate(samples[u]);
    // The value of a group without influence is the rounding of the sums, which may be below 0.
    result.push_back(
        {units[u].codec, std::max(0.0, value.mean), value.standard_error.value_or(0.0), std::move(samples[u])});
  }
  return result;
}

std::vector<std::vector<Measurement>> kl(engine::Engine& engine, const CalibrationSet& set,
                                         const InputMeanSquare& inputs, const MeasureRequest& request) {
  const model::Architecture& a = engine.architecture();
  std::vector<SingleChange> units;
  for (std::size_t g = 0; g < a.groups.size(); ++g)
    for (const codec::Codec* codec : request.codecs)
      if (codec->has_codes() && fits(*codec, a, a.groups[g])) units.push_back({g, codec});
  std::vector<Measurement> measured = measurements(engine, set, inputs, units, request, "kl");
  std::vector<std::vector<Measurement>> result(a.groups.size());
  for (std::size_t u = 0; u < units.size(); ++u) result[units[u].group].push_back(std::move(measured[u]));
  return result;
}

}  // namespace strata::importance
