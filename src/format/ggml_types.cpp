// The table of ggml types: numbers, sizes, and the decoders of src/codec.
// A type that cannot be decoded is known by name and size, so that files with it can be listed.
#include "format/ggml_types.h"

#include <array>
#include <cctype>
#include <string_view>

#include "codec/variants.h"
#include "core/checked.h"
#include "core/error.h"

namespace strata::format {
namespace {

using codec::BlockType;

/// All types by rising number. Sizes as in ggml's type traits and the gguf package's GGML_QUANT_SIZES.
constexpr std::array<GgmlType, 35> kTypes{{
    {0, "F32", 1, 4, BlockType::f32},
    {1, "F16", 1, 2, BlockType::f16},
    {2, "Q4_0", 32, 18, BlockType::q4_0},
    {3, "Q4_1", 32, 20, BlockType::q4_1},
    {6, "Q5_0", 32, 22, BlockType::q5_0},
    {7, "Q5_1", 32, 24, BlockType::q5_1},
    {8, "Q8_0", 32, 34, BlockType::q8_0},
    {9, "Q8_1", 32, 40, {}},
    {10, "Q2_K", 256, 84, BlockType::q2_k},
    {11, "Q3_K", 256, 110, BlockType::q3_k},
    {12, "Q4_K", 256, 144, BlockType::q4_k},
    {13, "Q5_K", 256, 176, BlockType::q5_k},
    {14, "Q6_K", 256, 210, BlockType::q6_k},
    {15, "Q8_K", 256, 292, {}},
    {16, "IQ2_XXS", 256, 66, BlockType::iq2_xxs},
    {17, "IQ2_XS", 256, 74, BlockType::iq2_xs},
    {18, "IQ3_XXS", 256, 98, BlockType::iq3_xxs},
    {19, "IQ1_S", 256, 50, BlockType::iq1_s},
    {20, "IQ4_NL", 32, 18, BlockType::iq4_nl},
    {21, "IQ3_S", 256, 110, BlockType::iq3_s},
    {22, "IQ2_S", 256, 82, BlockType::iq2_s},
    {23, "IQ4_XS", 256, 136, BlockType::iq4_xs},
    {24, "I8", 1, 1, {}},
    {25, "I16", 1, 2, {}},
    {26, "I32", 1, 4, {}},
    {27, "I64", 1, 8, {}},
    {28, "F64", 1, 8, {}},
    {29, "IQ1_M", 256, 56, BlockType::iq1_m},
    {30, "BF16", 1, 2, BlockType::bf16},
    {34, "TQ1_0", 256, 54, BlockType::tq1_0},
    {35, "TQ2_0", 256, 66, BlockType::tq2_0},
    {39, "MXFP4", 32, 17, BlockType::mxfp4},
    {40, "NVFP4", 64, 36, BlockType::nvfp4},
    {41, "Q1_0", 128, 18, BlockType::q1_0},
    {42, "Q2_0", 64, 18, BlockType::q2_0},
}};

std::string readable_names() {
  std::string names;
  for (const GgmlType& type : kTypes)
    if (type.blocks) names += (names.empty() ? "" : " ") + std::string(type.name);
  return names;
}

}  // namespace

const GgmlType* find_ggml_type(std::uint32_t number) {
  for (const GgmlType& type : kTypes)
    if (type.number == number) return &type;
  return nullptr;
}

std::string ggml_type_name(std::uint32_t number) {
  const GgmlType* type = find_ggml_type(number);
  return type != nullptr ? type->name : fmt::format("type {}", number);
}

std::uint32_t ggml_type_of(const codec::Codec& codec) {
  std::string name;
  // "mxfp4" alone is the codec of compressed-tensors.
  const std::string_view stem = std::string_view(codec.name).substr(0, codec.name.find("_gguf"));
  for (const char c : stem) name += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (const GgmlType& type : kTypes)
    if (type.name == name) return type.number;
  STRATA_CHECK(false, "{} is no GGUF type", codec.name);
}

const codec::Codec* codec_of_ggml_type(std::uint32_t number) {
  for (const codec::Codec& codec : codec::all())
    if (codec.container == codec::Container::gguf && ggml_type_of(codec) == number) return &codec;
  return nullptr;
}

std::optional<DType> ggml_dense_type(std::uint32_t number) {
  const GgmlType* type = find_ggml_type(number);
  if (type == nullptr || !type->blocks) return std::nullopt;
  switch (*type->blocks) {
    case BlockType::f32:
      return DType::f32;
    case BlockType::f16:
      return DType::f16;
    case BlockType::bf16:
      return DType::bf16;
    default:
      return std::nullopt;
  }
}

bool ggml_type_readable(std::uint32_t number) {
  const GgmlType* type = find_ggml_type(number);
  return type != nullptr && type->blocks;
}

std::uint64_t ggml_row_bytes(std::uint32_t number, std::uint64_t cols, const std::string& where) {
  const GgmlType* type = find_ggml_type(number);
  if (type == nullptr || !type->blocks)
    fail("{}: the tensor type {} cannot be read; use a file of the types {}", where, ggml_type_name(number),
         readable_names());
  if (cols % type->block_weights != 0)
    fail("{}: {} columns are not a multiple of {}'s block of {}", where, cols, type->name, type->block_weights);
  const auto bytes = multiply(cols / type->block_weights, type->block_bytes);
  if (!bytes) fail("{}: a row of {} columns does not fit in 64 bits", where, cols);
  return *bytes;
}

void ggml_dequantize_row(std::uint32_t number, const std::byte* row, std::size_t cols, float* out) {
  const GgmlType* type = find_ggml_type(number);
  STRATA_CHECK(type != nullptr && type->blocks && cols % type->block_weights == 0, "{}, {} columns",
               ggml_type_name(number), cols);
  codec::selected_variant().decode_blocks(*type->blocks, reinterpret_cast<const unsigned char*>(row),
                                          cols / type->block_weights, out);
}

}  // namespace strata::format
