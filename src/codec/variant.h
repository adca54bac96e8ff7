// The row kernels of the codecs for one instruction set, as a value; every variant gives the same bits.
// Plain types only: the files of one instruction set include this header.
#pragma once
#include <cstddef>
#include <cstdint>

#include "codec/group_params.h"

namespace strata::codec {

/// A row as the kernels see it: `count` weights in groups of `group_size`, the last one possibly shorter.
struct RowShape {
  std::size_t count;
  std::size_t group_size;
};

struct Variant {
  const char* name;  // as in core/cpu.h

  /// bf16 (little-endian, any alignment) to f32.
  void (*widen_bf16)(const unsigned char* in, std::size_t count, float* out);
  /// Smallest and largest weight of each group, each with 0; NaN is passed over.
  void (*group_ranges)(const float* weights, RowShape, float* low, float* high);

  // Codes by the formulas of docs/formats: one byte a code, in the low bits. Integer codes are q + 2^(bits - 1).
  void (*round_int)(const float* weights, RowShape, const GroupParams*, unsigned bits, std::uint8_t* codes);
  void (*round_e4m3)(const float* weights, RowShape, const GroupParams*, std::uint8_t* codes);
  void (*round_e2m1)(const float* weights, RowShape, const GroupParams*, std::uint8_t* codes);
  void (*values_int)(const std::uint8_t* codes, RowShape, const GroupParams*, unsigned bits, float* out);
  void (*values_e4m3)(const std::uint8_t* codes, RowShape, const GroupParams*, float* out);
  void (*values_e2m1)(const std::uint8_t* codes, RowShape, const GroupParams*, float* out);

  /// Codes of 2..8 bits to and from a little-endian bit stream of ceil(count * bits / 8) bytes; no byte beyond is
  /// touched.
  void (*pack_bits)(const std::uint8_t* codes, std::size_t count, unsigned bits, unsigned char* out);
  void (*unpack_bits)(const unsigned char* in, std::size_t count, unsigned bits, std::uint8_t* codes);
};

/// Those compiled in, fastest first; "portable" is last and always there.
const Variant* const* compiled_variants(std::size_t& count);
/// True when this CPU can run it.
bool runs_here(const Variant&);
/// The one that core/cpu.h's selected_isa() stands for.
const Variant& selected_variant();

}  // namespace strata::codec
