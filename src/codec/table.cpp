// The table of codecs, and what follows from a codec's layout: sizes, allocation, whether a shape fits.
// A new codec is a row in its family's file; a new family is one file and one line here.
#include <algorithm>
#include <cmath>
#include <limits>

#include "codec/family.h"
#include "core/checked.h"
#include "core/error.h"
#include "core/numbers.h"
#include "core/suggest.h"

namespace strata::codec {
namespace {

const std::vector<Codec>& table() {
  static const std::vector<Codec> codecs = [] {
    std::vector<Codec> rows;
    append_keep(rows);
    append_int(rows);
    append_fp8(rows);
    append_fp8_block(rows);
    append_nvfp4(rows);
    append_mxfp(rows);
    append_ggml(rows);
    append_ggml_vectors(rows);
    append_ggml_iq1(rows);
    append_ggml_mxfp4(rows);
    append_ggml_nvfp4(rows);
    append_affine(rows);
    append_mlx_nvfp4(rows);
    append_mlx_mxfp(rows);
    return rows;
  }();
  return codecs;
}

/// The least power of two under which no weight of FP8 is cut, among those that BF16 holds as normal numbers.
float power_of_two_scale(float absmax) {
  int exponent = 0;
  const double mantissa = std::frexp(static_cast<double>(absmax) / static_cast<double>(kMostE4m3), &exponent);
  return std::ldexp(1.0f, std::max(mantissa > 0.5 ? exponent : exponent - 1, -126));  // mantissa: in [0.5, 1)
}

bool is_gguf_nvfp4(const Codec& codec) { return codec.container == Container::gguf && codec.tensor_scaled; }

}  // namespace

std::span<const Codec> all() { return table(); }

const Codec* find(std::string_view name) {
  const auto it = std::ranges::find(table(), name, &Codec::name);
  return it == table().end() ? nullptr : &*it;
}

const Codec& by_name(std::string_view name) {
  if (const Codec* codec = find(name)) return *codec;
  std::vector<std::string> names, one_of_each;
  for (const Codec& codec : table()) {
    if (names.empty() || codec.family != table()[names.size() - 1].family) one_of_each.push_back(codec.name);
    names.push_back(codec.name);
  }
  const std::string near = did_you_mean(name, names);
  if (near.empty())
    fail("there is no codec '{}'; one of each family: {} (docs/formats has all)", name, fmt::join(one_of_each, ", "));
  fail("there is no codec '{}'{}", name, near);
}

std::uint64_t PartSpec::bytes() const {
  const auto count = product(shape);
  const auto total = count ? multiply(*count, dtype_bytes(dtype)) : std::nullopt;
  return total.value_or(std::numeric_limits<std::uint64_t>::max());
}

std::string why_not(const Codec& codec, std::uint64_t rows, std::uint64_t cols) {
  if (rows == 0 || cols == 0) return fmt::format("({}, {}) holds no weights", rows, cols);
  if (codec.group_size != 0 && cols % codec.group_size != 0)
    return fmt::format("its groups of {} do not divide {} columns", codec.group_size, cols);
  if (is_gguf_nvfp4(codec) && cols % kNvfp4Block != 0)
    return fmt::format("its blocks of {} do not divide {} columns", kNvfp4Block, cols);
  if (codec.super_size != 0 && cols % codec.super_size != 0)
    return fmt::format("its super-blocks of {} do not divide {} columns", codec.super_size, cols);
  return {};
}

std::uint64_t stored_bytes(const Codec& codec, std::uint64_t rows, std::uint64_t cols) {
  std::uint64_t total = 0;
  for (const PartSpec& part : codec.layout(codec, rows, cols))
    total = add(total, part.bytes()).value_or(std::numeric_limits<std::uint64_t>::max());
  return total;
}

Stored allocate(const Codec& codec, std::size_t rows, std::size_t cols) {
  Stored stored{&codec, rows, cols, codec.layout(codec, rows, cols), {}, {}};
  for (const PartSpec& part : stored.specs) stored.parts.emplace_back(part.bytes());
  for (const auto& part : stored.parts) stored.views.emplace_back(part);
  return stored;
}

float tensor_scale(const Codec& codec, float absmax) {
  if (!codec.tensor_scaled || !(absmax > 0.0f)) return 1.0f;
  if (codec.family == Family::fp8) return power_of_two_scale(absmax);
  // The largest group scale becomes 448, the largest E4M3, when the group's largest weight is 6, the largest E2M1.
  const float wanted = std::min(kMostE4m3 * kMostE2m1 / absmax, std::numeric_limits<float>::max());
  // Multiplying by the inverse of a power of two is exact, and so is llama.cpp's multiplication of the products by it.
  return is_gguf_nvfp4(codec) ? std::exp2(std::min(std::floor(std::log2(wanted)), 126.0f)) : wanted;
}

}  // namespace strata::codec
