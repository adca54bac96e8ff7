// The row kernels of the codecs for one instruction set, as a value. Every variant gives the same bits, but for the
// sums of dot_*, which the CPUs round differently. Plain types only: the files of one instruction set include this
// header.
#pragma once
#include <cstddef>
#include <cstdint>

#include "codec/byte_row.h"
#include "codec/few_rows.h"
#include "codec/ggml/blocks.h"
#include "codec/group_params.h"
#include "core/isa.h"

namespace strata::codec {

/// A row as the kernels see it: `count` weights in groups of `group_size`, the last one possibly shorter.
struct RowShape {
  std::size_t count;
  std::size_t group_size;
};

/// Whether a symmetric integer scale may be negative, which lets -2^(bits - 1) stand for the largest positive weight.
enum class ScaleSigns { positive, both };

/// The values that the codes of a GGUF type stand for, before scale and min: integers, or the table of IQ4.
struct Levels {
  bool table;
  float lowest, highest;
  float narrowest;  ///< the search shrinks the range of a group down to this share
};
/// Which offsets a GGUF type has: weight = level * scale - min.
enum class MinSign { none, positive, both };
struct LevelChoice {
  float scale, min;
};
/// Sums over a group, with the importance h and the nearest level q of every weight w.
struct LevelMoments {
  double hqq, hq, h, hqw, hw;
};

/// The points of a codebook: `count`, a multiple of 32, of `dims` levels each; level i of point p at [i * count + p].
struct GridView {
  const float* levels;
  std::size_t count, dims;
};
inline constexpr std::size_t kMostPoints = 1024;
/// Sums for every point g of a codebook. Its squared error at scale s, less the weights' own energy, is
/// s * (s * square - 2 * cross).
struct GridCosts {
  alignas(64) float cross[kMostPoints];   ///< sum of h a g
  alignas(64) float square[kMostPoints];  ///< sum of h g g
};

/// The points of a codebook that are cheapest for one vector of weights at some scale.
struct Hull {
  static constexpr std::size_t kMost = 48;
  std::size_t count;
  float cross[kMost], square[kMost];
};

struct Variant {
  const char* name;  ///< the name of its Isa
  Isa isa;

  /// bf16 (little-endian, any alignment) to f32.
  void (*widen_bf16)(const unsigned char* in, std::size_t count, float* out);
  /// Smallest and largest weight of each group, 0 included; NaN is passed over.
  void (*group_ranges)(const float* weights, RowShape, float* low, float* high);

  // Weights to codes and back, by the formulas of docs/formats: one byte a code, in the low bits. Integer codes are
  // q + 2^(bits - 1).
  void (*round_int)(const float* weights, RowShape, const GroupParams*, unsigned bits, std::uint8_t* codes);
  void (*round_e4m3)(const float* weights, RowShape, const GroupParams*, std::uint8_t* codes);
  void (*round_e2m1)(const float* weights, RowShape, const GroupParams*, std::uint8_t* codes);
  void (*values_int)(const std::uint8_t* codes, RowShape, const GroupParams*, unsigned bits, float* out);
  /// code * scale - min
  void (*values_affine)(const std::uint8_t* codes, RowShape, const GroupParams*, float* out);
  void (*values_e4m3)(const std::uint8_t* codes, RowShape, const GroupParams*, float* out);
  void (*values_e2m1)(const std::uint8_t* codes, RowShape, const GroupParams*, float* out);

  // The search of search_inl.h for the scale of one group; importance: count values. The result is never worse than
  // `minmax`.
  GroupParams (*search_int)(const float* weights, const float* importance, std::size_t count, unsigned bits, ScaleSigns,
                            GroupParams minmax);
  GroupParams (*search_int_asymmetric)(const float* weights, const float* importance, std::size_t count, unsigned bits,
                                       float low, float high, GroupParams minmax);
  /// The index of the best of sixteen scales, scales[k] / divisor; NaN is no candidate. `incumbent` wins a near tie.
  std::size_t (*best_e4m3)(const float* weights, const float* importance, std::size_t count, const float* scales,
                           float divisor, std::size_t incumbent);
  std::size_t (*best_e2m1)(const float* weights, const float* importance, std::size_t count, const float* scales,
                           float divisor, std::size_t incumbent);

