// The worked examples of docs/formats/int.md, fp8.md, nvfp4.md, mxfp.md, gguf.md and mlx.md, typed in from the pages.
// Every example is one row with min-max scales, or a block of bytes.
#include "support.h"

namespace strata::codec {
namespace pages_test {

using Bytes = std::vector<unsigned>;

struct Example {
  const char* codec;
  std::vector<float> row;  // what the page spells out; zeros follow up to `cols`
  std::size_t cols;
  std::vector<Bytes> parts;  // the first bytes of each tensor, in the codec's order
  std::vector<float> decoded;
};

void check(const Example& example) {
  const Codec& codec = by_name(example.codec);
  Matrix m{1, example.cols};
  std::ranges::copy(example.row, m.values.begin());
  const Stored stored = encode(codec, m.view(), {}, ScaleFit::minmax, tensor_scale(codec, absmax(m)));
  ASSERT_EQ(stored.parts.size(), example.parts.size()) << example.codec;
  for (std::size_t i = 0; i < stored.parts.size(); ++i)
    for (std::size_t k = 0; k < example.parts[i].size(); ++k)
      EXPECT_EQ(static_cast<unsigned>(stored.parts[i].at(k)), example.parts[i][k])
          << example.codec << " " << stored.specs[i].suffix << " byte " << k;
  std::vector<float> decoded(example.cols);
  decode_row(stored, 0, 0, example.cols, decoded.data());
  for (std::size_t i = 0; i < example.cols; ++i) {
    const float want = i < example.decoded.size() ? example.decoded[i] : 0.0f;
    EXPECT_TRUE(same(decoded[i], want)) << example.codec << " " << i << ": " << decoded[i] << ", not " << want;
  }
}

TEST(Pages, IntegersWithScales) {
  check({"int4_g32",
         {7.5f, -7.5f, 2.5f, -0.5f},
         32,
         {{0x0F, 0x8A, 0x88, 0x88, 0x88}, {0x80, 0x3F}, {1, 0, 0, 0, 0, 0, 0, 0, 32, 0}},
         {7, -8, 2, 0}});
}

TEST(Pages, IntegersThatStraddleWords) {
  check({"int3_channel",
         {3.5f, -3.5f, 1.5f, -1.5f, 0.5f, -0.5f, 1, -1, 2, -2, 3},
         11,
         {{0x87, 0x45, 0x76, 0xD6, 0x01, 0, 0, 0}, {0x80, 0x3F}, {1}},
         {3, -4, 2, -2, 0, 0, 1, -1, 2, -2, 3}});
}

TEST(Pages, IntegersWithZeroPoints) {
  check({"int4_asym_g32",
         {2, -1},
         32,
         {{0x0F, 0x55, 0x55}, {0x4D, 0x3E}, {1}, {5, 0, 0, 0}},
         {2.001953125f, -1.0009765625f}});
}

TEST(Pages, Fp8) {
  check(
      {"fp8_channel", {448, -1, 0.3f, -0.0f}, 4, {{0x7E, 0xB8, 0x2A, 0x80}, {0x80, 0x3F}}, {448, -1, 0.3125f, -0.0f}});
  check({"fp8_block", {3.5f, 0.3f}, 128, {{0x7E, 0x62, 0}, {0x00, 0x3C}}, {3.5f, 0.3125f}});
}

TEST(Pages, Nvfp4) {
  check({"nvfp4",
         {6, -0.2f, 2.5f, -5},
         16,
         {{0x87, 0xE4, 0, 0, 0, 0, 0, 0}, {0x7E}, {0, 0, 0xE0, 0x43}},
         {6, -0.0f, 2, -4}});
}

TEST(Pages, Mxfp) {
  check({"mxfp4", {7, -0.2f, 3, -6}, 32, {{0x86, 0xD3, 0}, {0x80}}, {8, -0.0f, 3, -6}});
  check({"mxfp8", {448, 1, -0.0f}, 32, {{0x76, 0x30, 0x80, 0}, {0x80}}, {448, 1, -0.0f}});
}

TEST(Pages, Mlx) {
  check({"mlx4_g32",
         {-7.5f, 0.5f, 7, -0.5f},
         32,
         {{0x90, 0x7F, 0x88, 0x88}, {0x70, 0x3F}, {0xF0, 0xC0}},
         {-7.5f, 0.9375f, 6.5625f, -0.9375f}});
  check({"mlx_mxfp4", {7, -0.2f, 3, -6}, 32, {{0x86, 0xD3, 0}, {0x80}}, {8, -0.0f, 3, -6}});
  check({"mlx_mxfp8", {448, 1, -0.0f}, 32, {{0x76, 0x30, 0x80, 0}, {0x80}}, {448, 1, -0.0f}});
  check({"mlx_nvfp4", {6, -0.2f, 2.5f, -5}, 16, {{0x87, 0xE4, 0, 0, 0, 0, 0, 0}, {0x38}}, {6, -0.0f, 2, -4}});
}

/// One block with the bytes that the page names, all else 0.
std::vector<float> decoded(const char* name, const std::vector<std::pair<std::size_t, unsigned>>& bytes) {
  Stored stored = allocate(by_name(name), 1, 256);
  for (const auto& [at, byte] : bytes) stored.parts[0][at] = static_cast<std::byte>(byte);
  std::vector<float> weights(256);
  decode_row(stored, 0, 0, 256, weights.data());
  return weights;
}

TEST(Pages, GgufCodebooks) {
  const auto iq3 = decoded("iq3_s", {{1, 0x3C}, {2, 0x2C}, {66, 1}, {74, 0x0A}, {106, 3}});
  EXPECT_EQ(std::vector(iq3.begin(), iq3.begin() + 8), (std::vector<float>{21, -35, 21, -49, 7, 7, 7, 7}));
  EXPECT_EQ(iq3[32], 1.0f);
  const auto iq2 = decoded("iq2_xxs", {{1, 0x3C}, {2, 1}, {6, 5}, {9, 0x20}});
  EXPECT_EQ(std::vector(iq2.begin(), iq2.begin() + 8), (std::vector<float>{-26.875f, 5, -5, 5, 5, 5, 5, 5}));
  EXPECT_EQ(iq2[32], 1.0f);
}

}  // namespace pages_test
}  // namespace strata::codec
