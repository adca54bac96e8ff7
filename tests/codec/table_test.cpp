// Tests the table of codecs: names, exact sizes, shapes that fit, and what allocate gives.
// Sizes are counted by hand from docs/formats.
#include <set>

#include "codec/family.h"
#include "core/error.h"
#include "support.h"

namespace strata::codec {
namespace table_test {

TEST(Table, NamesAreUniqueAndFound) {
  std::set<std::string> names;
  for (const Codec& codec : all()) {
    EXPECT_TRUE(names.insert(codec.name).second) << codec.name;
    EXPECT_EQ(find(codec.name), &codec);
  }
  EXPECT_EQ(names.size(), 111u);
  for (const char* name : {"keep",
                           "int2_g32",
                           "int3_g64",
                           "int4_g128",
                           "int5_channel",
                           "int6_g32",
                           "int7_g64",
                           "int8_channel",
                           "int2_asym_g32",
                           "int4_asym_g64",
                           "int7_asym_channel",
                           "int8_asym_channel",
                           "int8_w8a8",
                           "fp8_channel",
                           "fp8_static",
                           "fp8_block",
                           "nvfp4",
                           "nvfp4_a4",
                           "mxfp4",
                           "mxfp8",
                           "q8_0",
                           "q4_k",
                           "iq4_xs",
                           "iq3_s",
                           "iq2_xxs",
                           "mlx2_g32",
                           "mlx3_g64",
                           "mlx8_g128",
                           "mlx_mxfp4",
                           "mlx_nvfp4"})
    EXPECT_TRUE(names.contains(name)) << name;
}

TEST(Table, EveryCodecHasTheFunctionsThatItsKindNeeds) {
  for (const Codec& codec : all()) {
    ASSERT_TRUE(codec.layout != nullptr && codec.unpack != nullptr && codec.rows != nullptr) << codec.name;
    const RowFunctions& rows = *codec.rows;
    EXPECT_NE(rows.decode, nullptr) << codec.name;
    if (!codec.has_codes()) continue;
    EXPECT_NE(codec.pack, nullptr) << codec.name;
    EXPECT_EQ(codec.fit != nullptr, codec.super_size == 0) << codec.name;
    EXPECT_EQ(codec.fit_super != nullptr, codec.super_size != 0) << codec.name;
    EXPECT_EQ(codec.round != nullptr, codec.vector_size == 1) << codec.name;
    EXPECT_EQ(codec.round_vector != nullptr, codec.vector_size != 1) << codec.name;
    EXPECT_TRUE(rows.fit != nullptr && rows.round != nullptr && rows.values != nullptr) << codec.name;
    EXPECT_TRUE(rows.store_codes != nullptr && rows.store_groups != nullptr) << codec.name;
  }
}

TEST(Table, AnUnknownNameListsTheKnownOnes) {
  EXPECT_EQ(find("int9_g7"), nullptr);
  try {
    by_name("int9_g7");
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("int9_g7"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("nvfp4"), std::string::npos);
  }
}

TEST(Table, StoredBytesCountScalesPaddingAndSideTensors) {
  const auto bytes = [](const char* name, std::uint64_t rows, std::uint64_t cols) {
    return stored_bytes(by_name(name), rows, cols);
  };
  EXPECT_EQ(bytes("keep", 3, 5), 30u);
  EXPECT_EQ(bytes("int4_g64", 576, 1536), 576u * (1536 / 2 + 2 * 24) + 16);
  EXPECT_EQ(bytes("int3_channel", 10, 33), 10u * (4 * 4 + 2) + 16);              // 99 bits in 4 words
  EXPECT_EQ(bytes("int4_asym_g32", 9, 64), 9u * (32 + 2 * 2) + 16 + 2 * 2 * 4);  // 9 zero points in 2 words a group
  EXPECT_EQ(bytes("int8_asym_channel", 9, 64), 9u * (64 + 2) + 16 + 3 * 4);
  EXPECT_EQ(bytes("int7_g32", 9, 64), 9u * (56 + 2 * 2) + 16);
  EXPECT_EQ(bytes("int3_asym_g32", 11, 64), 11u * (24 + 2 * 2) + 16 + 2 * 2 * 4);  // 33 bits in 2 words a group
  EXPECT_EQ(bytes("int8_w8a8", 9, 65), 9u * (65 + 2));
  EXPECT_EQ(bytes("fp8_channel", 9, 65), 9u * (65 + 2));
  EXPECT_EQ(bytes("fp8_block", 129, 256), 129u * 256 + 2 * 2 * 2);
  EXPECT_EQ(bytes("nvfp4", 9, 64), 9u * (32 + 4) + 4);
  EXPECT_EQ(bytes("mxfp4", 9, 64), 9u * (32 + 2));
  EXPECT_EQ(bytes("mxfp8", 9, 64), 9u * (64 + 2));
  EXPECT_EQ(bytes("q8_0", 9, 64), 9u * 68);
  EXPECT_EQ(bytes("q5_1", 9, 64), 9u * 48);
  EXPECT_EQ(bytes("q2_k", 9, 512), 9u * 168);
  EXPECT_EQ(bytes("iq4_xs", 9, 512), 9u * 272);
  EXPECT_EQ(bytes("iq3_s", 9, 512), 9u * 220);
  EXPECT_EQ(bytes("iq2_xxs", 9, 512), 9u * 132);
  EXPECT_EQ(bytes("mxfp4_gguf", 9, 512), 9u * 272);
  EXPECT_EQ(bytes("nvfp4_gguf", 9, 512), 9u * 288 + 4);
  EXPECT_EQ(bytes("tq2_0", 9, 512), 9u * 132);
  EXPECT_EQ(bytes("tq1_0", 9, 512), 9u * 108);
  EXPECT_EQ(bytes("iq1_m", 9, 512), 9u * 112);
  EXPECT_EQ(bytes("iq1_s", 9, 512), 9u * 100);
  EXPECT_EQ(bytes("mlx3_g64", 9, 512), 9u * (192 + 4 * 8));
  EXPECT_EQ(bytes("mlx6_g32", 9, 512), 9u * (384 + 4 * 16));
  EXPECT_EQ(bytes("mlx_nvfp4", 9, 64), 9u * (32 + 4));
  EXPECT_EQ(bytes("mlx_mxfp4", 9, 64), 9u * (32 + 2));
  EXPECT_EQ(bytes("mlx_mxfp8", 9, 64), 9u * (64 + 2));
}

TEST(Table, AllocateHoldsTheBytesThatArePlanned) {
  for (const Codec& codec : all()) {
    const Stored stored = allocate(codec, 37, 256);
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < stored.parts.size(); ++i) {
      EXPECT_EQ(stored.parts[i].size(), stored.specs[i].bytes());
      EXPECT_EQ(stored.views[i].data(), stored.parts[i].data());
      bytes += stored.views[i].size();
    }
    EXPECT_EQ(bytes, stored_bytes(codec, 37, 256)) << codec.name;
  }
}

TEST(Table, ShapesThatDoNotFitAreExplained) {
  EXPECT_EQ(why_not(by_name("int4_g64"), 8, 128), "");
  EXPECT_EQ(why_not(by_name("int4_g64"), 8, 100), "its groups of 64 do not divide 100 columns");
  EXPECT_EQ(why_not(by_name("nvfp4"), 8, 24), "its groups of 16 do not divide 24 columns");
  EXPECT_EQ(why_not(by_name("mxfp8"), 8, 48), "its groups of 32 do not divide 48 columns");
  EXPECT_EQ(why_not(by_name("int4_channel"), 8, 100), "");
  EXPECT_EQ(why_not(by_name("q4_k"), 8, 576), "its super-blocks of 256 do not divide 576 columns");
  EXPECT_EQ(why_not(by_name("q4_k"), 8, 512), "");
  EXPECT_EQ(why_not(by_name("int4_asym_g32"), 9, 64), "");
  EXPECT_NE(why_not(by_name("keep"), 0, 4), "");
}

TEST(Table, ShapesTooLargeForMemorySaturateInsteadOfWrapping) {
  const std::uint64_t huge = std::uint64_t{1} << 62;
  for (const Codec& codec : all()) EXPECT_EQ(stored_bytes(codec, huge, huge), ~std::uint64_t{0}) << codec.name;
}

TEST(Table, BlocksOfFp8HaveAPowerOfTwoThatCutsNoWeight) {
  const Codec& codec = by_name("fp8_block");
  EXPECT_EQ(tensor_scale(codec, 448.0f), 1.0f);
  EXPECT_EQ(tensor_scale(codec, 449.0f), 2.0f);
  EXPECT_EQ(tensor_scale(codec, 7.0f), 0x1p-6f);
  EXPECT_EQ(tensor_scale(codec, 1e-44f), 0x1p-126f);
  EXPECT_EQ(tensor_scale(codec, std::numeric_limits<float>::max()), 0x1p120f);
  EXPECT_EQ(tensor_scale(codec, 0.0f), 1.0f);
}

/// 384 x 256 weights have three blocks by two, and every row reads the scale of its own.
TEST(Table, RowsOfFp8ReadTheScaleOfTheirBlock) {
  const Codec& codec = by_name("fp8_block");
  Stored stored = allocate(codec, 300, 256);
  std::fill(stored.parts[0].begin(), stored.parts[0].end(), std::byte{0x38});  // 1
  for (std::size_t block = 0; block < 6; ++block) store_bf16(bytes_of(stored, 1), block, static_cast<float>(block + 1));
  for (const std::size_t row : {0u, 127u, 128u, 299u})
    for (const std::size_t col : {0u, 128u}) {
      float one = 0;
      codec.unpack(codec, stored, row, col, 1, &one);
      EXPECT_EQ(one, static_cast<float>(row / 128 * 2 + col / 128 + 1)) << row << ' ' << col;
    }
}

TEST(Table, TensorScaleIsUsedByNvfp4AndBlocksOnly) {
  EXPECT_EQ(tensor_scale(by_name("nvfp4"), 2.0f), 1344.0f);
  EXPECT_EQ(tensor_scale(by_name("nvfp4"), 0.0f), 1.0f);
  EXPECT_TRUE(std::isfinite(tensor_scale(by_name("nvfp4"), 1e-40f)));
  EXPECT_EQ(tensor_scale(by_name("int4_g64"), 2.0f), 1.0f);
}

TEST(Table, KeepRoundsToBf16AndReadsItBack) {
  Matrix m{2, 3};
  m.values = {1.0f, 1.00390625f, -3.0e38f, 1e-40f, -0.0f, 0.3f};
  const Stored stored = encode(by_name("keep"), m.view(), {}, ScaleFit::search, 1);
  float out[3];
  for (std::size_t r = 0; r < 2; ++r) {
    decode_row(stored, r, 0, 3, out);
    for (std::size_t c = 0; c < 3; ++c) EXPECT_TRUE(same(out[c], round_bf16(m.row(r)[c])));
  }
}

}  // namespace table_test
}  // namespace strata::codec
