// What the files of the codec families share: whole-row functions, access to stored parts, and the rules of scales.
// A family is one source file that appends its rows to the table.
#pragma once
#include <algorithm>
#include <span>
#include <vector>

#include "codec/codec.h"
#include "codec/variants.h"
#include "codec/weight_importance.h"

namespace strata::codec {

/// A codec's work on one row of `cols` weights, by the kernels of one variant. Every codec with codes has all seven
/// functions; `keep` has only decode and dot. importance: cols values; it may be null for ScaleFit::minmax, which does
/// not look at it.
struct RowFunctions {
  void (*fit)(const Variant&, const Codec&, const float* weights, const float* importance, std::size_t cols, ScaleFit,
              float tensor_scale, GroupParams* groups) = nullptr;
  /// importance: read by codecs with vectors only, and null stands for ones there.
  void (*round)(const Variant&, const Codec&, const float* weights, const float* importance, std::size_t cols,
                const GroupParams*, std::uint8_t* codes) = nullptr;
  void (*values)(const Variant&, const Codec&, const std::uint8_t* codes, std::size_t cols, const GroupParams*,
                 float* out) = nullptr;
  /// The codes of row `row`, as pack writes them.
  void (*store_codes)(const Variant&, Stored& out, std::size_t row, const std::uint8_t* codes) = nullptr;
  /// All but the codes of rows [row, row + count), as pack writes it.
  void (*store_groups)(const Variant&, Stored& out, std::size_t row, std::size_t count, const GroupParams*,
                       float tensor_scale) = nullptr;
  /// Weights [col, col + count) of a row, 64 | col.
  void (*decode)(const Variant&, const Stored& in, std::size_t row, std::size_t col, std::size_t count,
                 float* out) = nullptr;
  /// y[t * y_stride + r] = the product of row `row` + r with x[t], for r < rows (Variant::dot_blocks and its kin).
  void (*dot)(const Variant&, const Stored& in, std::size_t row, std::size_t rows, FewRows x, float* y,
              std::size_t y_stride) = nullptr;
  /// The same for one token of 8 bits: y[r]. False, with nothing done, where the variant has no kernel for it, which
  /// depends on the codec and the number of columns alone. Null: none has.
  bool (*dot_bytes)(const Variant&, const Stored& in, std::size_t row, std::size_t rows, const ByteRow& x,
                    float* y) = nullptr;
};

void append_keep(std::vector<Codec>& table);
void append_int(std::vector<Codec>& table);
void append_affine(std::vector<Codec>& table);
void append_fp8(std::vector<Codec>& table);
void append_fp8_block(std::vector<Codec>& table);
void append_nvfp4(std::vector<Codec>& table);
void append_mxfp(std::vector<Codec>& table);
void append_ggml(std::vector<Codec>& table);
void append_ggml_vectors(std::vector<Codec>& table);
void append_ggml_iq1(std::vector<Codec>& table);
void append_ggml_mxfp4(std::vector<Codec>& table);
void append_ggml_nvfp4(std::vector<Codec>& table);
void append_mlx_mxfp(std::vector<Codec>& table);
void append_mlx_nvfp4(std::vector<Codec>& table);

/// Row `row` of a codec without codes.
void keep_row(const MatrixView& weights, std::size_t row, Stored& out);

/// A row cut into the codec's groups.
inline RowShape row_shape(const Codec& codec, std::size_t cols) {
  return {cols, codec.group_size == 0 ? cols : codec.group_size};
}

/// A bf16 scale that can be divided by: 0 (an all-zero group) becomes 1, infinity the largest finite bf16.
float storable_scale(float scale);

/// The smallest and the largest of a set of weights, 0 included.
struct Range {
  float low = 0.0f, high = 0.0f;
  float magnitude() const { return high > 0.0f - low ? high : 0.0f - low; }  // never -0
};
Range range_of(std::span<const float> weights);

inline constexpr std::size_t kChunkGroups = 64;
/// Ranges of the groups of a row, by a variant's kernel: calls use(first group, ranges) with up to kChunkGroups ranges.
template <class Use>
void for_each_chunk(const Variant& variant, const float* weights, RowShape shape, Use use) {
  const std::size_t groups = shape.count == 0 ? 0 : (shape.count + shape.group_size - 1) / shape.group_size;
  float low[kChunkGroups], high[kChunkGroups];
  Range ranges[kChunkGroups];
  for (std::size_t first = 0; first < groups; first += kChunkGroups) {
    const std::size_t start = first * shape.group_size, count = std::min(kChunkGroups, groups - first);
    variant.group_ranges(weights + start, {std::min(count * shape.group_size, shape.count - start), shape.group_size},
                         low, high);
    for (std::size_t k = 0; k < count; ++k) ranges[k] = {low[k], high[k]};
    use(first, std::span<const Range>(ranges, count));
  }
}

/// Ranges of the groups of a row, one at a time: calls use(group, Range, first weight, number of weights).
template <class Use>
void each_range(const Variant& variant, const float* weights, RowShape shape, Use use) {
  for_each_chunk(variant, weights, shape, [&](std::size_t first, std::span<const Range> ranges) {
    for (std::size_t k = 0; k < ranges.size(); ++k) {
      const std::size_t at = (first + k) * shape.group_size;
      use(first + k, ranges[k], at, std::min(shape.group_size, shape.count - at));
    }
  });
}

/// The same weights under another name, whose checkpoints declare how inputs are rounded.
inline Codec with_activations(Codec codec, const char* name, ActivationRounding::Kind activations) {
  codec.name = name;
  codec.activations = activations;
  return codec;
}

inline unsigned char* bytes_of(Stored& out, std::size_t part) {
  return reinterpret_cast<unsigned char*>(out.parts[part].data());
}
inline const unsigned char* bytes_of(const Stored& in, std::size_t part) {
  return reinterpret_cast<const unsigned char*>(in.views[part].data());
}
/// out[i] = in[i] with the top bit flipped, which turns codes, where 0 is the smallest q, into two's complement, and
/// back.
void flip_top_bits(const unsigned char* in, std::size_t count, unsigned char* out);

inline std::size_t group_of(const Codec& codec, std::size_t col) {
  return codec.group_size == 0 ? 0 : col / codec.group_size;
}

inline constexpr std::size_t kPiece = 512;
/// Cuts weights [col, col + count) of a row into pieces that fit small buffers: calls piece(first column, its offset
/// from col, RowShape, GroupParams of each group) with at most kPiece weights, in groups of at most 64 (in one group
/// when the row is one). Larger groups are cut, so that a piece may begin inside one. load(g): the row's group g.
template <class Load, class Piece>
void each_piece(const Codec& codec, std::size_t col, std::size_t count, Load load, Piece piece) {
  for (std::size_t done = 0; done < count; done += kPiece) {
    const std::size_t size = count - done < kPiece ? count - done : kPiece;
    const RowShape shape{size, codec.group_size == 0 ? size : codec.group_size < 64 ? codec.group_size : 64};
    GroupParams groups[kPiece / 16];
    for (std::size_t at = 0; at < size; at += shape.group_size)
      groups[at / shape.group_size] = load(group_of(codec, col + done + at));
    piece(col + done, done, shape, groups);
  }
}

// Little-endian numbers at an index of a stored part.
void store_bf16(unsigned char* part, std::size_t index, float value);
float load_bf16(const unsigned char* part, std::size_t index);
void store_f32(unsigned char* part, std::size_t index, float value);
float load_f32(const unsigned char* part, std::size_t index);
void store_i64(unsigned char* part, std::size_t index, std::int64_t value);

/// Code `index` of a little-endian bit stream of `bits`-bit codes.
void store_code(unsigned char* stream, std::size_t index, unsigned bits, unsigned code);
unsigned load_code(const unsigned char* stream, std::size_t index, unsigned bits);

}  // namespace strata::codec
