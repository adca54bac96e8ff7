// Compares the codecs of MLX with what MLX itself makes of a matrix (tests/golden/make_mlx_goldens.py): the bytes that
// mx.quantize writes are read as mx.dequantize reads them and packed as they were, and min-max scales and biases are
// those of mx.quantize.
#include "codec/family.h"
#include "support.h"

namespace strata::codec {
namespace mlx_golden_test {

const Goldens& mlx() {
  static const Goldens all(std::string(STRATA_TEST_DATA) + "/golden/mlx.safetensors");
  return all;
}

std::vector<const Codec*> codecs() {
  std::vector<const Codec*> result;
  for (const Codec& codec : all())
    if (codec.container == Container::mlx) result.push_back(&codec);
  return result;
}

class MlxGolden : public testing::TestWithParam<const Codec*> {
 protected:
  const Codec& codec_ = *GetParam();
  std::span<const std::byte> bytes(const std::string& part) const { return mlx().bytes(codec_.name + "." + part); }
  /// What mx.quantize wrote.
  Stored written() const {
    Stored stored = allocate(codec_, rows_, cols_);
    for (std::size_t i = 0; i < stored.specs.size(); ++i) {
      const std::string& suffix = stored.specs[i].suffix;
      EXPECT_EQ(mlx().dtype(codec_.name + "." + suffix), dtype_name(stored.specs[i].dtype)) << suffix;
      EXPECT_EQ(mlx().shape(codec_.name + "." + suffix), stored.specs[i].shape) << suffix;
      stored.parts[i].assign(bytes(suffix).begin(), bytes(suffix).end());
      stored.views[i] = stored.parts[i];
    }
    return stored;
  }
  std::size_t rows_ = mlx().shape("weights")[0], cols_ = mlx().shape("weights")[1];
};

TEST_P(MlxGolden, BytesAreReadAsMlxReadsThem) {
  const Stored stored = written();
  std::vector<float> got(cols_), want(cols_);
  for (std::size_t r = 0; r < rows_; ++r) {
    std::memcpy(want.data(), bytes("values").data() + r * cols_ * sizeof(float), cols_ * sizeof(float));
    codec_.unpack(codec_, stored, r, 0, cols_, got.data());
    EXPECT_EQ(got, want) << "row " << r;
    decode_row(stored, r, 0, cols_, got.data());
    EXPECT_EQ(got, want) << "row " << r;
  }
}

TEST_P(MlxGolden, CodesAndScalesArePackedAsMlxPacksThem) {
  const Stored stored = written();
  const std::size_t per_row = codec_.groups_per_row(cols_), row_bytes = stored.parts[0].size() / rows_;
  std::vector<std::uint8_t> codes(rows_ * cols_);
  std::vector<GroupParams> groups(rows_ * per_row);
  for (std::size_t r = 0; r < rows_; ++r) {
    for (std::size_t c = 0; c < cols_; ++c)
      codes[r * cols_ + c] =
          static_cast<std::uint8_t>(load_code(bytes_of(stored, 0) + r * row_bytes, c, codec_.code_bits));
    for (std::size_t g = 0; g < per_row; ++g) {
      GroupParams& group = groups[r * per_row + g];
      if (codec_.family == Family::affine) {
        group.scale = load_bf16(bytes_of(stored, 1), r * per_row + g);
        group.min = 0.0f - load_bf16(bytes_of(stored, 2), r * per_row + g);
      } else {
        const std::uint8_t code = bytes_of(stored, 1)[r * per_row + g];
        group.scale = codec_.family == Family::nvfp4 ? e4m3_to_float(code) : e8m0_to_float(code);
      }
    }
  }
  Stored packed = allocate(codec_, rows_, cols_);
  codec_.pack(codec_, packed, 0, rows_, codes.data(), groups.data(), 1.0f);
  expect_same_parts(stored, packed, codec_.name);
}

TEST_P(MlxGolden, MinMaxScalesAreThoseOfMlx) {
  if (codec_.family != Family::affine) GTEST_SKIP() << "its min-max scales have a rule of their own";
  const Stored want = written();
  const Stored got = encode(codec_, mlx().matrix("weights"), {}, ScaleFit::minmax, 1.0f);
  EXPECT_EQ(want.parts[1], got.parts[1]);
  EXPECT_EQ(want.parts[2], got.parts[2]);
}

INSTANTIATE_TEST_SUITE_P(Codecs, MlxGolden, testing::ValuesIn(codecs()),
                         [](const auto& codec) { return codec.param->name; });

}  // namespace mlx_golden_test
}  // namespace strata::codec
