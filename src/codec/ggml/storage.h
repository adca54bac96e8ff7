// What every GGUF type's codec does alike: one part, "weight", whose rows are blocks one after the other.
// A type derives its functions from GgmlStorage and has a kLayout.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "codec/family.h"

namespace strata::codec {

/// A block: its sizes, and the functions that read and write its bits. store_codes and store_groups each leave the
/// other's bits as they are.
struct GgmlLayout {
  const char* name = nullptr;
  unsigned code_bits = 0;
  std::size_t group_size = 32, block_weights = 32, block_bytes = 0;
  BlockType type = BlockType::f32;
  void (*store_codes)(const std::uint8_t* codes, unsigned char* block) = nullptr;
  void (*store_groups)(const GroupParams* groups, unsigned char* block) = nullptr;
  std::size_t groups() const { return block_weights / group_size; }
  std::size_t row_bytes(std::size_t cols) const { return cols / block_weights * block_bytes; }
};

template <class Type>
struct GgmlStorage {
  /// A row of the codec table, to which a type adds how it fits, rounds and reads its weights.
  static Codec codec() {
    return {.name = Type::kLayout.name,
            .family = Family::ggml,
            .container = Container::gguf,
            .code_bits = Type::kLayout.code_bits,
            .group_size = Type::kLayout.group_size,
            .layout = layout,
            .pack = pack,
            .unpack = unpack};
  }

  static std::vector<PartSpec> layout(const Codec&, std::uint64_t rows, std::uint64_t cols) {
    return {{"weight", DType::u8, {rows, cols / Type::kLayout.block_weights * Type::kLayout.block_bytes}}};
  }

  static unsigned char* row_of(Stored& out, std::size_t row) {
    return bytes_of(out, 0) + row * Type::kLayout.row_bytes(out.cols);
  }

  static void store_codes(const Variant&, Stored& out, std::size_t row, const std::uint8_t* codes) {
    constexpr const GgmlLayout& kLayout = Type::kLayout;
    unsigned char* const blocks = row_of(out, row);
    for (std::size_t b = 0; b < out.cols / kLayout.block_weights; ++b)
      kLayout.store_codes(codes + b * kLayout.block_weights, blocks + b * kLayout.block_bytes);
  }

  static void store_groups(const Variant&, Stored& out, std::size_t row, std::size_t count, const GroupParams* groups,
                           float) {
    constexpr const GgmlLayout& kLayout = Type::kLayout;
    for (std::size_t r = row; r < row + count; ++r) {
      unsigned char* const blocks = row_of(out, r);
      for (std::size_t b = 0; b < out.cols / kLayout.block_weights; ++b, groups += kLayout.groups())
        kLayout.store_groups(groups, blocks + b * kLayout.block_bytes);
    }
  }

  static void pack(const Codec&, Stored& out, std::size_t row, std::size_t count, const std::uint8_t* codes,
                   const GroupParams* groups, float tensor_scale) {
    for (std::size_t r = 0; r < count; ++r) store_codes(kVariantPortable, out, row + r, codes + r * out.cols);
    store_groups(kVariantPortable, out, row, count, groups, tensor_scale);
  }

  static void unpack(const Codec&, const Stored& in, std::size_t row, std::size_t col, std::size_t count, float* out) {
    decode(kVariantPortable, in, row, col, count, out);
  }

  static void dot(const Variant& variant, const Stored& in, std::size_t row, std::size_t rows, FewRows x, float* y,
                  std::size_t y_stride) {
    variant.dot_blocks(Type::kLayout.type, bytes_of(in, 0) + row * Type::kLayout.row_bytes(in.cols), rows, x, y,
                       y_stride);
  }

  static bool dot_bytes(const Variant& variant, const Stored& in, std::size_t row, std::size_t rows, const ByteRow& x,
                        float* y) {
    const ByteDot dot = variant.bytes->blocks(Type::kLayout.type);
    if (dot != nullptr) dot(bytes_of(in, 0) + row * Type::kLayout.row_bytes(in.cols), rows, x, y);
    return dot != nullptr;
  }

  static void decode(const Variant& variant, const Stored& in, std::size_t row, std::size_t col, std::size_t count,
                     float* out) {
    constexpr const GgmlLayout& kLayout = Type::kLayout;
    const unsigned char* const blocks = bytes_of(in, 0) + row * kLayout.row_bytes(in.cols);
    float whole[kLayout.block_weights];
    while (count > 0) {
      const std::size_t within = col % kLayout.block_weights, rest = kLayout.block_weights - within;
      const unsigned char* const block = blocks + col / kLayout.block_weights * kLayout.block_bytes;
      std::size_t step = std::min(rest, count);
      if (within == 0 && count >= kLayout.block_weights) {
        step = count - count % kLayout.block_weights;
        variant.decode_blocks(kLayout.type, block, step / kLayout.block_weights, out);
      } else {
        variant.decode_blocks(kLayout.type, block, 1, whole);
        std::copy_n(whole + within, step, out);
      }
      col += step;
      out += step;
      count -= step;
    }
  }
};

}  // namespace strata::codec
