// Fuzzes MlxMatrix: any safetensors file whose tensors are m.weight, m.scales and m.biases gives a matrix, or a stack,
// whose weights can all be read, or Error.
#include "format/mlx.h"

#include "core/error.h"

using namespace strata;

namespace {

void read_all(const format::MlxMatrix& matrix, std::uint64_t planes) {
  for (std::uint64_t plane = 0; plane < std::max<std::uint64_t>(planes, 1); ++plane) {
    matrix.values(plane);
    if (matrix.is_native()) matrix.plane(plane);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto tensors = format::parse_safetensors({reinterpret_cast<const std::byte*>(data), size}, "input");
    const auto find = [&](std::string_view name) -> const format::TensorView* {
      for (const format::TensorView& tensor : tensors)
        if (tensor.name == name) return &tensor;
      return nullptr;
    };
    for (const std::uint64_t planes : {0, 1, 3})
      for (const std::uint64_t rows : {1, 2, 5})
        for (const std::uint64_t cols : {0, 32, 64, 128, 100}) try {
            if (const auto matrix = format::MlxMatrix::find("m", planes, rows, cols, find, "input"))
              read_all(*matrix, planes);
          } catch (const Error&) {
            continue;
          }
  } catch (const Error&) {
    return 0;
  }
  return 0;
}