  // GGUF types (levels_inl.h), for one group of a multiple of 16 weights.
  /// The scale and min of least error among many candidates, in f32.
  LevelChoice (*search_levels)(const float* weights, const float* importance, std::size_t count, Levels, MinSign);
  /// The errors of sixteen pairs of scale and min.
  void (*errors_of_levels)(const float* weights, const float* importance, std::size_t count, Levels,
                           const float* scales, const float* mins, float* errors);
  LevelMoments (*moments_of_levels)(const float* weights, const float* importance, std::size_t count, Levels,
                                    float scale, float min);
  void (*round_levels)(const float* weights, std::size_t count, Levels, float scale, float min, std::uint8_t* codes);

  /// `blocks` blocks of a GGUF type (unpack_blocks_inl.h, unpack_grids_inl.h) as f32. Total: any bytes decode.
  void (*decode_blocks)(BlockType, const unsigned char* in, std::size_t blocks, float* out);

  // Products of stored rows with a few rows of activations, straight from the bytes: y[t * y_stride] = the sum over the
  // columns of weight * x[t], weights as decoding gives them, in f32.
  /// `rows` rows of blocks, one after the other: y[t * y_stride + r].
  void (*dot_blocks)(BlockType, const unsigned char* in, std::size_t rows, FewRows x, float* y, std::size_t y_stride);
  /// One row of codes. zero_points: by group, or null for zeros.
  void (*dot_int)(IntegerCodes codes, std::size_t group_size, const float* scales, const float* zero_points, FewRows x,
                  float* y, std::size_t y_stride);
  /// One row of codes whose weights are code * scale - min, with a scale and a min a group. No signed bytes.
  void (*dot_affine)(IntegerCodes codes, std::size_t group_size, const float* scales, const float* mins, FewRows x,
                     float* y, std::size_t y_stride);
  void (*dot_e4m3)(const std::uint8_t* codes, std::size_t group_size, Scales scales, FewRows x, float* y,
                   std::size_t y_stride);
  void (*dot_e2m1)(const std::uint8_t* packed, std::size_t group_size, Scales scales, FewRows x, float* y,
                   std::size_t y_stride);
  void (*dot_bf16)(const unsigned char* in, FewRows x, float* y, std::size_t y_stride);

  // GGUF's IQ types (points_inl.h).
  /// The sums of every point for magnitudes a and importance h of grid.dims weights. odd: the sign of one weight, the
  /// one that costs least, is turned, which formats ask for that do not store the last sign.
  void (*grid_costs)(GridView grid, const float* magnitudes, const float* importance, bool odd, GridCosts& costs);
  /// The point of least square - ratio * cross among the first `count` (a multiple of 32): the nearest one to the
  /// weights at scale 2 / ratio. Of equal points, the first.
  std::size_t (*lowest_point)(const GridCosts& costs, std::size_t count, float ratio);
  /// The sum over vectors of the least cost of each, at each of sixteen scales. Vector v takes the next parts[v] of the
  /// hulls: 1 or 2 for that many points side by side; 4 for two points of which one has a sign turned, first the hulls
  /// of both without it, then those of both with it.
  void (*costs_at_scales)(const Hull* hulls, const std::uint8_t* parts, std::size_t vectors, const float* scales,
                          float* costs);

  /// Codes of 2..8 bits to and from a little-endian bit stream of ceil(count * bits / 8) bytes; no byte beyond is
  /// touched.
  void (*pack_bits)(const std::uint8_t* codes, std::size_t count, unsigned bits, unsigned char* out);
  void (*unpack_bits)(const unsigned char* in, std::size_t count, unsigned bits, std::uint8_t* codes);

  /// Products with activations of 8 bits, where they are faster than those above; else null.
  const ByteKernels* bytes;
};

/// Each defined in the file of its instruction set; codec/variants.h chooses.
extern const Variant kVariantPortable, kVariantAvx2, kVariantAvx512, kVariantAvx512bf16;

}  // namespace strata::codec
