// An expert's factor is found by where in the stack its bytes begin.
#include "model/gguf/factors.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <set>

#include "core/error.h"
#include "model/gguf/families.h"
#include "model/gguf/names.h"

namespace strata::model {
namespace {

/// Architectures of which tests/peers/test_llama_cpp.py has seen that llama.cpp multiplies by the factors. It loads
/// those of qwen2 and leaves them out of what it computes.
constexpr std::array<std::string_view, 3> kMultiplying{"llama", "qwen3", "qwen3moe"};

/// The names of tensors that are parts of the architecture.
std::set<std::string, std::less<>> part_names(const Architecture& a) {
  std::set<std::string, std::less<>> names;
  for (std::size_t b = 0; b < a.blocks; ++b)
    for (GgufName& name : gguf_part_names(a, b)) names.insert(std::move(name.gguf));
  return names;
}

std::vector<float> values_of(const format::GgufTensor& tensor, std::size_t count, const std::string& where) {
  if (format::ggml_dense_type(tensor.type) != DType::f32 || tensor.data.size() != count * sizeof(float))
    fail("{}: {} is {} of shape [{}], expected {} numbers in F32", where, tensor.name,
         format::ggml_type_name(tensor.type), fmt::join(tensor.shape, ", "), count);
  std::vector<float> values(count);
  std::memcpy(values.data(), tensor.data.data(), tensor.data.size());
  for (const float value : values)
    if (!std::isfinite(value)) fail("{}: {} holds {}", where, tensor.name, value);
  return values;
}

}  // namespace

GgufFactors::GgufFactors(const Architecture& architecture, Tensors& tensors, const std::string& where) {
  const std::set<std::string, std::less<>> parts = part_names(architecture);
  constexpr std::string_view kWeight = ".weight";
  std::vector<std::string> matrices;
  for (const auto& [name, tensor] : tensors)
    if (name.ends_with(kWeight) && tensor.shape.size() > 1) matrices.push_back(name);
  for (const std::string& name : matrices) {
    tensors.erase(name.substr(0, name.size() - kWeight.size()) + ".input_scale");
    const std::string factor = gguf_factor_name(name);
    if (parts.contains(factor)) continue;
    const auto node = tensors.extract(factor);
    if (!node) continue;
    const format::GgufTensor &matrix = tensors.at(name), &numbers = node.mapped();
    const std::size_t count = matrix.shape.size() == 3 ? matrix.shape.front() : 1;
    factors_[name] = {values_of(numbers, count, where), matrix.data, numbers.data};
  }
}

float GgufFactors::of(const format::GgufTensor& tensor) const {
  const auto it = factors_.find(tensor.name);
  if (it == factors_.end()) return 1.0f;
  const Factors& factors = it->second;
  const std::size_t each = factors.stack.size() / factors.values.size();
  return factors.values[static_cast<std::size_t>(tensor.data.data() - factors.stack.data()) / each];
}

std::string why_no_factor(const Architecture& a, const Linear& linear) {
  if (std::ranges::find(kMultiplying, gguf_family_of(a).name) == kMultiplying.end())
    return fmt::format("llama.cpp is not known to multiply by the factor that NVFP4 needs in {} models", a.model_type);
  switch (linear.role) {
    case Role::q:
    case Role::k:
    case Role::v:
    case Role::o:
    case Role::gate:
    case Role::up:
    case Role::down:
      return {};
    default:
      return fmt::format("llama.cpp is not known to multiply by the factor that NVFP4 needs beside {}", linear.module);
  }
}

bool holds_factor(const codec::Codec& codec, float factor) {
  int exponent = 0;
  return factor == 1.0f ||
         (codec.tensor_scaled && factor > 0.0f && std::isnormal(factor) && std::frexp(factor, &exponent) == 0.5f);
}

std::vector<std::span<const std::byte>> GgufFactors::bytes() const {
  std::vector<std::span<const std::byte>> result;
  for (const auto& [name, factors] : factors_) result.push_back(factors.bytes);
  return result;
}

}  // namespace strata::model
