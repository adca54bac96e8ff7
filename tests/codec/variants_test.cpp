// Compares every variant of the row kernels with the specification of each codec, bit for bit, on the same inputs.
// Inputs hold what a checkpoint should not: NaN, infinities, subnormals, all-zero and constant rows, huge outliers.
#include <cstdlib>
#include <limits>
#include <string_view>

#include "codec/family.h"
#include "core/cpu.h"
#include "support.h"

namespace strata::codec {
namespace variants_test {

class Variants : public testing::TestWithParam<const Variant*> {
 protected:
  void SetUp() override {
    if (!isa_runs_here(GetParam()->isa)) GTEST_SKIP() << GetParam()->name << " does not run on this CPU";
  }
};

/// Rows of one kind of trouble each, then random ones.
Matrix troubled(std::size_t cols) {
  Matrix m = random_matrix(24, cols, cols);
  const auto fill = [&](std::size_t r, auto value) {
    for (std::size_t c = 0; c < cols; ++c) m.values[r * cols + c] = value(c);
  };
  const float infinity = std::numeric_limits<float>::infinity();
  fill(0, [](std::size_t) { return 0.0f; });
  fill(1, [](std::size_t) { return -0.0f; });
  fill(2, [](std::size_t) { return 0.0137f; });
  fill(3, [](std::size_t) { return -3.0f; });
  fill(4, [](std::size_t c) { return c % 3 == 0 ? 1e-40f : -2e-41f; });
  fill(5, [](std::size_t c) { return static_cast<float>(c % 37) / 16.0f - 1.0f; });
  fill(6, [](std::size_t c) { return c % 2 == 0 ? 3e38f : -3e38f; });
  fill(7, [&](std::size_t c) { return c % 5 == 0 ? infinity : 0.5f; });
  fill(8, [](std::size_t c) { return c % 5 == 1 ? std::nanf("") : -0.25f; });
  fill(9, [](std::size_t) { return std::nanf(""); });
  fill(10, [&](std::size_t c) { return c % 2 == 0 ? -infinity : std::nanf(""); });
  fill(11, [](std::size_t) { return 1e-45f; });
  m.values[12 * cols + cols / 2] = 1e30f;
  m.values[13 * cols] = -1e30f;
  for (std::size_t c = 0; c < cols; ++c) m.values[14 * cols + c] = std::fabs(m.values[14 * cols + c]);
  for (std::size_t c = 0; c < cols; ++c) m.values[15 * cols + c] = -std::fabs(m.values[15 * cols + c]);
  return m;
}

std::vector<std::size_t> widths(const Codec& codec) {
  if (codec.super_size != 0) return {2 * codec.super_size};
  if (codec.group_size != 0) return {codec.group_size > 128 ? 2 * codec.group_size : 384};
  return {1, 16, 31, 523};  // 523: several runs of the search's sums, and a tail
}

/// fit, round, value and pack of one matrix by the specification and by a variant.
void compare(const Variant& variant, const Codec& codec, const Matrix& m, std::span<const float> importance,
             ScaleFit fit) {
  const std::string what = codec.name + (fit == ScaleFit::search ? " search" : " minmax");
  const float scale = tensor_scale(codec, 0.1f);
  const std::size_t size = codec.group_size == 0 ? m.cols : codec.group_size, per_row = codec.groups_per_row(m.cols);
  const Importance h(importance, m.cols, fit);
  Stored want = allocate(codec, m.rows, m.cols), got = allocate(codec, m.rows, m.cols);
  std::vector<std::uint8_t> codes(m.rows * m.cols), all_codes;
  std::vector<GroupParams> groups(m.rows * per_row);
  std::vector<float> values(m.cols);
  for (std::size_t r = 0; r < m.rows; ++r) {
    GroupParams* mine = groups.data() + r * per_row;
    std::uint8_t* row_codes = codes.data() + r * m.cols;
    codec.rows->fit(variant, codec, m.row(r).data(), h.data(), m.cols, fit, scale, mine);
    codec.rows->round(variant, codec, m.row(r).data(), importance.data(), m.cols, mine, row_codes);
    codec.rows->values(variant, codec, row_codes, m.cols, mine, values.data());
    codec.rows->store_codes(variant, got, r, row_codes);
    const std::vector<GroupParams> expected = fit_by_specification(codec, m.row(r), importance, fit, scale);
    const std::vector<std::uint8_t> nearest = codes_by_specification(codec, m.row(r), importance, {mine, per_row});
    for (std::size_t c = 0; c < m.cols; ++c) {
      const GroupParams& group = mine[c / size];
      if (c % size == 0) {
        ASSERT_TRUE(same(expected[c / size].scale, group.scale)) << what << " row " << r << " group " << c / size;
        ASSERT_TRUE(same(expected[c / size].zero_point, group.zero_point)) << what << " row " << r;
        ASSERT_TRUE(same(expected[c / size].min, group.min)) << what << " row " << r << " group " << c / size;
      }
      ASSERT_EQ(nearest[c], row_codes[c]) << what << " row " << r << " column " << c;
      ASSERT_TRUE(same(codec.value(codec, row_codes[c], group), values[c])) << what << " row " << r << " column " << c;
    }
  }
  codec.rows->store_groups(variant, got, 0, m.rows, groups.data(), scale);
  codec.pack(codec, want, 0, m.rows, codes.data(), groups.data(), scale);
  expect_same_parts(want, got, what);
}

TEST_P(Variants, EqualTheSpecificationOnEveryCodecAndTroubledRow) {
  for (const Codec& codec : all()) {
    if (!codec.has_codes()) continue;
    for (const std::size_t cols : widths(codec)) {
      const Matrix m = troubled(cols);
      compare(*GetParam(), codec, m, {}, ScaleFit::minmax);
      compare(*GetParam(), codec, m, {}, ScaleFit::search);
      std::vector<float> importance = random_importance(cols, 3);
      for (std::size_t c = 0; c < cols; c += 3) importance[c] = 0.0f;
      compare(*GetParam(), codec, m, importance, ScaleFit::search);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(Variants, DecodeEqualsUnpackFromEveryStartOnRandomBytes) {
  Random random(5);
  for (const Codec& codec : all()) {
    for (const std::size_t cols : {128u, 1152u, 75u, 768u}) {
      if (!why_not(codec, 3, cols).empty()) continue;
      Stored stored = allocate(codec, 3, cols);  // all bytes are legal, NaN scales included
      for (auto& part : stored.parts)
        for (std::byte& byte : part) byte = static_cast<std::byte>(random.next());
      std::vector<float> want(cols), got(cols);
      for (std::size_t r = 0; r < 3; ++r)
        for (std::size_t col = 0; col < cols; col += 64)
          for (const std::size_t wanted : {64u, 128u, 576u, 4096u}) {
            const std::size_t count = std::min(wanted, cols - col);
            codec.unpack(codec, stored, r, col, count, want.data());
            codec.rows->decode(*GetParam(), stored, r, col, count, got.data());
            for (std::size_t i = 0; i < count; ++i)
              ASSERT_TRUE(same(want[i], got[i])) << codec.name << " row " << r << " column " << col + i;
          }
    }
  }
}

TEST_P(Variants, PackBitsTouchesNoByteBeyondTheStream) {
  Random random(6);
  for (const unsigned bits : {2u, 3u, 4u, 5u, 6u, 8u})
    for (std::size_t count = 1; count < 70; ++count) {
      std::vector<std::uint8_t> codes(count), back(count + 1, 0xAA);
      for (auto& code : codes) code = static_cast<std::uint8_t>(random.below(1u << bits));
      const std::size_t bytes = (count * bits + 7) / 8;
      std::vector<unsigned char> stream(bytes + 1, 0xAA);
      GetParam()->pack_bits(codes.data(), count, bits, stream.data());
      ASSERT_EQ(stream[bytes], 0xAA) << bits << " bits, " << count;
      for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(load_code(stream.data(), i, bits), codes[i]);
      GetParam()->unpack_bits(stream.data(), count, bits, back.data());
      ASSERT_EQ(back[count], 0xAA) << bits << " bits, " << count;
      back.pop_back();
      ASSERT_EQ(back, codes) << bits << " bits, " << count;
    }
}

TEST_P(Variants, WidenBf16AtAnyLengthAndAlignment) {
  std::vector<unsigned char> bytes(3 + 2 * 70);
  Random random(7);
  for (auto& byte : bytes) byte = static_cast<unsigned char>(random.next());
  for (std::size_t count = 0; count < 70; ++count)
    for (std::size_t shift = 0; shift < 3; ++shift) {
      std::vector<float> out(count + 1, 7.0f);
      GetParam()->widen_bf16(bytes.data() + shift, count, out.data());
      for (std::size_t i = 0; i < count; ++i) ASSERT_TRUE(same(out[i], load_bf16(bytes.data() + shift, i)));
      ASSERT_EQ(out[count], 7.0f);
    }
}

INSTANTIATE_TEST_SUITE_P(Compiled, Variants, testing::ValuesIn(variants().begin(), variants().end()),
                         [](const auto& variant) { return std::string(variant.param->name); });

TEST(VariantChoice, IsTheOneThatTheEnvironmentForces) {
  const char* forced = std::getenv("STRATA_ISA");
  std::string wanted = forced != nullptr && *forced != '\0' ? forced : std::string(isa_name(selected_isa()));
  if (wanted == "amx") wanted = "avx512bf16";
  EXPECT_EQ(selected_variant().name, wanted);
}

}  // namespace variants_test
}  // namespace strata::codec
