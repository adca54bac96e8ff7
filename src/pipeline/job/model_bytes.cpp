// Sizes of a model's weights.
#include "pipeline/job/model_bytes.h"

#include <map>
#include <string>

namespace strata::pipeline {

std::vector<std::uint64_t> weight_bytes(const model::Model& model) {
  std::map<std::string, std::uint64_t> in_file;
  for (const model::TensorInfo& tensor : model.tensors()) in_file[tensor.name] = tensor.bytes;
  std::vector<std::uint64_t> bytes;
  for (const model::Linear& linear : model.architecture().linears) bytes.push_back(in_file[linear.module + ".weight"]);
  return bytes;
}

std::uint64_t dequantized_bytes(const model::Model& model, const model::Linear& linear) {
  const bool decoded = model.from_gguf() || model.is_reordered(linear) || model.codec_of(linear) != nullptr;
  return decoded ? linear.rows * linear.cols * sizeof(float) : model.copied_bytes(linear);
}

}  // namespace strata::pipeline
