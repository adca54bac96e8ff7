// Fuzzes parse_safetensors: any bytes give tensors inside the file, or Error. What is read whole is read by its header.
// What is read is written again and must be read as the same.
#include "format/safetensors.h"

#include <cstdlib>

#include "core/error.h"

using namespace strata;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  std::vector<format::TensorView> tensors;
  bool by_header = false;
  try {
    by_header = !format::parse_safetensors(bytes, "input", format::Required::header).empty();
    tensors = format::parse_safetensors(bytes, "input");
  } catch (const Error&) {
    return 0;
  }
  if (by_header == tensors.empty()) abort();
  std::vector<format::TensorSpec> specs;
  std::size_t total = 0;
  for (const format::TensorView& tensor : tensors) {
    total += tensor.data.size();
    if (!tensor.data.empty() &&
        (tensor.data.data() < bytes.data() || &tensor.data[tensor.data.size() - 1] > &bytes.back()))
      abort();
    specs.push_back({tensor.name, tensor.dtype, tensor.shape});
  }
  std::string copy = format::safetensors_header(specs);
  copy.append(total, '\0');
  const auto again = format::parse_safetensors(std::as_bytes(std::span(copy)), "copy");
  if (again.size() != tensors.size()) abort();
  return 0;
}
