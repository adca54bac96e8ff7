// Tests how matrices of other programs are decoded, and that shapes which do not fit each other are refused.
// The worked example is the one of docs/formats/quantized-sources.md.
#include "format/encoded_matrix.h"

#include "support/file_bytes.h"

namespace strata::format {
namespace encoded_matrix_test {

/// A tensor of zeros that owns its bytes.
struct Owned {
  Owned(DType type, std::vector<std::uint64_t> shape) : view{"t", type, shape, {}} {
    std::size_t bytes = dtype_bytes(type);
    for (const std::uint64_t extent : shape) bytes *= extent;
    data.resize(bytes);
    view.data = data;
  }
  Bytes data;
  TensorView view;
};

constexpr EncodedMatrix::Block kBlock = {128, 128};

TEST(EncodedMatrix, TheExampleOfTheFormatPage) {
  Owned codes(DType::u8, {1, 1, 2, 16}), scales(DType::u8, {1, 1, 2});
  codes.data[0] = std::byte{0x72};
  scales.data[0] = std::byte{128};
  const EncodedMatrix matrix({&codes.view, &scales.view}, true, kBlock, "file");
  EXPECT_EQ(matrix.type(), "MXFP4");
  ASSERT_EQ(matrix.cols(), 64u);
  std::vector<float> row(64);
  matrix.read_row(0, 0, row.data());
  EXPECT_EQ(row[0], 2.0f);
  EXPECT_EQ(row[1], 12.0f);
  EXPECT_EQ(row[63], 0.0f);
}

TEST(EncodedMatrix, ScalesOfAStackHaveAPlaneEach) {
  Owned codes(DType::e4m3, {2, 200, 130}), scales(DType::f32, {2, 2, 2});
  std::ranges::fill(codes.data, std::byte{0x38});  // 1.0
  for (std::size_t i = 0; i < 8; ++i) {
    const auto value = static_cast<float>(i);
    std::memcpy(&scales.data[4 * i], &value, 4);
  }
  const EncodedMatrix matrix({&codes.view, &scales.view}, true, kBlock, "file");
  EXPECT_EQ(matrix.type(), "F8_E4M3 in blocks of 128 x 128");
  std::vector<float> row(130);
  matrix.read_row(1, 199, row.data());
  EXPECT_EQ(row[127], 6.0f);
  EXPECT_EQ(row[128], 7.0f);
  EXPECT_EQ(matrix.plane_bytes(), 200u * 130 + 16);
}

TEST(EncodedMatrix, ScalesOfColumnsAreReadToo) {  // llama4's stacks in FP8 hold (in, out)
  Owned codes(DType::e4m3, {2, 4, 3}), scales(DType::bf16, {2, 1, 3});
  EXPECT_EQ(EncodedMatrix({&codes.view, &scales.view}, true, kBlock, "file").type(), "F8_E4M3 with a scale a column");
}

struct Part {
  DType type;
  std::vector<std::uint64_t> shape;
};

/// The refusal of tensors that are taken as codes, scales and tensor scales; empty when they are read.
std::string refusal(const std::vector<Part>& parts, bool stacked) {
  std::vector<std::unique_ptr<Owned>> owned;
  for (const Part& part : parts) owned.push_back(std::make_unique<Owned>(part.type, part.shape));
  const auto view = [&](std::size_t i) { return i < owned.size() ? &owned[i]->view : nullptr; };
  return error_of([&] { EncodedMatrix({view(0), view(1), view(2)}, stacked, kBlock, "file"); });
}

TEST(EncodedMatrix, ShapesThatDoNotFitAreRefused) {
  using enum DType;
  const Part fp8 = {e4m3, {256, 256}}, fp4 = {u8, {4, 16}}, one = {f32, {}};
  EXPECT_EQ(refusal({fp8, {f32, {2, 2}}}, false), "");
  EXPECT_EQ(refusal({fp4, {e4m3, {4, 2}}, one}, false), "");
  EXPECT_EQ(refusal({{u8, {1, 4, 2, 16}}, {u8, {1, 4, 2}}}, true), "");
  EXPECT_NE(refusal({fp8}, false), "");
  EXPECT_NE(refusal({fp8, one}, true), "");
  for (const std::vector<std::uint64_t>& shape :
       {std::vector<std::uint64_t>{3, 2}, {2, 3}, {0, 2}, {255}, {2, 2, 1}, {256, 256, 1}})
    EXPECT_NE(refusal({fp8, {f32, shape}}, false), "") << fmt::format("{}", fmt::join(shape, ", "));
  EXPECT_NE(refusal({fp8, {i32, {2, 2}}}, false), "");
  EXPECT_NE(refusal({fp4}, false), "");
  EXPECT_NE(refusal({fp4, {e4m3, {4, 1}}, one}, false), "");
  EXPECT_NE(refusal({fp4, {u8, {4, 2}}, one}, false), "");
  EXPECT_NE(refusal({fp4, {e4m3, {4, 2}}, {f32, {4}}}, false), "");
  EXPECT_NE(refusal({{u8, {1, 4, 2, 15}}, {u8, {1, 4, 2}}}, true), "");
  EXPECT_NE(refusal({{u8, {1, 4, 2, 16}}, {u8, {1, 4, 1}}}, true), "");
  EXPECT_NE(refusal({{u8, {1, 4, 0, 16}}, {u8, {1, 4, 0}}}, true), "");
  EXPECT_NE(refusal({{i64, {4, 4}}}, false), "");
}

}  // namespace encoded_matrix_test
}  // namespace strata::format
