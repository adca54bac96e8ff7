// x is rounded once, on the calling thread: that takes a few instructions a column, and a row of weights as many.
#include "kernel/byte_products.h"

#include "codec/variants.h"
#include "kernel/scratch.h"
#include "kernel/weight_rows.h"

namespace strata::kernel {
namespace {

/// x of 8 bits, valid until the next call.
codec::ByteRow rounded(const codec::ByteKernels& kernels, const float* x, std::size_t cols) {
  const std::size_t blocks = round_up(cols / codec::kByteBlock, codec::kByteStep);
  constexpr std::size_t codes = codec::kByteBlock / sizeof(float);  // floats of the codes of a block
  thread_local Scratch scratch;
  float* const memory = scratch.floats(blocks * (codes + 4));
  float* const scales = memory + blocks * codes;
  const codec::ByteRow row{cols, reinterpret_cast<std::int8_t*>(memory), scales, scales + blocks, scales + 2 * blocks};
  kernels.round(x, row);
  return row;
}

}  // namespace

bool multiply_in_bytes(const Variant& variant, const float* x, const Weights& w, float* y) {
  const codec::Variant& kernels = codec::variant_of(variant.isa);
  const codec::ByteRow none{w.cols(), nullptr, nullptr, nullptr, nullptr};  // asks whether there is a kernel
  if (w.stored == nullptr || !codec::multiply_rows(kernels, *w.stored, 0, 0, none, y)) return false;
  const codec::ByteRow row = rounded(*kernels.bytes, x, w.cols());
  over_weight_rows(w.rows(), w.rows() * w.cols(), [&](std::size_t first, std::size_t rows) {
    codec::multiply_rows(kernels, *w.stored, first, rows, row, y + first);
  });
  return true;
}

bool multiply_in_bytes(const float* x, const Weights& w, float* y) {
  return multiply_in_bytes(selected_variant(), x, w, y);
}

}  // namespace strata::kernel
