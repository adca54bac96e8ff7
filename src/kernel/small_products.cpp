// A panel of rows of the left matrix at a time, packed, against stripes of columns of the right one, which are read
// where they lie if they are rows of memory and as wide as a tile.
#include "kernel/small_products.h"

#include <algorithm>

#include "core/checked.h"
#include "core/error.h"
#include "kernel/scratch.h"

namespace strata::kernel {
namespace {

/// Packs the columns of b from `first` on, a stripe of tile_rows after the other.
const float* pack_right(const MatmulKernel& kernel, const Operand& b, std::size_t first, std::size_t n, std::size_t k) {
  thread_local Scratch scratch;
  const std::size_t step = kernel.tile_rows;
  float* const packed = scratch.floats((round_up(n, step) - first) * k + kernel.lanes);
  float* out = packed;
  for (std::size_t j = first; j < n; j += step, out += step * k) {
    const std::size_t width = std::min(step, n - j);
    if (b.turned)
      kernel.pack_w(reinterpret_cast<const std::byte*>(b.data + j * b.stride), b.stride * sizeof(float), DType::f32,
                    width, k, out);
    else
      kernel.pack_columns(b.data + j, b.stride, k, width, out, step);
  }
  return packed;
}

}  // namespace

void multiply_small(const MatmulKernel& kernel, const Operand& a, const Operand& b, std::size_t m, std::size_t n,
                    std::size_t k, float* c, std::size_t c_stride, Update update) {
  STRATA_CHECK(kernel.unit == 1);
  thread_local Scratch scratch;
  const std::size_t height = kernel.tile_tokens, step = kernel.tile_rows;
  const std::size_t in_place = b.turned ? 0 : n / step * step;
  const float* const packed = pack_right(kernel, b, in_place, n, k);
  float* const panel = scratch.floats(height * k + kernel.lanes);
  for (std::size_t i = 0; i < m; i += height) {
    const std::size_t rows = std::min(height, m - i);
    if (a.turned)
      kernel.pack_columns(a.data + i, a.stride, k, rows, panel, height);
    else
      kernel.pack_x(a.data + i * a.stride, a.stride, rows, k, panel);
    for (std::size_t j = 0; j < n; j += step) {
      const bool lies = j < in_place;
      kernel.tile(panel, lies ? b.data + j : packed + (j - in_place) * k, lies ? b.stride : step, k, rows,
                  std::min(step, n - j), c + i * c_stride + j, c_stride, update);
    }
  }
}

}  // namespace strata::kernel
