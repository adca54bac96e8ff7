// The register tile of matmul over operands that are packed by columns: rows of tokens lie as the tile wants them, so
// nothing is transposed. Every sum is that of blocks of tokens, in rising order.
#include "kernel/outer_products.h"

#include <algorithm>

#include "core/checked.h"
#include "core/threads.h"
#include "kernel/dispatch.h"
#include "kernel/scratch.h"

namespace strata::kernel {
namespace {

constexpr std::size_t kBlock = 768;      // tokens of a block: even, and two panels of them stay in L2
constexpr std::size_t kLeftPanels = 12;  // panels of a piece of work
constexpr std::size_t kRightPanels = 4;
constexpr std::size_t kPackedTogether = 64 << 10;  // floats packed by a piece of work

/// Columns of an operand in panels of `width`, packed for one block of tokens.
struct Panels {
  std::size_t width, count, floats;  ///< of a panel
  float* data;
  float* at(std::size_t p) const { return data + p * floats; }
};

Panels make_panels(Scratch& scratch, const MatmulKernel& kernel, std::size_t width, std::size_t cols) {
  const std::size_t count = ceil_div(cols, width), floats = round_up(ceil_div(kBlock, kernel.unit) * width, 16);
  return {width, count, floats, scratch.floats(count * floats + kernel.lanes)};
}

void pack(const MatmulKernel& kernel, const float* x, std::size_t cols, std::size_t tokens, const Panels& panels) {
  const std::size_t panels_per_item = std::max<std::size_t>(1, kPackedTogether / panels.floats);
  parallel_for(ceil_div(panels.count, panels_per_item), [&](std::size_t item) {
    for (std::size_t p = item * panels_per_item; p < std::min(panels.count, (item + 1) * panels_per_item); ++p)
      kernel.pack_columns(x + p * panels.width, cols, tokens, std::min(panels.width, cols - p * panels.width),
                          panels.at(p), panels.width);
  });
}

}  // namespace

void add_outer_products(const Variant& variant, const float* a, std::size_t rows, const float* b, std::size_t cols,
                        std::size_t tokens, float* sums, Part part, Precision precision) {
  const MatmulKernel& kernel = precision == Precision::bf16 ? variant.bf16 : variant.f32;
  thread_local Scratch left_scratch, right_scratch;
  const Panels left = make_panels(left_scratch, kernel, kernel.tile_tokens, rows);
  const Panels right = make_panels(right_scratch, kernel, kernel.tile_rows, cols);
  const std::size_t pieces = ceil_div(left.count, kLeftPanels);
  for (std::size_t t = 0; t < tokens; t += kBlock) {
    const std::size_t count = std::min(kBlock, tokens - t), units = ceil_div(count, kernel.unit);
    pack(kernel, a + t * rows, rows, count, left);
    pack(kernel, b + t * cols, cols, count, right);
    parallel_for(pieces * ceil_div(right.count, kRightPanels), [&](std::size_t item) {
      const std::size_t first = item % pieces * kLeftPanels, from = item / pieces * kRightPanels;
      for (std::size_t p = first; p < std::min(left.count, first + kLeftPanels); ++p) {
        const std::size_t row = p * left.width, height = std::min(left.width, rows - row);
        for (std::size_t q = from; q < std::min(right.count, from + kRightPanels); ++q) {
          const std::size_t col = q * right.width;
          if (part == Part::lower && col >= row + height) break;
          kernel.tile(left.at(p), right.at(q), right.width, units, height, std::min(right.width, cols - col),
                      sums + row * cols + col, cols, Update::add);
        }
      }
    });
  }
}

void add_outer_products(const float* a, std::size_t rows, const float* b, std::size_t cols, std::size_t tokens,
                        float* sums, Part part, Precision precision) {
  add_outer_products(selected_variant(), a, rows, b, cols, tokens, sums, part, precision);
}

}  // namespace strata::kernel
