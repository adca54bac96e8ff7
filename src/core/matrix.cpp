// Reading a row of any of the dense types as f32, and writing one.
// memcpy throughout: mapped tensors need not be aligned.
#include "core/matrix.h"

#include <cstring>

#include "core/error.h"
#include "core/numbers.h"

namespace strata {

void read_row(const MatrixView& matrix, std::size_t row, std::size_t col, std::size_t count, float* out) {
  const std::byte* in = matrix.row(row) + col * dtype_bytes(matrix.dtype);
  switch (matrix.dtype) {
    case DType::f32:
      std::memcpy(out, in, count * sizeof(float));
      return;
    case DType::bf16:
      for (std::size_t i = 0; i < count; ++i) {
        bf16 value;
        std::memcpy(&value, in + 2 * i, 2);
        out[i] = to_float(value);
      }
      return;
    case DType::f16:
      for (std::size_t i = 0; i < count; ++i) {
        f16 value;
        std::memcpy(&value, in + 2 * i, 2);
        out[i] = to_float(value);
      }
      return;
    default:
      STRATA_CHECK(false, "dtype {}", dtype_name(matrix.dtype));
  }
}

void narrow_row(std::span<const float> values, DType dtype, std::byte* out) {
  const auto each = [&](auto narrow) {
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto value = narrow(values[i]);
      std::memcpy(out + i * sizeof value, &value, sizeof value);
    }
  };
  if (dtype == DType::f32)
    each([](float value) { return value; });
  else if (dtype == DType::bf16)
    each(to_bf16);
  else if (dtype == DType::f16)
    each(to_f16);
  else
    STRATA_CHECK(false, "dtype {}", dtype_name(dtype));
}

}  // namespace strata
