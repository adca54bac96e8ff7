// Runs only after something went wrong, so that whole matrices may be read.
// An infinite bias for choosing an expert is no damage: it takes the expert out of the choice.
#include "model/damage.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <set>

#include "core/matrix.h"

namespace strata::model {
namespace {

/// "model.norm.weight: weight [5] is nan" for the first value that is not finite, else empty.
std::string damage_of(const std::string& name, std::span<const float> values) {
  const auto bad = std::ranges::find_if(values, [](float value) { return !std::isfinite(value); });
  return bad == values.end() ? std::string() : fmt::format("{}: weight [{}] is {}", name, bad - values.begin(), *bad);
}

std::string damage_of(const std::string& name, const MatrixView& view) {
  std::vector<float> row(view.cols);
  for (std::size_t r = 0; r < view.rows; ++r) {
    read_row(view, r, 0, view.cols, row.data());
    const auto bad = std::ranges::find_if(row, [](float value) { return !std::isfinite(value); });
    if (bad != row.end()) return fmt::format("{}: weight [{}, {}] is {}", name, r, bad - row.begin(), *bad);
  }
  return {};
}

std::string damage_outside_linears(const Model& model) {
  const Architecture& a = model.architecture();
  std::set<std::string> others;
  for (const Linear& linear : a.linears)
    if (linear.role != Role::embed) others.insert(linear.module + ".weight");
  if (a.experts.correction)
    for (std::size_t b = 0; b < a.blocks; ++b) others.insert(correction_name(a, b));
  for (const ExpectedTensor& tensor : expected_tensors(a)) {
    if (others.contains(tensor.name) || !model.has(tensor.name)) continue;
    const std::string damage =
        tensor.shape.size() != 2
            ? damage_of(tensor.name, model.vector(tensor.name, std::accumulate(tensor.shape.begin(), tensor.shape.end(),
                                                                               std::size_t{1}, std::multiplies<>())))
            : damage_of(tensor.name, model.matrix(tensor.name, tensor.shape[0], tensor.shape[1]).view().dense);
    model.release(tensor.name);
    if (!damage.empty()) return damage;
  }
  return {};
}

}  // namespace

void fail_not_finite(const Model& model, const std::string& result, const std::string& otherwise) {
  const std::string damage = damage_outside_linears(model);
  if (damage.empty()) fail("{}: {}; {}", model.path().string(), result, otherwise);
  fail("{}: {}; {}: the file is damaged or training diverged", model.path().string(), result, damage);
}

}  // namespace strata::model
