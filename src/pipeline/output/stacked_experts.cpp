// One expert is gathered as f32, which holds the values of every dense type exactly.
#include "pipeline/output/stacked_experts.h"

#include <algorithm>

#include "core/threads.h"

namespace strata::pipeline {
namespace {

/// Values of an expert's part; its mapped pages are released.
std::vector<float> values_of(const model::Model& model, const std::string& part, std::size_t rows, std::size_t cols,
                             bool bias) {
  if (bias) return model.vector(part, rows);
  std::vector<float> values(rows * cols);
  const model::LinearWeights weights = model.matrix(part, rows, cols);
  const MatrixView& view = weights.view().dense;
  parallel_for(rows, [&](std::size_t r) { read_row(view, r, 0, cols, values.data() + r * cols); });
  model.release(part);
  return values;
}

/// Puts a part's rows to where they lie in a plane of the stack.
void place_part(const model::Stack& stack, std::size_t index, std::span<const float> part, std::span<float> plane) {
  const std::size_t rows = stack.rows / stack.per_expert, cols = stack.cols;
  const std::size_t first = stack.interleaved ? index : index * rows, step = stack.interleaved ? stack.per_expert : 1;
  parallel_for(rows, [&](std::size_t r) {
    const std::size_t to = first + r * step;
    for (std::size_t c = 0; c < cols; ++c)
      plane[stack.transposed ? c * stack.rows + to : to * cols + c] = part[r * cols + c];
  });
}

}  // namespace

bool stacks_experts(const model::Model& model, const std::vector<const codec::Codec*>& codecs) {
  const model::Architecture& a = model.architecture();
  bool any = false, experts = false;
  for (std::size_t l = 0; l < codecs.size(); ++l) {
    any = any || codecs[l]->has_codes();
    experts = experts || (codecs[l]->has_codes() && a.linears[l].routed());
  }
  return !experts && (!any || a.experts.stacks == model::Experts::Stacks::always);
}

void dense_stack(const model::Model& model, const model::Stack& stack, DType dtype, const TakeBytes& take) {
  const std::size_t rows = stack.transposed ? stack.cols : stack.rows;
  std::vector<float> plane(stack.rows * stack.cols);
  for (std::size_t i = 0; i < stack.parts.size(); ++i) {
    const std::size_t index = i % stack.per_expert;
    place_part(stack, index, values_of(model, stack.parts[i], stack.rows / stack.per_expert, stack.cols, stack.bias),
               plane);
    if (index + 1 == stack.per_expert)
      dense_values(model, fmt::format("{}, expert {}", stack.name, i / stack.per_expert),
                   MatrixView::dense(plane.data(), rows, plane.size() / rows, DType::f32), dtype, take);
  }
}

}  // namespace strata::pipeline
