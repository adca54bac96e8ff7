// alpha: how much a unit of relative weight error in one fusion group costs in KL divergence of the logits. Measured at
// one codec of a kind of grid; the cost of any other of the kind is alpha times its relative error (linearity theorem,
// arXiv 2411.17525). Kinds differ: equal errors of two grids fall on other weights (figures: docs/results.md).
#include <algorithm>

#include "importance/signal.h"

namespace strata::importance {
namespace {

/// Bits a weight below which a codec counts as one of few bits.
constexpr double kFewBits = 3.75;

bool has_few_bits(const codec::Codec& codec) {
  constexpr std::uint64_t rows = 256, cols = 4096;
  return static_cast<double>(codec::stored_bytes(codec, rows, cols)) * 8.0 < kFewBits * rows * cols;
}

Grid grid_of(const codec::Codec& codec) {
  if (codec.container == codec::Container::gguf) return Grid::ggml;
  const bool integers = codec.is_integer() || codec.family == codec::Family::affine;
  return integers ? Grid::integers : Grid::floats;
}

/// The codec that a row measures a group with, or null: its errors are well above rounding noise and still small. One
/// that the source holds a linear of the group in makes no errors there.
const codec::Codec* reference_codec(const Signal& row, const model::Model& model, const model::FusionGroup& group) {
  for (const std::string_view name : row.measured_with) {
    if (name.empty()) break;
    const codec::Codec& codec = codec::by_name(name);
    const bool held =
        std::ranges::any_of(group.linears, [&](std::size_t l) { return model.source_codec(l) == &codec; });
    if (!held && fits(codec, model.architecture(), group)) return &codec;
  }
  return nullptr;
}

}  // namespace

bool PricedCodecs::contain(const codec::Codec& codec) const {
  if (!codec.has_codes() || grid_of(codec) != grid) return false;
  return width == Width::any || has_few_bits(codec) == (width == Width::few_bits);
}

Samples alpha(const Signal& row, engine::Engine& engine, const CalibrationSet& set, const InputMeanSquare& inputs,
              const MeasureRequest& request) {
  const model::Architecture& a = engine.architecture();
  const Ranks ranks = ranks_at_work();
  std::vector<double> of_group(a.groups.size(), 0.0);
  for (std::size_t g = ranks.first_of(a.groups.size()); g < ranks.end_of(a.groups.size()); ++g)
    if (const codec::Codec* codec = reference_codec(row, engine.model(), a.groups[g]))
      of_group[g] = relative_error(engine.model(), a.groups[g], *codec, inputs);
  ranks.share_all(std::span(of_group));
  std::vector<SingleChange> units;
  std::vector<double> errors;
  for (std::size_t g = 0; g < a.groups.size(); ++g) {
    if (!(of_group[g] > 0)) continue;
    units.push_back({g, reference_codec(row, engine.model(), a.groups[g])});
    errors.push_back(of_group[g]);
  }
  MeasureRequest of_weights = request;  // as the relative errors are
  of_weights.rounded_inputs = {};
  const Samples measured = measure_changes(engine, set, inputs, units, of_weights, std::string(row.name));
  Samples result(a.groups.size());
  for (std::size_t u = 0; u < units.size(); ++u)
    for (const double value : measured[u]) result[units[u].group].push_back(value / errors[u]);
  return result;
}

}  // namespace strata::importance
