// Fuzzes EncodedMatrix: any safetensors file whose tensors are taken as codes, scales and tensor scales in turn gives
// matrices whose rows can all be read, or Error.
#include "format/encoded_matrix.h"

#include "core/error.h"

using namespace strata;

namespace {

void read_all(const format::EncodedMatrix& matrix) {
  constexpr std::uint64_t most = 1 << 16;
  if (matrix.cols() > most || matrix.planes() > 64) return;
  std::vector<float> row(matrix.cols());
  for (std::uint64_t plane = 0; plane < matrix.planes(); ++plane)
    for (std::uint64_t r = 0; r < std::min<std::uint64_t>(matrix.rows(), 64); ++r)
      matrix.read_row(plane, r, row.data());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto tensors = format::parse_safetensors({reinterpret_cast<const std::byte*>(data), size}, "input");
    for (std::size_t i = 0; i < std::min<std::size_t>(tensors.size(), 8); ++i) {
      const auto part = [&](std::size_t at) { return at < tensors.size() ? &tensors[at] : nullptr; };
      for (const bool stacked : {false, true}) try {
          read_all({{&tensors[i], part(i + 1), part(i + 2)}, stacked, {size % 7 + 1, size % 5 + 1}, "input"});
        } catch (const Error&) {
          continue;
        }
    }
  } catch (const Error&) {
    return 0;
  }
  return 0;
}
