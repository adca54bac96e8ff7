// A matrix whose scales are no bf16 is read by its codes: a copy of it with scales of 1 and biases of 0 decodes to
// them. Shapes are compared before anything is read.
#include "format/mlx.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "core/checked.h"
#include "core/error.h"
#include "core/matrix.h"
#include "core/numbers.h"
#include "core/threads.h"
#include "format/strict_json.h"

namespace strata::format {
namespace {

using codec::Codec;
using codec::Family;
using Shape = std::vector<std::uint64_t>;

std::string_view mode_of(const Codec& codec) {
  switch (codec.family) {
    case Family::nvfp4:
      return "nvfp4";
    case Family::mxfp4:
      return "mxfp4";
    case Family::mxfp8:
      return "mxfp8";
    default:
      return "affine";
  }
}

json scheme_of_mlx(const Codec& codec) {
  return {{"group_size", codec.group_size}, {"bits", codec.code_bits}, {"mode", mode_of(codec)}};
}

bool says_group_and_bits(const json& config, const char* key) {
  const auto it = config.find(key);
  if (it == config.end() || !it->is_object() || it->contains("quant_method")) return false;
  return it->contains("group_size") && it->contains("bits");
}

bool is_float(DType type) { return type == DType::bf16 || type == DType::f16 || type == DType::f32; }

/// The codec of MLX with these bits and groups; affine: whether it has biases. nullptr when there is none.
const Codec* codec_of_mlx(std::uint64_t bits, std::uint64_t group_size, bool affine) {
  const auto fits = [&](const Codec& codec) {
    return codec.container == codec::Container::mlx && codec.code_bits == bits && codec.group_size == group_size &&
           (codec.family == Family::affine) == affine;
  };
  const auto codec = std::ranges::find_if(codec::all(), fits);
  return codec == codec::all().end() ? nullptr : &*codec;
}

[[noreturn]] void fail_tensor(const TensorView& tensor, const std::string& where, const std::string& what) {
  fail("{}: {} is {} of shape [{}]; {}", where, printable(tensor.name), dtype_name(tensor.dtype),
       fmt::join(tensor.shape, ", "), what);
}

}  // namespace

json mlx_quantization(std::span<const ModuleCodec> modules) {
  std::map<const Codec*, std::size_t> counts;
  const Codec* most = nullptr;
  for (const ModuleCodec& module : modules)
    if (module.codec->has_codes())
      if (const std::size_t count = ++counts[module.codec]; most == nullptr || count > counts[most])
        most = module.codec;
  if (most == nullptr) return nullptr;
  json result = scheme_of_mlx(*most);
  for (const ModuleCodec& module : modules) {
    if (!module.codec->has_codes()) continue;
    STRATA_CHECK(module.codec->container == codec::Container::mlx && !result.contains(module.module), "{}: {}",
                 module.module, module.codec->name);
    result[module.module] = scheme_of_mlx(*module.codec);
  }
  return result;
}

bool is_mlx_quantization(const json& config) {
  return says_group_and_bits(config, "quantization") || says_group_and_bits(config, "quantization_config");
}

std::optional<MlxMatrix> MlxMatrix::find(const std::string& module, std::uint64_t planes, std::uint64_t rows,
                                         std::uint64_t cols, const Find& find, const std::string& where) {
  const TensorView *codes = find(module + ".weight"), *scales = find(module + ".scales");
  if (codes == nullptr || scales == nullptr || codes->dtype != DType::u32) return std::nullopt;
  const TensorView* biases = find(module + ".biases");
  Shape outer = planes == 0 ? Shape{rows} : Shape{planes, rows};
  for (const TensorView* part : {codes, scales})
    if (part->shape.size() != outer.size() + 1 || !std::equal(outer.begin(), outer.end(), part->shape.begin()))
      fail_tensor(*part, where, fmt::format("config.json asks for [{}, ...]", fmt::join(outer, ", ")));
  const std::uint64_t words = codes->shape.back(), groups = scales->shape.back();
  const std::uint64_t bits = multiply(words, std::uint64_t{32}).value_or(0);
  const bool affine = biases != nullptr, whole = cols != 0 && groups != 0 && cols % groups == 0 && bits % cols == 0;
  MlxMatrix result;
  result.codec_ = whole ? codec_of_mlx(bits / cols, cols / groups, affine) : nullptr;
  if (result.codec_ == nullptr)
    fail_tensor(
        *codes, where,
        fmt::format("with {} scales a row for {} columns it is no quantization of MLX that can be read: affine of "
                    "2, 3, 4, 5, 6 or 8 bits in groups of 32, 64 or 128, mxfp4, mxfp8 or nvfp4",
                    groups, cols));
  if (affine ? !is_float(scales->dtype) : scales->dtype != DType::u8)
    fail_tensor(*scales, where, affine ? "expected are BF16, F16 or F32" : "expected are U8");
  if (affine && (biases->shape != scales->shape || biases->dtype != scales->dtype))
    fail_tensor(*biases, where, "scales and biases must be alike");
  result.parts_ = {codes, scales};
  if (affine) result.parts_.push_back(biases);
  result.planes_ = std::max<std::uint64_t>(planes, 1);
  result.rows_ = rows;
  result.cols_ = cols;
  result.native_ = !affine || scales->dtype == DType::bf16;
  return result;
}

std::vector<std::span<const std::byte>> MlxMatrix::spans(std::uint64_t plane) const {
  std::vector<std::span<const std::byte>> result;
  for (const TensorView* part : parts_) {
    const std::uint64_t bytes = part->data.size() / planes_;
    result.push_back(part->data.subspan(plane * bytes, bytes));
  }
  return result;
}

std::uint64_t MlxMatrix::plane_bytes() const {
  std::uint64_t bytes = 0;
  for (const TensorView* part : parts_) bytes += part->data.size() / planes_;
  return bytes;
}

codec::Stored MlxMatrix::plane(std::uint64_t plane) const {
  STRATA_CHECK(native_, "{}", parts_.front()->name);
  codec::Stored stored{codec_, rows_, cols_, codec_->layout(*codec_, rows_, cols_), {}, spans(plane)};
  stored.parts.resize(stored.views.size());
  return stored;
}

std::vector<float> MlxMatrix::values(std::uint64_t plane) const {
  std::vector<float> weights(rows_ * cols_);
  codec::Stored stored;
  if (native_) {
    stored = this->plane(plane);
  } else {
    stored = codec::allocate(*codec_, rows_, cols_);
    const bf16 one = to_bf16(1.0f);
    for (std::size_t at = 0; at < stored.parts[1].size(); at += sizeof one)
      std::memcpy(stored.parts[1].data() + at, &one, sizeof one);
    stored.views[0] = spans(plane)[0];
  }
  const std::vector<std::span<const std::byte>> given = spans(plane);
  const std::size_t groups = codec_->groups_per_row(cols_);
  parallel_for(rows_, [&](std::size_t r) {
    float* const row = weights.data() + r * cols_;
    codec::decode_row(stored, r, 0, cols_, row);
    if (native_) return;
    std::vector<float> scales(groups), biases(groups);
    read_row(MatrixView::dense(given[1].data(), rows_, groups, parts_[1]->dtype), r, 0, groups, scales.data());
    read_row(MatrixView::dense(given[2].data(), rows_, groups, parts_[2]->dtype), r, 0, groups, biases.data());
    for (std::size_t c = 0; c < cols_; ++c) {
      const std::size_t g = c / codec_->group_size;
      row[c] = row[c] * scales[g] + biases[g];
    }
  });
  return weights;
}

}  // namespace strata::format
