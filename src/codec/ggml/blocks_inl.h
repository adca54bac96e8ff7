// Rows of ggml's blocks, by type: as f32, and their products with a few rows of activations.
#pragma once
#include "codec/dot_inl.h"
#include "codec/ggml/unpack_grids_inl.h"
#include "codec/rows_inl.h"

namespace strata::codec {
namespace {

/// Calls use with the type as a template argument; the plain numbers f32, f16 and bf16 are no blocks.
template <class Use>
inline void with_type(BlockType type, Use use) {
  switch (type) {
    case BlockType::f32:
    case BlockType::f16:
    case BlockType::bf16:
      return;
    case BlockType::q8_0:
      return use(Q8_0{});
    case BlockType::q4_0:
      return use(Q4_0{});
    case BlockType::q4_1:
      return use(Q4_1{});
    case BlockType::q5_0:
      return use(Q5_0{});
    case BlockType::q5_1:
      return use(Q5_1{});
    case BlockType::q6_k:
      return use(Q6_K{});
    case BlockType::q5_k:
      return use(Q5_K{});
    case BlockType::q4_k:
      return use(Q4_K{});
    case BlockType::q3_k:
      return use(Q3_K{});
    case BlockType::q2_k:
      return use(Q2_K{});
    case BlockType::iq4_nl:
      return use(Iq4Nl{});
    case BlockType::iq4_xs:
      return use(Iq4Xs{});
    case BlockType::iq3_s:
      return use(Iq3S{});
    case BlockType::iq3_xxs:
      return use(Iq3Xxs{});
    case BlockType::iq2_s:
      return use(Iq2S{});
    case BlockType::iq2_xs:
      return use(Iq2Xs{});
    case BlockType::iq2_xxs:
      return use(Iq2Xxs{});
    case BlockType::iq1_s:
      return use(Iq1S{});
    case BlockType::iq1_m:
      return use(Iq1M{});
    case BlockType::tq1_0:
      return use(Tq1_0{});
    case BlockType::tq2_0:
      return use(Tq2_0{});
    case BlockType::mxfp4:
      return use(Mxfp4{});
    case BlockType::nvfp4:
      return use(Nvfp4{});
    case BlockType::q1_0:
      return use(Q1_0{});
    case BlockType::q2_0:
      return use(Q2_0{});
  }
}

void widen_f16(const u8* in, std::size_t count, float* out) {
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {  // as float_of_half
    const Words half = load_halves(in + 2 * i), magnitude = half & all_words(0x7FFFu);
    const Words shifted = shift_left<13>(magnitude), finite = bits_of(from_bits(shifted) * all(0x1p112f));
    const Words bits = select(magnitude < all_words(0x7C00u), finite, shifted | all_words(0x7F800000u));
    store(out + i, from_bits(bits | shift_left<16>(half & all_words(0x8000u))));
  }
  for (; i < count; ++i) out[i] = half_at(in + 2 * i);
}

void decode_blocks(BlockType type, const unsigned char* in, std::size_t blocks, float* out) {
  if (type == BlockType::f32) std::memcpy(out, in, blocks * sizeof(float));
  if (type == BlockType::f16) widen_f16(in, blocks, out);
  if (type == BlockType::bf16) widen_bf16(in, blocks, out);
  with_type(type, [=](auto of) {
    using Type = decltype(of);
    for (std::size_t b = 0; b < blocks; ++b)
      of.decode(in + b * Type::kBytes,
                [w = out + b * Type::kWeights](std::size_t at, Floats weights_) { store(w + at, weights_); });
  });
}

void dot_blocks(BlockType type, const unsigned char* in, std::size_t rows, FewRows x, float* y, std::size_t y_stride) {
  with_type(type, [=](auto of) {
    using Type = decltype(of);
    const std::size_t blocks = x.cols / Type::kWeights;
    dot_rows(rows, x, y, y_stride, [=](std::size_t row, auto& sums) {
      const u8* block = in + row * blocks * Type::kBytes;
      const auto add = [&](std::size_t begin) {
        of.decode(block, [&, begin](std::size_t at, Floats weights_) { sums.add(begin + at, weights_); });
        block += Type::kBytes;
      };
      constexpr unsigned kBlocks = Type::kWeights < kStep ? kStep / Type::kWeights : 1;  // of a step
      std::size_t b = 0;
      for (; b + kBlocks <= blocks; b += kBlocks, sums.advance(kBlocks * Type::kWeights)) {
        prefetch<kBlocks * Type::kBytes>(block);
        unrolled<kBlocks>([&](auto k) { add(k * Type::kWeights); });
      }
      for (; b < blocks; ++b, sums.advance(Type::kWeights)) add(0);
    });
  });
}

}  // namespace
}  // namespace strata::codec
