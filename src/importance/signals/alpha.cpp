// alpha: how much a unit of relative weight error in one fusion group costs in KL divergence of the logits. Measured at
// one codec of a kind of grid; the cost of any other of the kind is alpha times its relative error (linearity theorem,
// arXiv 2411.17525). Kinds differ: equal errors of two grids fall on other weights (figures: docs/results.md).
#include "importance/signal.h"

namespace strata::importance {
namespace {

/// Codecs of fewer bits a weight than this are priced by one of about three, whose divergence is no longer in
/// proportion to that of one of about four.
constexpr double kFewBits = 3.75;

bool has_few_bits(const codec::Codec& codec) {
  constexpr std::uint64_t rows = 256, cols = 4096;
  return static_cast<double>(codec::stored_bytes(codec, rows, cols)) * 8.0 < kFewBits * rows * cols;
}

/// The first of `codecs` that fits, or null: errors well above rounding noise and still small.
const codec::Codec* reference_codec(const model::Architecture& a, const model::FusionGroup& group,
                                    std::initializer_list<const char*> codecs) {
  for (const char* name : codecs) {
    const codec::Codec& codec = codec::by_name(name);
    if (fits(codec, a, group)) return &codec;
  }
  return nullptr;
}

Samples measure(engine::Engine& engine, const CalibrationSet& set, const InputMeanSquare& inputs,
                const MeasureRequest& request, const char* label, std::initializer_list<const char*> codecs) {
  const model::Architecture& a = engine.architecture();
  std::vector<SingleChange> units;
  std::vector<double> errors;
  for (std::size_t g = 0; g < a.groups.size(); ++g) {
    const codec::Codec* codec = reference_codec(a, a.groups[g], codecs);
    if (codec == nullptr) continue;
    const double error = relative_error(engine.model(), a.groups[g], *codec, inputs);
    if (!(error > 0)) continue;
    units.push_back({g, codec});
    errors.push_back(error);
  }
  const Samples measured = measure_changes(engine, set, inputs, units, request, label);
  Samples result(a.groups.size());
  for (std::size_t u = 0; u < units.size(); ++u)
    for (const double value : measured[u]) result[units[u].group].push_back(value / errors[u]);
  return result;
}

}  // namespace

Samples alpha(engine::Engine& engine, const CalibrationSet& set, const InputMeanSquare& inputs,
              const MeasureRequest& request) {
  return measure(engine, set, inputs, request, "alpha", {"nvfp4", "mxfp4", "int4_channel"});
}

Samples alpha_int(engine::Engine& engine, const CalibrationSet& set, const InputMeanSquare& inputs,
                  const MeasureRequest& request) {
  return measure(engine, set, inputs, request, "alpha_int", {"int4_g64", "int4_g32", "int4_channel"});
}

Samples alpha_int3(engine::Engine& engine, const CalibrationSet& set, const InputMeanSquare& inputs,
                   const MeasureRequest& request) {
  return measure(engine, set, inputs, request, "alpha_int3", {"int3_g64", "int3_g32", "int3_channel"});
}

Samples alpha_ggml(engine::Engine& engine, const CalibrationSet& set, const InputMeanSquare& inputs,
                   const MeasureRequest& request) {
  return measure(engine, set, inputs, request, "alpha_ggml", {"iq4_nl"});
}

Samples alpha_ggml3(engine::Engine& engine, const CalibrationSet& set, const InputMeanSquare& inputs,
                    const MeasureRequest& request) {
  return measure(engine, set, inputs, request, "alpha_ggml3", {"q3_k"});
}

bool is_float(const codec::Codec& codec) {
  return codec.has_codes() && codec.family != "int" && codec.family != "ggml";
}
bool is_int(const codec::Codec& codec) { return codec.family == "int" && !has_few_bits(codec); }
bool is_int3(const codec::Codec& codec) { return codec.family == "int" && has_few_bits(codec); }
bool is_ggml(const codec::Codec& codec) { return codec.family == "ggml" && !has_few_bits(codec); }
bool is_ggml3(const codec::Codec& codec) { return codec.family == "ggml" && has_few_bits(codec); }

}  // namespace strata::importance
