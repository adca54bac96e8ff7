// The stored tensors of one module as a codec::Stored, checked against the codec's layout.
// What a codec then reads is of the right dtype and shape, whatever the file says.
#include <cmath>
#include <cstring>
#include <optional>

#include "core/error.h"
#include "core/numbers.h"
#include "format/compressed_tensors.h"
#include "format/strict_json.h"

namespace strata::format {
namespace {

using Find = std::function<const TensorView*(std::string_view)>;
using Shape = std::vector<std::uint64_t>;

Shape without_ones(const Shape& shape) {
  Shape result;
  for (const std::uint64_t extent : shape)
    if (extent != 1) result.push_back(extent);
  return result;
}

/// Values of an F32 or F16 tensor as BF16, or nothing when one of them would change.
std::optional<std::vector<std::byte>> as_bf16(const TensorView& tensor) {
  const std::size_t width = dtype_bytes(tensor.dtype);
  const std::size_t count = tensor.data.size() / width;
  std::vector<std::byte> out(2 * count);
  for (std::size_t i = 0; i < count; ++i) {
    float value = 0;
    if (tensor.dtype == DType::f32) {
      std::memcpy(&value, tensor.data.data() + 4 * i, 4);
    } else {
      f16 half;
      std::memcpy(&half, tensor.data.data() + 2 * i, 2);
      value = to_float(half);
    }
    const bf16 narrow = to_bf16(value);
    if (to_float(narrow) != value) return std::nullopt;  // a NaN ends here too
    std::memcpy(out.data() + 2 * i, &narrow, 2);
  }
  return out;
}

bool same_bytes(DType stored, DType wanted) {
  return stored == wanted || (stored == DType::e8m0 && wanted == DType::u8);  // two names of one format
}

/// weight_shape repeats the shape of the linear; a file that disagrees with itself is refused.
void check_weight_shape(const TensorView& tensor, std::uint64_t rows, std::uint64_t cols, const std::string& where) {
  std::int64_t stored[2];
  std::memcpy(stored, tensor.data.data(), sizeof stored);
  if (stored[0] < 0 || stored[1] < 0 || static_cast<std::uint64_t>(stored[0]) != rows ||
      static_cast<std::uint64_t>(stored[1]) != cols)
    fail("{}: says ({}, {}), the model's configuration ({}, {})", where, stored[0], stored[1], rows, cols);
}

void check_global_scale(const TensorView& tensor, const std::string& where) {
  float value;
  std::memcpy(&value, tensor.data.data(), sizeof value);
  if (!std::isfinite(value) || value <= 0) fail("{}: is {}, a positive number is expected", where, value);
}

}  // namespace

codec::Stored bind_stored(const codec::Codec& codec, const std::string& module, std::uint64_t rows, std::uint64_t cols,
                          const Find& find, const std::string& where) {
  if (const std::string why = codec::why_not(codec, rows, cols); !why.empty())
    fail("{}: {} of shape ({}, {}) cannot be {}: {}", where, printable(module), rows, cols, codec.name, why);
  if (find(module + ".weight_g_idx") != nullptr)
    fail("{}: {} stores its columns in activation order (weight_g_idx), which cannot be read", where,
         printable(module));

  codec::Stored stored;
  stored.codec = &codec;
  stored.rows = rows;
  stored.cols = cols;
  stored.specs = codec.layout(codec, rows, cols);
  stored.parts.resize(stored.specs.size());
  for (std::size_t i = 0; i < stored.specs.size(); ++i) {
    const codec::PartSpec& spec = stored.specs[i];
    const std::string name = module + "." + spec.suffix;
    const std::string here = fmt::format("{}: tensor '{}'", where, printable(name));
    const TensorView* tensor = find(name);
    if (tensor == nullptr) fail("{}: is missing; the configuration says that the module is {}", here, codec.name);
    if (without_ones(tensor->shape) != without_ones(spec.shape))
      fail("{}: has the shape ({}), {} needs ({})", here, fmt::join(tensor->shape, ", "), codec.name,
           fmt::join(spec.shape, ", "));
    if (same_bytes(tensor->dtype, spec.dtype)) {
      stored.views.push_back(tensor->data);
    } else if (spec.dtype == DType::bf16 && (tensor->dtype == DType::f32 || tensor->dtype == DType::f16)) {
      auto narrowed = as_bf16(*tensor);
      if (!narrowed)
        fail("{}: is {} with values that BF16 cannot hold; only scales that are exact in BF16 can be read", here,
             dtype_name(tensor->dtype));
      stored.parts[i] = std::move(*narrowed);
      stored.views.push_back(stored.parts[i]);
    } else {
      fail("{}: is {}, {} needs {}", here, dtype_name(tensor->dtype), codec.name, dtype_name(spec.dtype));
    }
    if (spec.suffix == "weight_shape") check_weight_shape(*tensor, rows, cols, here);
    if (spec.suffix == "weight_global_scale") check_global_scale(*tensor, here);
  }
  return stored;
}

}  // namespace strata::format
