// Compares every codec with min-max scales with tensors of an independent numpy implementation.
// tests/golden/make_codec_goldens.py made them, and found them equal to what compressed-tensors' layout asks for.
#include "support.h"

namespace strata::codec {
namespace golden_test {

class Golden : public testing::TestWithParam<std::string> {};

TEST_P(Golden, MinMaxBytesEqualTheNumpyImplementation) {
  const MatrixView weights = goldens().matrix(GetParam() + ".weights");
  const Matrix m = widened(weights);
  std::size_t compared = 0;
  for (const Codec& codec : all()) {
    if (!goldens().has(GetParam() + "." + codec.name + ".weight_scale")) continue;
    ++compared;
    const float scale = tensor_scale(codec, absmax(m));
    const Stored by_rows = encode(codec, weights, {}, ScaleFit::minmax, scale);
    const Stored by_specification = encode_by_specification(codec, m, {}, ScaleFit::minmax, scale);
    expect_same_parts(by_specification, by_rows, codec.name);
    for (std::size_t i = 0; i < by_rows.specs.size(); ++i) {
      const std::string name = GetParam() + "." + codec.name + "." + by_rows.specs[i].suffix;
      ASSERT_TRUE(goldens().has(name)) << name;
      EXPECT_EQ(goldens().shape(name), by_rows.specs[i].shape) << name;
      EXPECT_EQ(goldens().dtype(name), dtype_name(by_rows.specs[i].dtype)) << name;
      const auto want = goldens().bytes(name);
      ASSERT_EQ(want.size(), by_specification.parts[i].size()) << name;
      EXPECT_EQ(std::memcmp(want.data(), by_specification.parts[i].data(), want.size()), 0) << name;
    }
  }
  EXPECT_EQ(compared, GetParam() == "ragged" ? 16u : 61u);
}

TEST_P(Golden, UnpackGivesTheValueOfEveryCode) {
  const Matrix m = widened(goldens().matrix(GetParam() + ".weights"));
  for (const Codec& codec : all()) {
    if (!codec.has_codes() || !why_not(codec, m.rows, m.cols).empty()) continue;
    const float scale = tensor_scale(codec, absmax(m));
    const Stored stored = encode_by_specification(codec, m, {}, ScaleFit::minmax, scale);
    std::vector<float> row(m.cols);
    for (std::size_t r = 0; r < m.rows; ++r) {
      codec.unpack(codec, stored, r, 0, m.cols, row.data());
      const std::vector<GroupParams> groups = fit_by_specification(codec, m.row(r), {}, ScaleFit::minmax, scale);
      const std::vector<std::uint8_t> codes = codes_by_specification(codec, m.row(r), {}, groups);
      for (std::size_t c = 0; c < m.cols; ++c) {
        const GroupParams& group = groups[codec.group_size == 0 ? 0 : c / codec.group_size];
        const float want = codec.value(codec, codes[c], group);
        ASSERT_TRUE(same(want, row[c])) << codec.name << " row " << r << " column " << c;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Matrices, Golden, testing::Values("usual", "extreme", "ragged"),
                         [](const auto& matrix) { return matrix.param; });

}  // namespace golden_test
}  // namespace strata::codec
