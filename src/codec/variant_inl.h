// All kernels of the *_inl.h as a Variant, constant-initialized, so that it can be used before main.
// A file that includes this one includes its lanes_*.h first, in whose operations the kernels are written.
#pragma once
#include "codec/ggml/blocks_inl.h"
#include "codec/ggml/levels_inl.h"
#include "codec/ggml/points_inl.h"
#include "codec/rows_inl.h"
#include "codec/search_inl.h"
#include "codec/variant.h"

namespace strata::codec {
namespace {

constexpr Variant make_variant(const char* name, Isa isa, const ByteKernels* bytes = nullptr) {
  return {.name = name,
          .isa = isa,
          .widen_bf16 = widen_bf16,
          .group_ranges = group_ranges,
          .round_int = round_int,
          .round_e4m3 = round_e4m3,
          .round_e2m1 = round_e2m1,
          .values_int = values_int,
          .values_affine = values_affine,
          .values_e4m3 = values_e4m3,
          .values_e2m1 = values_e2m1,
          .search_int = search_int,
          .search_int_asymmetric = search_int_asymmetric,
          .best_e4m3 = best_e4m3,
          .best_e2m1 = best_e2m1,
          .search_levels = search_levels,
          .errors_of_levels = errors_of_levels,
          .moments_of_levels = moments_of_levels,
          .round_levels = round_levels,
          .decode_blocks = decode_blocks,
          .dot_blocks = dot_blocks,
          .dot_int = dot_int,
          .dot_affine = dot_affine,
          .dot_e4m3 = dot_e4m3,
          .dot_e2m1 = dot_e2m1,
          .dot_bf16 = dot_bf16,
          .grid_costs = grid_costs,
          .lowest_point = lowest_point,
          .costs_at_scales = costs_at_scales,
          .pack_bits = pack_bits,
          .unpack_bits = unpack_bits,
          .bytes = bytes};
}

}  // namespace
}  // namespace strata::codec
