// The table of element types.
// One row a type; order as in the enum.
#include "core/dtype.h"

#include <array>

namespace strata {
namespace {

struct Row {
  DType type;
  std::string_view name;
  std::size_t bytes;
};

constexpr std::array<Row, 16> kTypes{{
    {DType::bool8, "BOOL", 1},
    {DType::u8, "U8", 1},
    {DType::i8, "I8", 1},
    {DType::e4m3, "F8_E4M3", 1},
    {DType::e5m2, "F8_E5M2", 1},
    {DType::e8m0, "F8_E8M0", 1},
    {DType::i16, "I16", 2},
    {DType::u16, "U16", 2},
    {DType::f16, "F16", 2},
    {DType::bf16, "BF16", 2},
    {DType::i32, "I32", 4},
    {DType::u32, "U32", 4},
    {DType::f32, "F32", 4},
    {DType::f64, "F64", 8},
    {DType::i64, "I64", 8},
    {DType::u64, "U64", 8},
}};

}  // namespace

std::size_t dtype_bytes(DType type) { return kTypes[static_cast<std::size_t>(type)].bytes; }
std::string_view dtype_name(DType type) { return kTypes[static_cast<std::size_t>(type)].name; }

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const Row& row : kTypes)
    if (row.name == name) return row.type;
  return std::nullopt;
}

}  // namespace strata
