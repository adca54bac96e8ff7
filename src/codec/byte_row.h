// One row of activations rounded to 8 bits, and the products of stored rows with it: sums of products of integers,
// which take half the instructions of widening every weight. Plain types only, as in variant.h.
#pragma once
#include <cstddef>
#include <cstdint>

#include "codec/few_rows.h"
#include "codec/ggml/blocks.h"

namespace strata::codec {

inline constexpr std::size_t kByteBlock = 32;  // columns that share a scale
inline constexpr std::size_t kByteStep = 8;    // blocks that are multiplied together

/// x in blocks of 32 columns, of which `cols` is a multiple. With m the largest magnitude of a block,
///   scale = m / 127    code = x * (127 / m), rounded to nearest, half to even
/// in f32; both are 0 where m < 1e-36, and the scale is NaN where a value is not finite. Scales and sums are 0 beyond
/// the last block, up to a multiple of kByteStep blocks.
struct ByteRow {
  std::size_t cols;
  std::int8_t* codes;
  float* scales;     ///< by block
  float* sums;       ///< by block: the sum of its codes times its scale
  float* half_sums;  ///< the same by halves of blocks
};

/// y[r] = the product of row r with x, for r < rows. A row has codes c and, by groups of 16, 32 or more columns, a
/// scale and a min: weight = scale * c - min. With d the scale of x in a block and q the codes of x,
///   sum[b % 2][i] = fma(sum of c q over columns [4 i, 4 i + 4) of block b, scale * d, sum[b % 2][i])    i < 8, in f32
///   mins[g % 8]   = fma(min, x.sums or x.half_sums of g, mins[g % 8])    g: blocks, or halves of them under groups of
///   16 s[i] = (sum[0][i] + sum[1][i]) - mins[i] y = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]))
/// where b and g rise. c is signed for codes of 8 bits and for the levels of IQ4, whose min is 0 (that of integers with
/// a zero point is zero point * scale). Other codes are as stored: where they count from `lowest`, min is -lowest *
/// scale.
using ByteDot = void (*)(const unsigned char* in, std::size_t rows, const ByteRow& x, float* y);

struct ByteKernels {
  /// Fills codes, scales and sums of `out`, whose cols are set.
  void (*round)(const float* x, const ByteRow& out);
  /// Of rows of blocks of a GGUF type, one after the other; null where there is none.
  ByteDot (*blocks)(BlockType);
  /// One row of codes of 4 or 8 bits or of signed bytes, as Variant::dot_int; groups of a multiple of 32, or the whole
  /// row. mins: by group, or null for zeros; of signed bytes and of 8 bits they are those of the code less 128.
  void (*integers)(IntegerCodes codes, std::size_t group_size, const float* scales, const float* mins, const ByteRow& x,
                   float* y);
};

/// Defined in the files of their instruction sets; Variant::bytes holds one.
extern const ByteKernels kByteKernelsAvx2, kByteKernelsAvx512bf16;

}  // namespace strata::codec
