// Fuzzes parse_gguf: any bytes give tensors inside the file, or Error; a row of each readable tensor is decoded.
// Every span is touched, so that the address sanitizer sees one that leaves the file.
#include "format/gguf.h"

#include "core/error.h"

using namespace strata;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const auto content = format::parse_gguf(std::as_bytes(std::span(data, size)), "input");
    for (const format::GgufTensor& tensor : content.tensors) {
      try {
        const std::uint64_t cols = tensor.shape.back();
        const std::uint64_t row_bytes = format::ggml_row_bytes(tensor.type, cols, tensor.name);
        if (tensor.data.size() < row_bytes || row_bytes == 0) continue;
        // First, since a file that ends early has no such bytes, whatever its header says of columns.
        const std::span<const std::byte> last = tensor.data.subspan(tensor.data.size() - row_bytes, row_bytes);
        std::vector<float> row(cols);
        format::ggml_dequantize_row(tensor.type, last.data(), cols, row.data());
      } catch (const Error&) {
        continue;
      }
    }
  } catch (const Error&) {
    return 0;
  }
  return 0;
}
