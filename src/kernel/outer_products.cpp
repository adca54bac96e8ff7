// The register tile of matmul over operands that are packed by columns: rows of tokens lie as the tile wants them, so
// nothing is transposed. Every sum is that of blocks of tokens, in rising order.
#include "kernel/outer_products.h"

#include <algorithm>

#include "core/checked.h"
#include "core/error.h"
#include "core/threads.h"
#include "kernel/dispatch.h"
#include "kernel/in_use.h"
#include "kernel/scratch.h"

namespace strata::kernel {
namespace {

constexpr std::size_t kBlock = 768;      // tokens of a block: even, and two panels of them stay in L2
constexpr std::size_t kLeftPanels = 12;  // panels of a piece of work
constexpr std::size_t kRightPanels = 4;
constexpr std::size_t kPackedTokens = 16;  // of a piece of packing at least; even

/// Columns of an operand in panels of `width`, packed for one block of tokens.
struct Panels {
  std::size_t width, count, floats;  ///< of a panel
  float* data;
  float* at(std::size_t p) const { return data + p * floats; }
};

/// Panels for at most `tokens` tokens.
Panels make_panels(Scratch& scratch, const MatmulKernel& kernel, std::size_t width, std::size_t cols,
                   std::size_t tokens) {
  const std::size_t count = ceil_div(cols, width), floats = round_up(ceil_div(tokens, kernel.unit) * width, 16);
  return {width, count, floats, scratch.floats(count * floats + kernel.lanes)};
}

/// Packs an operand by one of the kernel's functions, some tokens after the others: their rows are read side by side,
/// and stay in the cache from panel to panel.
void pack(const MatmulKernel& kernel, decltype(MatmulKernel::pack_columns) pack_columns, const TokenRows& x,
          std::size_t tokens, const Panels& panels, Sign sign) {
  const std::size_t together = round_up(kPackedTokens, kernel.block * kernel.unit);
  parallel_for(ceil_div(tokens, together), [&](std::size_t item) {
    const std::size_t first = item * together, count = std::min(together, tokens - first);
    for (std::size_t p = 0; p < panels.count; ++p) {
      float* const out = panels.at(p) + first / kernel.unit * panels.width;
      pack_columns(x.data + first * x.stride + p * panels.width, x.stride, count,
                   std::min(panels.width, x.size - p * panels.width), out, panels.width);
      if (sign == Sign::minus)
        for (std::size_t i = 0; i < count * panels.width; ++i) out[i] = -out[i];
    }
  });
}

}  // namespace

void add_outer_products(const Variant& variant, const TokenRows& a, const TokenRows& b, std::size_t tokens, float* sums,
                        std::size_t sums_stride, Part part, Sign sign, Precision precision) {
  const MatmulKernel& kernel = precision == Precision::bf16 ? variant.bf16 : variant.f32;
  STRATA_CHECK(sign == Sign::plus || precision == Precision::f32);
  STRATA_CHECK(a.stride >= a.size && b.stride >= b.size && sums_stride >= b.size);
  thread_local Scratch left_scratch, right_scratch;
  const std::size_t block = std::min(kBlock, round_up(tokens, kernel.unit));
  const Panels left = make_panels(left_scratch, kernel, kernel.tile_tokens, a.size, block);
  const Panels right = make_panels(right_scratch, kernel, kernel.tile_rows, b.size, block);
  const std::size_t pieces = ceil_div(left.count, kLeftPanels);
  for (std::size_t t = 0; t < tokens; t += kBlock) {
    const std::size_t count = std::min(kBlock, tokens - t), units = ceil_div(count, kernel.unit);
    pack(kernel, kernel.pack_x_columns, {a.data + t * a.stride, a.size, a.stride}, count, left, sign);
    pack(kernel, kernel.pack_columns, {b.data + t * b.stride, b.size, b.stride}, count, right, Sign::plus);
    parallel_for(pieces * ceil_div(right.count, kRightPanels), [&](std::size_t item) {
      const InUse in_use(kernel);
      const std::size_t first = item % pieces * kLeftPanels, from = item / pieces * kRightPanels;
      for (std::size_t p = first; p < std::min(left.count, first + kLeftPanels); ++p) {
        const std::size_t row = p * left.width, height = std::min(left.width, a.size - row);
        for (std::size_t q = from; q < std::min(right.count, from + kRightPanels); ++q) {
          const std::size_t col = q * right.width;
          if (part == Part::lower && col >= row + height) break;
          kernel.tile(left.at(p), right.at(q), right.width, units, height, std::min(right.width, b.size - col),
                      sums + row * sums_stride + col, sums_stride, Update::add);
        }
      }
    });
  }
}

void add_outer_products(const Variant& variant, const float* a, std::size_t rows, const float* b, std::size_t cols,
                        std::size_t tokens, float* sums, Part part, Precision precision) {
  add_outer_products(variant, {a, rows, rows}, {b, cols, cols}, tokens, sums, cols, part, Sign::plus, precision);
}

void add_outer_products(const TokenRows& a, const TokenRows& b, std::size_t tokens, float* sums,
                        std::size_t sums_stride, Part part, Sign sign, Precision precision) {
  add_outer_products(selected_variant(), a, b, tokens, sums, sums_stride, part, sign, precision);
}

void add_outer_products(const float* a, std::size_t rows, const float* b, std::size_t cols, std::size_t tokens,
                        float* sums, Part part, Precision precision) {
  add_outer_products(selected_variant(), a, rows, b, cols, tokens, sums, part, precision);
}

}  // namespace strata::kernel
