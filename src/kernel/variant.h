// The kernels of one instruction set, as values: everything that matmul, attention and the row operations call in
// their inner loops. Tests loop over all variants that run here; the program uses the one that core/cpu.h selects.
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/cpu.h"
#include "core/dtype.h"

namespace strata::kernel {

enum class Update { store, add };

/// Matrix products at one precision. Operands are held in units of 4 bytes: `unit` consecutive k's (one f32, or a pair
/// of bf16 for the dot-product instruction). Buffers of units are typed float and are only ever moved as bits.
struct MatmulKernel {
  std::size_t tile_tokens, tile_rows;  ///< register tile
  std::size_t unit;                    ///< elements per 4-byte unit: 1 or 2
  std::size_t lanes;                   ///< units per vector; prepared rows are padded to a multiple
  std::size_t block;                   ///< units of a panel of x that lie together: 1 where it is transposed

  /// A panel of `tokens` <= tile_tokens rows of x, u < ceil(k / unit): block after block, each out[u * tile_tokens + t]
  /// where blocks are of one unit, and by tokens, out[t * (units of the block) + u], where of more; the last may be
  /// shorter. Writes up to `lanes` floats past the last unit.
  void (*pack_x)(const float* x, std::size_t stride, std::size_t tokens, std::size_t k, float* out);
  /// A panel of `rows` <= tile_rows rows of weights, transposed: out[u * tile_rows + r]; absent rows are zero.
  void (*pack_w)(const std::byte* w, std::size_t stride_bytes, DType type, std::size_t rows, std::size_t k, float* out);
  /// Packs columns for sums over tokens: `width` <= out_stride columns of x (tokens, ...), rows `stride` floats apart,
  /// which lie as a panel of weights already: out[u * out_stride + c] for u < ceil(tokens / unit), absent columns zero.
  void (*pack_columns)(const float* x, std::size_t stride, std::size_t tokens, std::size_t width, float* out,
                       std::size_t out_stride);
  /// The same as a panel of x, in blocks; out_stride is tile_tokens. pack_columns where blocks are of one unit.
  void (*pack_x_columns)(const float* x, std::size_t stride, std::size_t tokens, std::size_t width, float* out,
                         std::size_t out_stride);
  /// y[t * y_stride + r] = or += sum over u < units of unit u of token t in the panel x times w[u * w_stride + r], for
  /// t < tokens and r < rows; tile_rows units are read at every w + u * w_stride. Order of the sum: rising u, fused, in
  /// one register; where blocks are of several units, as the instruction adds them up. Needs InUse (in_use.h).
  void (*tile)(const float* x, const float* w, std::size_t w_stride, std::size_t units, std::size_t tokens,
               std::size_t rows, float* y, std::size_t y_stride, Update update);

  /// Rows of bf16 as a right operand that `tile` reads in place: out[r * out_stride + c] for c < count. Null where
  /// units are pairs.
  void (*widen_rows)(const std::byte* in, std::size_t stride_bytes, std::size_t rows, std::size_t count, float* out,
                     std::size_t out_stride);

  /// One row of x as units, zero-padded to a multiple of `lanes` units.
  void (*prepare_x)(const float* x, std::size_t k, float* out);
  /// y[t * y_stride + r] = or += dot(prepared x row t, weight row r), without packing: for few tokens.
  void (*dot)(const float* x, std::size_t x_stride, std::size_t tokens, const std::byte* w, std::size_t stride_bytes,
              DType type, std::size_t rows, std::size_t k, float* y, std::size_t y_stride, Update update);

  /// The arithmetic of the tile on registers alone, `rounds` times: what peaks.h measures. Returns the floating-point
  /// operations done. Needs InUse.
  double (*spin)(std::size_t rounds);

  /// What a thread does before `tile` and `spin`, and afterwards; null where nothing is to be done.
  void (*begin)();
  void (*end)();
};

/// Operations on one row (or stretch) of f32.
struct RowKernel {
  float (*max)(const float* x, std::size_t count);
  /// x[i] = exp(scale * x[i] - shift); returns the sum.
  float (*exp_scaled)(float* x, std::size_t count, float scale, float shift);
  /// sum of exp(x[i] - shift), added up in double.
  double (*sum_exp)(const float* x, std::size_t count, float shift);
  /// x[i] = cap * tanh(scale * x[i] / cap).
  void (*soft_cap)(float* x, std::size_t count, float scale, float cap);
  void (*scale)(float* x, std::size_t count, float factor);
  void (*add)(float* y, const float* x, std::size_t count);
  // The operations of ops.h, for one token.
  void (*rms_norm)(const float* x, const float* weight, std::size_t size, float epsilon, float* y);
  void (*l2_norm)(const float* x, std::size_t size, float epsilon, float* y);
  void (*layer_norm)(const float* x, const float* weight, std::size_t size, float epsilon, float* y);
  void (*rope)(float* x, std::size_t heads, std::size_t head_dim, const float* cos, const float* sin, std::size_t half);
  void (*rope_interleaved)(float* x, std::size_t heads, std::size_t head_dim, const float* cos, const float* sin,
                           std::size_t half);
  void (*silu_multiply)(float* gate, const float* up, std::size_t count);
  void (*gelu_multiply)(float* gate, const float* up, std::size_t count);
  void (*gelu_erf_multiply)(float* gate, const float* up, std::size_t count);
  void (*clamped_swiglu_multiply)(float* gate, const float* up, std::size_t count, float limit, float alpha);
  void (*clamp)(float* x, std::size_t count, float limit);
  // What convolutions, gates and scans are made of.
  float (*dot)(const float* a, const float* b, std::size_t count);
  void (*add_scaled)(float* y, const float* x, std::size_t count, float factor);                ///< y += factor x
  void (*add_product)(float* y, const float* a, const float* b, std::size_t count);             ///< y += a b
  void (*multiply)(const float* a, const float* b, std::size_t count, float* y);                ///< y = a b
  void (*silu)(float* x, std::size_t count);                                                    ///< x = silu(x)
  void (*multiply_by_silu)(const float* x, const float* gate, std::size_t count, float* y);     ///< y = x silu(gate)
  void (*multiply_by_sigmoid)(const float* x, const float* gate, std::size_t count, float* y);  ///< y = x sigmoid(gate)
  void (*relu_squared)(float* x, std::size_t count);                                            ///< x = max(x, 0)^2
};

/// All kernels of one instruction set. They are held by reference, since an instruction set may add some and keep the
/// rest of the one before it.
struct Variant {
  const char* name;  ///< that of its Isa
  Isa isa;
  const MatmulKernel& f32;
  const MatmulKernel& bf16;
  const RowKernel& rows;
};

extern const MatmulKernel kPortableF32, kPortableBf16, kAvx2F32, kAvx2Bf16, kAvx512F32, kAvx512Bf16, kAvx512Bf16Bf16,
    kAmxBf16;
extern const RowKernel kPortableRows, kAvx2Rows, kAvx512Rows;

}  // namespace strata::kernel
