// Shapes are compared before anything is read: afterwards every row of every plane has its codes and scales.
// A weight is its code's value times its scale, rounded once to f32.
#include "format/encoded_matrix.h"

#include <algorithm>
#include <cstring>

#include "core/checked.h"
#include "core/matrix.h"
#include "core/numbers.h"
#include "format/strict_json.h"

namespace strata::format {
namespace {

using Shape = std::vector<std::uint64_t>;

constexpr std::uint64_t kMxGroup = 32, kNvGroup = 16;

bool is_dense(DType type) { return type == DType::bf16 || type == DType::f16 || type == DType::f32; }

std::string name_at(const TensorView& tensor, const std::string& where) {
  return fmt::format("{}: {}", where, printable(tensor.name));
}

[[noreturn]] void fail_shape(const TensorView& tensor, const TensorView& codes, const std::string& where) {
  fail("{} has shape [{}], which does not fit {} of shape [{}]", name_at(tensor, where), fmt::join(tensor.shape, ", "),
       printable(codes.name), fmt::join(codes.shape, ", "));
}

const std::array<float, 256>& e4m3_values() {
  static const std::array<float, 256> values = [] {
    std::array<float, 256> table{};
    for (unsigned code = 0; code < 256; ++code) table[code] = e4m3_to_float(static_cast<std::uint8_t>(code));
    return table;
  }();
  return values;
}

std::uint8_t byte_at(const TensorView& tensor, std::uint64_t index) {
  return static_cast<std::uint8_t>(tensor.data[index]);
}

float scale_at(const TensorView& tensor, std::uint64_t index) {
  if (tensor.dtype == DType::e4m3) return e4m3_values()[byte_at(tensor, index)];
  if (tensor.dtype == DType::e8m0 || tensor.dtype == DType::u8) return e8m0_to_float(byte_at(tensor, index));
  float value = 0;
  read_row(MatrixView::dense(tensor.data.data() + index * dtype_bytes(tensor.dtype), 1, 1, tensor.dtype), 0, 0, 1,
           &value);
  return value;
}

/// How many of `extent` weights share a scale where there are `count` scales; 0: no such scales.
std::uint64_t shared_by(std::uint64_t extent, std::uint64_t count, std::uint64_t block) {
  if (count == 1) return std::max<std::uint64_t>(extent, 1);
  if (count == extent) return 1;
  return block != 0 && count == ceil_div(extent, block) ? block : 0;
}

/// Two values a byte, the lower four bits first, each times its group's scale.
void read_fp4(const TensorView& codes, std::uint64_t first, std::uint64_t cols, std::uint64_t group,
              const TensorView& scales, std::uint64_t first_scale, float factor, float* out) {
  for (std::uint64_t g = 0; g < cols / group; ++g) {
    const float scale = scale_at(scales, first_scale + g) * factor;
    for (std::uint64_t i = 0; i < group; ++i) {
      const std::uint64_t c = g * group + i;
      out[c] = e2m1_to_float(static_cast<std::uint8_t>(byte_at(codes, first + c / 2) >> (c % 2 * 4))) * scale;
    }
  }
}

}  // namespace

EncodedMatrix::EncodedMatrix(const EncodedParts& parts, bool stacked, Block block, const std::string& where)
    : parts_(parts), block_(block) {
  const TensorView& codes = *parts.codes;
  const bool fp4 = codes.dtype == DType::u8 && parts.scales != nullptr;
  if (fp4 && parts.tensor_scales == nullptr) {
    bind_mxfp4(stacked, where);
    return;
  }
  if (codes.shape.size() != (stacked ? 3u : 2u))
    fail("{} has shape [{}], expected {} extents", name_at(codes, where), fmt::join(codes.shape, ", "),
         stacked ? 3 : 2);
  planes_ = stacked ? codes.shape[0] : 1;
  rows_ = codes.shape[codes.shape.size() - 2];
  cols_ = codes.shape.back();
  if (fp4)
    bind_nvfp4(stacked, where);
  else if (codes.dtype == DType::e4m3)
    bind_fp8(stacked, where);
  else if (is_dense(codes.dtype))
    row_bytes_ = cols_ * dtype_bytes(codes.dtype);
  else
    fail("{} is {}{}, which cannot be read; read are BF16, F16, F32, F8_E4M3 with scales, MXFP4 and NVFP4",
         name_at(codes, where), dtype_name(codes.dtype), parts.scales == nullptr ? " without scales beside it" : "");
}

EncodedMatrix EncodedMatrix::column(const TensorView& tensor, const std::string& where) {
  if (tensor.shape.size() != 2 || !is_dense(tensor.dtype))
    fail("{} is {} of shape [{}], expected BF16, F16 or F32 of two extents", name_at(tensor, where),
         dtype_name(tensor.dtype), fmt::join(tensor.shape, ", "));
  EncodedMatrix result;
  result.parts_.codes = &tensor;
  result.planes_ = tensor.shape[0];
  result.rows_ = tensor.shape[1];
  result.cols_ = 1;
  result.row_bytes_ = dtype_bytes(tensor.dtype);
  return result;
}

void EncodedMatrix::bind_fp8(bool stacked, const std::string& where) {
  const TensorView& codes = *parts_.codes;
  if (parts_.scales == nullptr) fail("{} is F8_E4M3, but the file has no scales for it", name_at(codes, where));
  const TensorView& scales = *parts_.scales;
  if (!is_dense(scales.dtype) && scales.dtype != DType::e8m0)
    fail("{} is {}, expected scales in F32, F16, BF16 or F8_E8M0", name_at(scales, where), dtype_name(scales.dtype));
  Shape shape = scales.shape;
  if (stacked) {
    if (shape.empty() || shape.front() != planes_) fail_shape(scales, codes, where);
    shape.erase(shape.begin());
  }
  while (shape.size() < 2) shape.push_back(1);  // one scale, or one a row
  if (shape.size() != 2) fail_shape(scales, codes, where);
  block_ = {shared_by(rows_, shape[0], block_[0]), shared_by(cols_, shape[1], block_[1])};
  if (block_[0] == 0 || block_[1] == 0) fail_shape(scales, codes, where);
  kind_ = Kind::fp8;
  scale_cols_ = shape[1];
  row_bytes_ = cols_;
}

void EncodedMatrix::bind_mxfp4(bool stacked, const std::string& where) {
  const TensorView &codes = *parts_.codes, &scales = *parts_.scales;
  const std::size_t first = stacked ? 1 : 0;
  if (codes.shape.size() != first + 3 || codes.shape.back() != kMxGroup / 2 || codes.data.empty())
    fail("{} has shape [{}], expected groups of {} bytes", name_at(codes, where), fmt::join(codes.shape, ", "),
         kMxGroup / 2);
  if (scales.dtype != DType::u8 && scales.dtype != DType::e8m0)
    fail("{} is {}, expected U8 or F8_E8M0", name_at(scales, where), dtype_name(scales.dtype));
  if (scales.shape != Shape(codes.shape.begin(), codes.shape.end() - 1)) fail_shape(scales, codes, where);
  kind_ = Kind::mxfp4;
  planes_ = stacked ? codes.shape[0] : 1;
  rows_ = codes.shape[first];
  scale_cols_ = codes.shape[first + 1];
  cols_ = scale_cols_ * kMxGroup;
  row_bytes_ = cols_ / 2;
}

void EncodedMatrix::bind_nvfp4(bool stacked, const std::string& where) {
  const TensorView &codes = *parts_.codes, &scales = *parts_.scales, &factor = *parts_.tensor_scales;
  if (scales.dtype != DType::e4m3) fail("{} is {}, expected F8_E4M3", name_at(scales, where), dtype_name(scales.dtype));
  Shape expected = codes.shape;
  expected.back() = ceil_div(codes.shape.back(), kNvGroup / 2);
  if (codes.data.empty() || codes.shape.back() % (kNvGroup / 2) != 0 || scales.shape != expected)
    fail_shape(scales, codes, where);
  const std::uint64_t factors = product(factor.shape).value_or(0);
  if (factor.dtype != DType::f32 || (factors != 1 && !(stacked && factors == planes_)))
    fail_shape(factor, codes, where);
  kind_ = Kind::nvfp4;
  scale_cols_ = expected.back();
  row_bytes_ = cols_;
  cols_ *= 2;
}

std::string EncodedMatrix::type() const {
  const std::string name(dtype_name(parts_.codes->dtype));
  if (kind_ == Kind::mxfp4) return "MXFP4";
  if (kind_ == Kind::nvfp4) return "NVFP4";
  if (kind_ == Kind::dense) return name;
  const bool all_rows = block_[0] == rows_, all_cols = block_[1] == cols_;
  if (all_rows && all_cols) return name + " with one scale";
  if (all_cols && block_[0] == 1) return name + " with a scale a row";
  if (all_rows && block_[1] == 1) return name + " with a scale a column";
  return fmt::format("{} in blocks of {} x {}", name, block_[0], block_[1]);
}

std::uint64_t EncodedMatrix::plane_bytes() const {
  std::uint64_t bytes = 0;
  for (const TensorView* part : {parts_.codes, parts_.scales, parts_.tensor_scales})
    if (part != nullptr) bytes += part->data.size() / std::max<std::uint64_t>(planes_, 1);
  return bytes;
}

std::span<const std::byte> EncodedMatrix::plane_of(const TensorView& tensor, std::uint64_t plane) const {
  const std::uint64_t bytes = tensor.data.size() / planes_;
  return tensor.data.subspan(plane * bytes, bytes);
}

void EncodedMatrix::read_scales(std::uint64_t plane, std::uint64_t row, float* out) const {
  const std::uint64_t first = (plane * ceil_div(rows_, block_[0]) + row / block_[0]) * scale_cols_;
  for (std::uint64_t i = 0; i < scale_cols_; ++i) out[i] = scale_at(*parts_.scales, first + i);
}

void EncodedMatrix::read_row(std::uint64_t plane, std::uint64_t row, float* out) const {
  const TensorView& codes = *parts_.codes;
  const std::uint64_t index = plane * rows_ + row, first = index * row_bytes_;
  switch (kind_) {
    case Kind::dense:
      return strata::read_row(MatrixView::dense(codes.data.data() + first, 1, cols_, codes.dtype), 0, 0, cols_, out);
    case Kind::fp8: {
      std::vector<float> scales(scale_cols_);
      read_scales(plane, row, scales.data());
      for (std::uint64_t c = 0; c < cols_; ++c)
        out[c] = e4m3_values()[byte_at(codes, first + c)] * scales[c / block_[1]];
      return;
    }
    case Kind::mxfp4:
      return read_fp4(codes, first, cols_, kMxGroup, *parts_.scales, index * scale_cols_, 1.0f, out);
    case Kind::nvfp4: {
      const std::uint64_t factors = parts_.tensor_scales->data.size() / sizeof(float);
      const float factor = scale_at(*parts_.tensor_scales, factors == 1 ? 0 : plane);
      return read_fp4(codes, first, cols_, kNvGroup, *parts_.scales, index * scale_cols_, factor, out);
    }
  }
}

}  // namespace strata::format
