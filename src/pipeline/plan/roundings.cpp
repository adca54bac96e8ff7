// A target reads inputs as they are where its kernels do not do what a checkpoint declares: vLLM on GPUs before sm89
// multiplies FP8 weights with inputs in bf16, whatever config.json says.
#include "pipeline/plan/roundings.h"

#include <algorithm>
#include <map>

#include "pipeline/plan/target.h"

namespace strata::pipeline {

codec::RoundedInputs rounded_inputs(const Target& target) {
  codec::RoundedInputs result;
  for (const codec::Codec& codec : codec::all()) {
    const codec::ActivationRounding declared{format::declared_activations_of(codec, target.activations)};
    if (declared.rounds() && target.roundings.hold(declared.kind)) result.kinds[&codec] = declared.kind;
  }
  return result;
}

RunInputs run_inputs(const Target& target, const model::Model& model) {
  RunInputs result{model.declared_activations(), {}, false, {}};
  if (target.fp8_cache) result.cache = model.declared_cache();
  result.any = std::ranges::any_of(result.cache, &model::CacheScales::rounds);
  std::size_t unknown = 0;
  std::map<std::string, std::size_t> ignored;
  for (codec::ActivationRounding& linear : result.by_linear) {
    if (linear.kind == codec::ActivationRounding::Kind::unknown) ++unknown;
    const bool done = target.roundings.hold(linear.kind);
    if (linear.rounds() && !done) ++ignored[std::string(codec::name_of(linear.kind))];
    if (!linear.rounds() || !done) linear = {};
    result.any = result.any || linear.rounds();
  }
  const std::string name = model.path().string();
  for (const auto& [kind, count] : ignored)
    result.remarks.push_back(fmt::format("{} declares activations in {} for {} linears, which {} reads as they are",
                                         name, kind, count, target.name));
  if (unknown != 0)
    result.remarks.push_back(fmt::format(
        "warning: {} declares activations for {} linears in a way that is not imitated; they are read as they are",
        name, unknown));
  return result;
}

}  // namespace strata::pipeline
