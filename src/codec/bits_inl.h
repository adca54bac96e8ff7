// A float's bits and back, for the files of one instruction set: std::bit_cast is a template of the standard library,
// and its instances would be shared with files for other CPUs.
#pragma once
#include <cstdint>
#include <cstring>

namespace strata::codec {
namespace {

inline std::uint32_t bits_of_float(float value) {
  std::uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}
inline float float_of_bits(std::uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace
}  // namespace strata::codec
