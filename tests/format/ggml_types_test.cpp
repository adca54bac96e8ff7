// Compares the decoders of ggml types with the gguf package's on random bytes, and with the format page's example.
// Goldens: tests/golden/make_gguf_goldens.py.
#include "format/ggml_types.h"

#include <cmath>
#include <map>

#include "codec/variants.h"
#include "core/cpu.h"
#include "format/safetensors.h"
#include "support/file_bytes.h"
#include "support/same_bits.h"

namespace strata::format {
namespace ggml_types_test {

const std::map<std::string, std::uint32_t> kReadable = {
    {"F32", 0},     {"F16", 1},    {"BF16", 30},    {"Q8_0", 8},   {"Q4_0", 2},    {"Q4_1", 3},     {"Q5_0", 6},
    {"Q5_1", 7},    {"Q4_K", 12},  {"Q5_K", 13},    {"Q6_K", 14},  {"Q2_K", 10},   {"Q3_K", 11},    {"IQ4_NL", 20},
    {"IQ4_XS", 23}, {"IQ3_S", 21}, {"IQ3_XXS", 18}, {"IQ2_S", 22}, {"IQ2_XS", 17}, {"IQ2_XXS", 16}, {"IQ1_S", 19},
    {"IQ1_M", 29},  {"TQ1_0", 34}, {"TQ2_0", 35},   {"MXFP4", 39}, {"NVFP4", 40},  {"Q1_0", 41},    {"Q2_0", 42}};

class Dequantize : public testing::TestWithParam<std::pair<const std::string, std::uint32_t>> {};

TEST_P(Dequantize, EqualsTheGgufPackageBitForBit) {
  const auto& [name, type] = GetParam();
  EXPECT_EQ(ggml_type_name(type), name);
  ASSERT_TRUE(ggml_type_readable(type));
  const auto goldens = SafetensorsSet::open_file(std::string(STRATA_TEST_DATA) + "/golden/gguf_types.safetensors");
  const TensorView* bytes = goldens.find(name + ".bytes");
  const TensorView* weights = goldens.find(name + ".weights");
  ASSERT_TRUE(bytes != nullptr && weights != nullptr);
  const std::uint64_t rows = weights->shape.at(0), cols = weights->shape.at(1);
  const std::uint64_t row_bytes = ggml_row_bytes(type, cols, "golden");
  ASSERT_EQ(rows * row_bytes, bytes->data.size());

  std::size_t finite = 0;
  for (std::uint64_t r = 0; r < rows; ++r) {
    const auto row_data = bytes->data.subspan(r * row_bytes, row_bytes);
    const Bytes row(row_data.begin(), row_data.end());
    std::vector<float> got(cols), want(cols), by_variant(cols);
    ggml_dequantize_row(type, row.data(), cols, got.data());
    std::memcpy(want.data(), weights->data.data() + r * cols * 4, cols * 4);
    for (const codec::Variant* variant : codec::variants()) {
      if (!isa_runs_here(variant->isa)) continue;
      variant->decode_blocks(*find_ggml_type(type)->blocks, reinterpret_cast<const unsigned char*>(row.data()),
                             cols / find_ggml_type(type)->block_weights, by_variant.data());
      for (std::size_t c = 0; c < cols; ++c)
        ASSERT_TRUE(same(got[c], by_variant[c]))
            << variant->name << " row " << r << " column " << c << ": " << by_variant[c] << ", expected " << got[c];
    }
    for (std::size_t c = 0; c < cols; ++c) {
      ASSERT_TRUE(same(got[c], want[c])) << "row " << r << " column " << c << ": " << got[c] << ", expected "
                                         << want[c];
      finite += std::isfinite(want[c]);
    }
  }
  EXPECT_GT(finite, rows * cols / 2);
}

INSTANTIATE_TEST_SUITE_P(Types, Dequantize, testing::ValuesIn(kReadable),
                         [](const auto& row) { return row.param.first; });

TEST(GgmlTypes, EveryHalfIsDecodedAsItsValue) {
  std::vector<std::uint16_t> halves(65536);
  for (std::size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<std::uint16_t>(i);
  std::vector<float> got(halves.size());
  ggml_dequantize_row(1, reinterpret_cast<const std::byte*>(halves.data()), halves.size(), got.data());
  for (std::size_t i = 0; i < halves.size(); ++i) {
    const int exponent = (halves[i] >> 10) & 31, mantissa = halves[i] & 1023;
    if (exponent == 31) {
      EXPECT_TRUE(mantissa == 0 ? std::isinf(got[i]) : std::isnan(got[i])) << i;
    } else {
      const double magnitude = exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
      EXPECT_EQ(std::fabs(got[i]), magnitude) << i;
    }
    if (exponent != 31 || mantissa == 0) {
      EXPECT_EQ(std::signbit(got[i]), (i & 0x8000) != 0) << i;
    }
  }
}

TEST(GgmlTypes, TheQ4KExampleOfTheFormatPage) {
  Bytes block(144, std::byte{0});
  block[1] = std::byte{0x3C};  // d = 1
  block[3] = std::byte{0x38};  // dmin = 0.5
  block[4] = std::byte{3};     // scale of group 0
  block[5] = std::byte{4};     // scale of group 1
  block[8] = std::byte{2};     // min of group 0
  block[16] = std::byte{0x5A};
  std::vector<float> weights(256);
  ggml_dequantize_row(12, block.data(), 256, weights.data());
  EXPECT_EQ(weights[0], 29.0f);
  EXPECT_EQ(weights[1], -1.0f);
  EXPECT_EQ(weights[32], 20.0f);
}

TEST(GgmlTypes, RowsMustBeWholeBlocks) {
  EXPECT_EQ(ggml_row_bytes(3, 576, "f"), 360u);
  EXPECT_EQ(ggml_row_bytes(14, 512, "f"), 420u);
  EXPECT_NE(
      error_of([] { ggml_row_bytes(12, 576, "f"); }).find("576 columns are not a multiple of Q4_K's block of 256"),
      std::string::npos);
  EXPECT_NE(error_of([] { ggml_row_bytes(0, UINT64_MAX / 2, "f"); }).find("64 bits"), std::string::npos);
}

TEST(GgmlTypes, UnknownNumbersHaveAName) {
  EXPECT_EQ(ggml_type_name(99), "type 99");
  EXPECT_EQ(find_ggml_type(4), nullptr);
  EXPECT_FALSE(ggml_type_readable(24));
}

}  // namespace ggml_types_test
}  // namespace strata::format
