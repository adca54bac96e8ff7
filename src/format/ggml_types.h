// The tensor types of ggml: names, block sizes, and their weights as f32.
// Block layouts: docs/formats/gguf.md. A new type is a row of the table in ggml_types.cpp.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "codec/codec.h"
#include "codec/ggml/blocks.h"

namespace strata::format {

/// One ggml tensor type: rows are cut into blocks of block_weights that take block_bytes each.
struct GgmlType {
  std::uint32_t number;  ///< as in the file
  const char* name;      ///< "Q4_1"
  std::size_t block_weights;
  std::size_t block_bytes;
  std::optional<codec::BlockType> blocks;  ///< none for types that are known by size only
};

/// The type of a number, or nullptr when unknown.
const GgmlType* find_ggml_type(std::uint32_t number);
/// Name of a type number ("Q4_1"), or "type 99".
std::string ggml_type_name(std::uint32_t number);
/// The number of the type that a codec of GGUF files writes.
std::uint32_t ggml_type_of(const codec::Codec& codec);
/// The codec that writes a type, or nullptr.
const codec::Codec* codec_of_ggml_type(std::uint32_t number);
/// The dtype of the types F32, F16 and BF16; none for other types.
std::optional<DType> ggml_dense_type(std::uint32_t number);
/// True for the types that ggml_dequantize_row() knows: all but integers, F64, and those of activations.
bool ggml_type_readable(std::uint32_t number);
/// Bytes of a row of `cols` weights. Throws Error opened by `where` when the type is not readable (naming it and the
/// readable ones), or when its block does not divide cols.
std::uint64_t ggml_row_bytes(std::uint32_t number, std::uint64_t cols, const std::string& where);
/// One row of a readable type as f32, equal bit for bit to the gguf package's dequantize (NaNs count as equal).
/// cols: a multiple of the block.
void ggml_dequantize_row(std::uint32_t number, const std::byte* row, std::size_t cols, float* out);

}  // namespace strata::format
