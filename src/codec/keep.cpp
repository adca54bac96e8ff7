// "keep": the weights as bf16, for linears that stay dense. It has no codes and no scales.
// bf16 weights are copied exactly; f16 and f32 are rounded half to even.
#include <cstring>

#include "codec/family.h"
#include "core/numbers.h"

namespace strata::codec {
namespace {

std::vector<PartSpec> layout(const Codec&, std::uint64_t rows, std::uint64_t cols) {
  return {{"weight", DType::bf16, {rows, cols}}};
}

void unpack(const Codec&, const Stored& in, std::size_t row, std::size_t col, std::size_t count, float* out) {
  for (std::size_t i = 0; i < count; ++i) out[i] = load_bf16(bytes_of(in, 0), row * in.cols + col + i);
}

void decode(const Variant& variant, const Stored& in, std::size_t row, std::size_t col, std::size_t count, float* out) {
  variant.widen_bf16(bytes_of(in, 0) + 2 * (row * in.cols + col), count, out);
}

void dot(const Variant& variant, const Stored& in, std::size_t row, std::size_t rows, FewRows x, float* y,
         std::size_t y_stride) {
  for (std::size_t r = row; r < row + rows; ++r, ++y)
    variant.dot_bf16(bytes_of(in, 0) + 2 * r * in.cols, x, y, y_stride);
}

constexpr RowFunctions kRows = {.decode = decode, .dot = dot};

}  // namespace

void keep_row(const MatrixView& weights, std::size_t row, Stored& out) {
  unsigned char* const stored = bytes_of(out, 0) + 2 * row * out.cols;
  if (weights.dtype == DType::bf16) {
    std::memcpy(stored, weights.row(row), 2 * out.cols);
    return;
  }
  std::vector<float> widened(out.cols);
  read_row(weights, row, 0, out.cols, widened.data());
  for (std::size_t c = 0; c < out.cols; ++c) store_bf16(stored, c, widened[c]);
}

void append_keep(std::vector<Codec>& table) {
  table.push_back({.name = "keep",
                   .family = Family::keep,
                   .container = Container::any,
                   .code_bits = 16,
                   .layout = layout,
                   .unpack = unpack,
                   .rows = &kRows});
}

}  // namespace strata::codec
