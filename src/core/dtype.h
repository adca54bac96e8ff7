// Element types of tensors on disk, by their safetensors names.
// https://huggingface.co/docs/safetensors (format section)
#pragma once
#include <cstddef>
#include <optional>
#include <string_view>

namespace strata {

enum class DType { bool8, u8, i8, e4m3, e5m2, e8m0, i16, u16, f16, bf16, i32, u32, f32, f64, i64, u64 };

/// Bytes of one element.
std::size_t dtype_bytes(DType type);

/// Safetensors name: "BF16", "F8_E4M3", ...
std::string_view dtype_name(DType type);

/// The type of a safetensors name, or nothing when unknown.
std::optional<DType> dtype_from_name(std::string_view name);

}  // namespace strata
