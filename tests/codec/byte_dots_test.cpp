// Compares the products of stored rows with activations of 8 bits, bit for bit, with byte_row.h's definition in scalar
// code over codes and group parameters: every codec that has a kernel, every variant with kernels, widths with tails.
#include "codec/chosen_rows.h"
#include "codec/family.h"
#include "core/cpu.h"
#include "support.h"

namespace strata::codec {
namespace byte_dots_test {

/// A row of 8 bits in memory of its own.
struct Bytes {
  explicit Bytes(std::size_t cols)
      : blocks((cols / kByteBlock + kByteStep - 1) / kByteStep * kByteStep),
        codes(cols),
        numbers(4 * blocks, 12345.0f),
        row{cols, codes.data(), numbers.data(), numbers.data() + blocks, numbers.data() + 2 * blocks} {}
  Bytes(const Bytes&) = delete;
  std::size_t blocks;
  std::vector<std::int8_t> codes;
  std::vector<float> numbers;
  ByteRow row;
};

void round_by_definition(const std::vector<float>& x, const ByteRow& out) {
  for (std::size_t b = 0; b < out.cols / kByteBlock; ++b) {
    float most = 0;
    bool finite = true;
    for (std::size_t c = b * kByteBlock; c < (b + 1) * kByteBlock; ++c) {
      most = std::fmax(most, std::fabs(x[c]));
      finite = finite && std::isfinite(x[c]);
    }
    const bool some = finite && most >= 1e-36f;
    const float inverse = some ? 127.0f / most : 0.0f;
    out.scales[b] = !finite ? std::numeric_limits<float>::quiet_NaN() : some ? most / 127.0f : 0.0f;
    int sums[2] = {0, 0};
    for (std::size_t i = 0; i < kByteBlock; ++i) {
      const std::size_t c = b * kByteBlock + i;
      out.codes[c] = finite ? static_cast<std::int8_t>(std::nearbyint(x[c] * inverse)) : std::int8_t{0};
      sums[i / 16] += out.codes[c];
    }
    out.sums[b] = static_cast<float>(sums[0] + sums[1]) * out.scales[b];
    for (std::size_t i = 0; i < 2; ++i) out.half_sums[2 * b + i] = static_cast<float>(sums[i]) * out.scales[b];
  }
  for (std::size_t b = out.cols / kByteBlock; b % kByteStep != 0; ++b)
    out.scales[b] = out.sums[b] = out.half_sums[2 * b] = out.half_sums[2 * b + 1] = 0.0f;
}

/// What a weight is made of: scale * c - min, c the integer that is multiplied.
struct Numbers {
  int c;
  float scale, min;
};

Numbers numbers_of(const Codec& codec, std::uint8_t code, const GroupParams& group) {
  if (codec.is_integer() && codec.code_bits == 8) return {code - 128, group.scale, group.zero_point * group.scale};
  if (codec.is_integer()) return {code, group.scale, (group.zero_point + 8.0f) * group.scale};
  if (codec.name.starts_with("iq4")) return {static_cast<int>(kIq4Levels[code]), group.scale, 0.0f};
  if (codec.name == "q8_0") return {code - 127, group.scale, 0.0f};
  const float lowest = codec.name == "q4_0" ? -8.0f : codec.name == "q5_0" ? -16.0f : codec.name == "q6_k" ? -32.0f : 0;
  return {code, group.scale, lowest != 0.0f ? -lowest * group.scale : group.min};
}

float dot_by_definition(const Codec& codec, const std::vector<std::uint8_t>& codes,
                        const std::vector<GroupParams>& groups, const ByteRow& x) {
  const std::size_t group_size = codec.group_size == 0 ? x.cols : codec.group_size;
  const std::size_t width = std::min(group_size, kByteBlock);  // columns with one min and one sum of x
  float sums[2][8] = {}, mins[8] = {};
  for (std::size_t b = 0; b < x.cols / kByteBlock; ++b)
    for (std::size_t i = 0; i < 8; ++i) {
      int sum = 0;
      const std::size_t first = b * kByteBlock + 4 * i;
      for (std::size_t c = first; c < first + 4; ++c)
        sum += numbers_of(codec, codes[c], groups[c / group_size]).c * x.codes[c];
      const float factor = numbers_of(codec, codes[first], groups[first / group_size]).scale * x.scales[b];
      sums[b % 2][i] = std::fma(static_cast<float>(sum), factor, sums[b % 2][i]);
    }
  for (std::size_t c = 0; c < x.cols; c += width) {
    const float min = numbers_of(codec, codes[c], groups[c / group_size]).min;
    const std::size_t g = c / width;
    mins[g % 8] = std::fma(min, width == kByteBlock ? x.sums[g] : x.half_sums[g], mins[g % 8]);
  }
  float s[8];
  for (std::size_t i = 0; i < 8; ++i) s[i] = (sums[0][i] + sums[1][i]) - mins[i];
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

class ByteDots : public testing::TestWithParam<const Variant*> {
 protected:
  void SetUp() override {
    if (!isa_runs_here(GetParam()->isa)) GTEST_SKIP() << GetParam()->name << " does not run on this CPU";
    if (GetParam()->bytes == nullptr) GTEST_SKIP() << GetParam()->name << " has no products with 8 bits";
  }
};

std::vector<float> activations(std::size_t cols, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> x(cols);
  for (float& v : x) v = static_cast<float>(random.normal() * std::exp(2 * random.normal()));
  return x;
}

TEST_P(ByteDots, RoundAsDefined) {
  for (const std::size_t cols : {32u, 96u, 576u, 768u}) {
    std::vector<float> x = activations(cols, cols);
    std::fill_n(x.begin(), 32, 0.0f);
    if (cols > 32) std::fill_n(x.begin() + 32, 16, 3e-37f), std::fill_n(x.begin() + 48, 16, -1e-40f);
    if (cols > 96) x[100] = 3e38f, x[130] = 2e-36f;
    if (cols > 192)
      for (std::size_t c = 160; c < 192; ++c) x[c] = static_cast<float>(c) - 160.5f;  // ties after scaling
    Bytes want(cols), got(cols);
    round_by_definition(x, want.row);
    GetParam()->bytes->round(x.data(), got.row);
    EXPECT_EQ(want.codes, got.codes);
    EXPECT_TRUE(std::ranges::equal(want.numbers, got.numbers, same)) << cols;
  }
}

TEST_P(ByteDots, OfEveryCodecEqualTheDefinitionBitForBit) {
  std::size_t with_kernel = 0;
  for (const Codec& codec : all())
    for (const std::size_t cols : {32u, 96u, 128u, 256u, 320u, 576u, 768u, 1536u}) {
      if (!why_not(codec, 35, cols).empty()) continue;
      const Matrix m = random_matrix(35, cols, cols);
      const Stored stored = encode(codec, m.view(), {}, ScaleFit::minmax, tensor_scale(codec, 0.1f));
      Bytes x(cols);
      GetParam()->bytes->round(activations(cols, 3).data(), x.row);
      std::vector<float> y(37, 12345.0f);
      if (!multiply_rows(*GetParam(), stored, 1, 34, x.row, y.data())) {
        EXPECT_EQ(y, std::vector<float>(37, 12345.0f)) << codec.name;
        continue;
      }
      with_kernel += cols == 768 ? 1 : 0;
      std::vector<std::uint8_t> codes(cols);
      for (std::size_t r = 0; r < 34; ++r) {
        std::vector<GroupParams> groups(codec.groups_per_row(cols));
        fit_row(codec, m.row(r + 1), {}, ScaleFit::minmax, tensor_scale(codec, 0.1f), groups);
        round_row(codec, m.row(r + 1), {}, groups, codes);
        const float want = dot_by_definition(codec, codes, groups, x.row);
        ASSERT_TRUE(same(want, y[r])) << codec.name << " " << cols << " columns, row " << r << ": " << y[r]
                                      << " instead of " << want;
      }
      for (std::size_t r = 34; r < y.size(); ++r) ASSERT_EQ(y[r], 12345.0f);
    }
  EXPECT_GE(with_kernel, 10u);
}

/// The sum over unpacked weights, with the activations as they are after rounding.
TEST_P(ByteDots, OfAnyBytesAreTheSumsOverUnpackedWeights) {
  Random random(9);
  for (const Codec& codec : all()) {
    const std::size_t cols = 768;
    Stored stored = allocate(codec, 32, cols);
    for (auto& part : stored.parts)
      for (std::byte& byte : part) byte = static_cast<std::byte>(random.next());
    Bytes x(cols);
    GetParam()->bytes->round(activations(cols, 4).data(), x.row);
    std::vector<float> y(32), w(cols);
    if (!multiply_rows(*GetParam(), stored, 0, 32, x.row, y.data())) continue;
    for (std::size_t r = 0; r < 32; ++r) {
      codec.unpack(codec, stored, r, 0, cols, w.data());
      double sum = 0, size = 0;
      for (std::size_t c = 0; c < cols; ++c) {
        const double q = static_cast<double>(x.codes[c]) * static_cast<double>(x.row.scales[c / kByteBlock]);
        sum += q * static_cast<double>(w[c]);
        size += std::fabs(q) * std::fabs(static_cast<double>(w[c]));
      }
      if (!std::isfinite(sum)) {
        EXPECT_FALSE(std::isfinite(y[r])) << codec.name;
      } else if (size < 1e30) {
        // Codes and mins are summed apart, whose magnitudes are larger than those of weights.
        EXPECT_NEAR(y[r], sum, std::ldexp(size, -10) + 1e-30) << codec.name << " row " << r;
      }
    }
  }
}

TEST_P(ByteDots, NumbersThatAreNotFiniteStaySo) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    std::vector<float> x = activations(256, 1);
    x[70] = bad;
    Bytes row(256);
    GetParam()->bytes->round(x.data(), row.row);
    for (const char* name : {"q8_0", "q4_k", "q6_k", "int4_g64"}) {
      const Stored stored = encode(by_name(name), random_matrix(32, 256, 5).view(), {}, ScaleFit::minmax, 1.0f);
      float y[32];
      ASSERT_TRUE(multiply_rows(*GetParam(), stored, 0, 32, row.row, y));
      for (const float value : y) EXPECT_FALSE(std::isfinite(value)) << name;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Compiled, ByteDots, testing::ValuesIn(variants().begin(), variants().end()),
                         [](const auto& variant) { return std::string(variant.param->name); });

}  // namespace byte_dots_test
}  // namespace strata::codec
