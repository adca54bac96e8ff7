// One measurement a fusion group: its linears are rounded, the blocks from its own on are run again on the hidden
// states that the original left there, and the logits are compared.
#include "importance/alpha.h"

#include <algorithm>

#include "core/progress.h"
#include "importance/divergence.h"

namespace strata::importance {
namespace {

using engine::Engine;

/// About four bits, so that the error is well above rounding noise and still small; the first that fits.
const codec::Codec* reference_codec(const model::Architecture& a, const model::FusionGroup& group) {
  for (const char* name : {"nvfp4", "mxfp4", "int4_channel"}) {
    const codec::Codec& codec = codec::by_name(name);
    if (fits(codec, a, group)) return &codec;
  }
  return nullptr;
}

}  // namespace

std::vector<Estimate> alpha(Engine& engine, const CalibrationSet& set, const InputMeanSquare& inputs) {
  const model::Architecture& a = engine.architecture();
  DivergenceMeter meter(engine, set, kAlphaTokens);
  std::vector<Estimate> result(a.groups.size());
  std::size_t work = 0;
  for (const model::FusionGroup& group : a.groups) work += a.blocks + 1 - a.first_block(group);
  Progress progress("alpha", work);
  for (std::size_t g = 0; g < a.groups.size(); ++g) {
    const model::FusionGroup& group = a.groups[g];
    progress.note(group.name);
    const std::size_t first = a.first_block(group);
    if (const codec::Codec* codec = reference_codec(a, group)) {
      if (const double error = relative_error(engine.model(), group, *codec, inputs); error > 0) {
        const RoundedGroup rounded(engine.model(), group, *codec, inputs);
        rounded.put_into(engine);
        std::vector<double> divergence = meter.measure(first);
        restore(engine, group);
        for (double& value : divergence) value /= error;
        result[g] = estimate(divergence);
        // A group without influence leaves the rounding of the sums, which may fall below 0.
        result[g].mean = std::max(0.0, result[g].mean);
      }
    }
    progress.advance(a.blocks + 1 - first);
  }
  return result;
}

}  // namespace strata::importance
