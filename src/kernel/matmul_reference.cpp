// The definition of matmul: one double sum per element.
// Written to be read; tests compare every kernel with it.
#include <vector>

#include "core/numbers.h"
#include "core/threads.h"
#include "kernel/matmul.h"

namespace strata::kernel {

void matmul_reference(const float* x, std::size_t x_stride, std::size_t tokens, const Weights& w, float* y,
                      std::size_t y_stride, Precision precision) {
  const std::size_t cols = w.cols();
  const bool rounded = precision == Precision::bf16 && (w.stored == nullptr || tokens > kFewTokens);
  const auto operand = [rounded](float value) { return static_cast<double>(rounded ? round_bf16(value) : value); };
  const auto row_of_y = [&](std::size_t r) {
    std::vector<float> row(cols);
    if (w.stored != nullptr)
      w.stored->codec->unpack(*w.stored->codec, *w.stored, r, 0, cols, row.data());
    else
      read_row(w.dense, r, 0, cols, row.data());
    for (std::size_t t = 0; t < tokens; ++t) {
      double sum = 0;
      for (std::size_t c = 0; c < cols; ++c) sum += operand(x[t * x_stride + c]) * operand(row[c]);
      y[t * y_stride + r] = static_cast<float>(sum);
    }
  };
  if (w.rows() * cols * tokens < 1 << 20)
    for (std::size_t r = 0; r < w.rows(); ++r) row_of_y(r);
  else
    parallel_for(w.rows(), row_of_y);
}

}  // namespace strata::kernel
