// The rules are those by which vLLM chooses its kernels; a scale is read wherever a kernel would read one.
// ModelOpt stores what a code of 1 stands for, compressed-tensors stores NVFP4's divisor.
#include "model/hf/input_rounding.h"

#include <limits>

#include "core/matrix.h"

namespace strata::model {
namespace {

using Kind = codec::ActivationRounding::Kind;
using format::EncodedMatrix;
using format::TensorView;

constexpr std::uint64_t kFp8Group = 128;

bool is_scale(float value) {
  return value > 0.0f && value <= std::numeric_limits<float>::max() &&
         1.0f / value <= std::numeric_limits<float>::max();
}

}  // namespace

std::optional<float> scale_in(const TensorView* tensor) {
  if (tensor == nullptr) return std::nullopt;
  for (const std::uint64_t extent : tensor->shape)
    if (extent != 1) return std::nullopt;
  if (tensor->dtype != DType::f32 && tensor->dtype != DType::bf16 && tensor->dtype != DType::f16) return std::nullopt;
  float value = 0.0f;
  read_row(MatrixView::dense(tensor->data.data(), 1, 1, tensor->dtype), 0, 0, 1, &value);
  return is_scale(value) ? std::optional(value) : std::nullopt;
}

InputRounding InputRounding::of_method(const std::string& method, const json& config) {
  InputRounding result;
  result.method_ = method;
  const auto it = config.is_object() ? config.find("activation_scheme") : config.end();
  if (it != config.end() && it->is_string()) result.scheme_ = it->get<std::string>();
  return result;
}

Kind InputRounding::of_place(const Place& place) const {
  if (place.mlx != nullptr) return Kind::none;
  const EncodedMatrix& stack = place.stack;
  if (stack.kind() == EncodedMatrix::Kind::dense || stack.kind() == EncodedMatrix::Kind::mxfp4) return Kind::none;
  if (method_ == "modelopt") return stack.kind() == EncodedMatrix::Kind::nvfp4 ? Kind::nvfp4 : Kind::e4m3_tensor;
  if (method_ != "fp8" || stack.kind() != EncodedMatrix::Kind::fp8) return Kind::unknown;
  if (scheme_ == "static") return Kind::e4m3_tensor;
  if (scheme_ != "dynamic") return Kind::unknown;
  if (stack.scale_group() == kFp8Group) return Kind::e4m3_groups;
  return stack.scale_group() >= stack.cols() ? Kind::e4m3_token : Kind::unknown;
}

codec::ActivationRounding with_scale(Kind kind, const std::function<const TensorView*(std::string_view)>& find) {
  const codec::ActivationRounding missing{Kind::unknown, 1.0f};
  if (kind == Kind::e4m3_tensor) {
    const auto scale = scale_in(find(format::input_scale_name(kind)));
    return scale ? codec::ActivationRounding{kind, *scale} : missing;
  }
  if (kind != Kind::nvfp4) return {kind, 1.0f};
  if (const auto divisor = scale_in(find(format::input_scale_name(kind)))) return {kind, *divisor};
  const auto scale = scale_in(find("input_scale"));
  return scale ? codec::ActivationRounding{kind, 1.0f / *scale} : missing;
}

}  // namespace strata::model
