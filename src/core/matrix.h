// A dense row-major matrix somewhere in memory (often in a mapped file), of bf16, f16 or f32.
// The common currency between files, codecs and kernels.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/dtype.h"

namespace strata {

/// A view of (rows, cols) values whose rows are `row_stride_bytes` apart. The data may be unaligned, and belongs to
/// somebody else.
struct MatrixView {
  const std::byte* data = nullptr;
  std::size_t rows = 0, cols = 0;
  DType dtype = DType::f32;  // bf16, f16 or f32
  std::size_t row_stride_bytes = 0;

  static MatrixView dense(const void* data, std::size_t rows, std::size_t cols, DType dtype) {
    return {static_cast<const std::byte*>(data), rows, cols, dtype, cols * dtype_bytes(dtype)};
  }
  /// A part of a wider matrix of f32, whose rows are `stride` floats apart.
  static MatrixView strided(const float* data, std::size_t rows, std::size_t cols, std::size_t stride) {
    return {reinterpret_cast<const std::byte*>(data), rows, cols, DType::f32, stride * sizeof(float)};
  }
  const std::byte* row(std::size_t r) const { return data + r * row_stride_bytes; }
  std::size_t weights() const { return rows * cols; }
};

/// Widens `count` values of row `row`, from column `col` on, to f32.
void read_row(const MatrixView& matrix, std::size_t row, std::size_t col, std::size_t count, float* out);
/// Writes f32 values as `dtype` (bf16 or f16, rounded to nearest, or f32) to `out`, which may be unaligned.
void narrow_row(std::span<const float> values, DType dtype, std::byte* out);

}  // namespace strata
