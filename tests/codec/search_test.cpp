// The scale search is never worse than min-max in its own objective, near the best stored scale, and as good as it was.
// The windows have two sides, so that an unexplained improvement fails too.
#include "codec/family.h"
#include "support.h"

namespace strata::codec {
namespace search_test {

/// sum of importance * (weight - decoded)^2 in double.
double group_error(const Codec& codec, std::span<const float> weights, std::span<const float> importance,
                   const GroupParams& group) {
  double sum = 0;
  const std::vector<GroupParams> groups(codec.groups_per_row(weights.size()), group);
  const std::vector<std::uint8_t> codes = codes_by_specification(codec, weights, importance, groups);
  for (std::size_t i = 0; i < weights.size(); ++i) {
    const double d = static_cast<double>(weights[i]) - codec.value(codec, codes[i], group);
    sum += (importance.empty() ? 1.0 : static_cast<double>(importance[i])) * d * d;
  }
  return sum;
}

struct Totals {
  double minmax = 0, search = 0;
  double ratio() const { return search / minmax; }
};

/// Sums over all groups; every single group, or super-block, must be no worse.
Totals totals(const Codec& codec, const Matrix& m, std::span<const float> importance) {
  const std::size_t size = codec.group_size == 0 ? m.cols : codec.group_size;
  const float scale = tensor_scale(codec, absmax(m));
  std::vector<GroupParams> plain(codec.groups_per_row(m.cols)), searched(plain.size());
  Totals sums;
  for (std::size_t r = 0; r < m.rows; ++r) {
    fit_row(codec, m.row(r), importance, ScaleFit::minmax, scale, plain);
    fit_row(codec, m.row(r), importance, ScaleFit::search, scale, searched);
    const std::size_t together = codec.super_size == 0 ? 1 : codec.super_size / codec.group_size;
    double before = 0, after = 0;
    for (std::size_t g = 0; g < plain.size(); ++g) {
      const std::size_t first = g * size, count = std::min(size, m.cols - first);
      const auto w = m.row(r).subspan(first, count);
      const auto h = importance.empty() ? importance : importance.subspan(first, count);
      before += group_error(codec, w, h, plain[g]);
      after += group_error(codec, w, h, searched[g]);
      if ((g + 1) % together != 0) continue;
      EXPECT_LE(after, before) << codec.name << " row " << r << " group " << g;
      sums.minmax += before;
      sums.search += after;
      before = after = 0;
    }
  }
  return sums;
}

TEST(Search, IsNeverWorseThanMinMaxInAnyGroup) {
  for (const Codec& codec : all()) {
    if (!codec.has_codes()) continue;
    for (const std::uint64_t seed : {1u, 2u}) {
      const std::size_t cols = why_not(codec, 12, 384).empty() ? 384 : 512;
      const Matrix m = random_matrix(12, cols, seed, seed == 1 ? Shape::normal : Shape::laplace);
      EXPECT_LE(totals(codec, m, {}).ratio(), 1.0);
      EXPECT_LE(totals(codec, m, random_importance(m.cols, seed)).ratio(), 1.0);
    }
    Matrix m = widened(goldens().matrix("extreme.weights"));
    if (!why_not(codec, m.rows, m.cols).empty()) continue;
    totals(codec, m, random_importance(m.cols, 9));
    for (float& w : m.values) w *= 1e-15f;
    totals(codec, m, random_importance(m.cols, 9));
  }
}

struct Window {
  const char* codec;
  double normal, laplace;  // error of search / error of min-max, with random importance
};

class SearchWindow : public testing::TestWithParam<Window> {};

TEST_P(SearchWindow, ErrorRatioIsAsMeasured) {
  const Codec& codec = by_name(GetParam().codec);
  const std::vector<float> importance = random_importance(1024, 17);
  EXPECT_NEAR(totals(codec, random_matrix(16, 1024, 21), importance).ratio(), GetParam().normal, 0.01);
  EXPECT_NEAR(totals(codec, random_matrix(16, 1024, 22, Shape::laplace), importance).ratio(), GetParam().laplace, 0.01);
}

INSTANTIATE_TEST_SUITE_P(Codecs, SearchWindow,
                         testing::Values(Window{"int2_g32", 0.268, 0.261}, Window{"int3_g64", 0.398, 0.341},
                                         Window{"int4_g32", 0.409, 0.439}, Window{"int4_g128", 0.515, 0.470},
                                         Window{"int4_channel", 0.538, 0.401}, Window{"int5_g64", 0.505, 0.522},
                                         Window{"int6_g64", 0.525, 0.563}, Window{"int8_g32", 0.376, 0.399},
                                         Window{"int8_channel", 0.791, 0.827}, Window{"int4_asym_g32", 0.481, 0.519},
                                         Window{"int4_asym_channel", 0.595, 0.522},
                                         Window{"int8_asym_g64", 0.522, 0.517}, Window{"int2_asym_g32", 0.384, 0.375},
                                         Window{"int3_asym_g64", 0.493, 0.460}, Window{"int7_g64", 0.488, 0.534},
                                         Window{"fp8_channel", 0.668, 0.623}, Window{"nvfp4", 0.329, 0.372},
                                         Window{"mxfp4", 0.945, 0.913}, Window{"mxfp8", 1, 1},
                                         Window{"mlx2_g64", 0.356, 0.327}, Window{"mlx3_g64", 0.352, 0.344},
                                         Window{"mlx4_g64", 0.373, 0.401}, Window{"mlx6_g128", 0.520, 0.548},
                                         Window{"mlx8_g64", 0.507, 0.505}, Window{"mlx_nvfp4", 0.421, 0.419}),
                         [](const auto& window) { return std::string(window.param.codec); });

/// The best of all bf16 scales from a sixteenth to twice the min-max one, of both signs when `both`.
double exhaustive(const Codec& codec, std::span<const float> w, std::span<const float> h, float minmax, bool both) {
  double best = group_error(codec, w, h, {.scale = minmax});
  for (unsigned bits = to_bf16(minmax / 16).bits; bits <= to_bf16(minmax * 2).bits; ++bits) {
    const float scale = to_float(bf16{static_cast<std::uint16_t>(bits)});
    best = std::min(best, group_error(codec, w, h, {.scale = scale}));
    if (both) best = std::min(best, group_error(codec, w, h, {.scale = -scale}));
  }
  return best;
}

TEST(Search, IsWithinTwoPercentOfTheBestStoredScale) {
  const Matrix m = random_matrix(6, 1024, 31, Shape::laplace);
  const std::vector<float> importance = random_importance(m.cols, 32);
  for (const char* name : {"int2_g32", "int3_g128", "int4_g32", "int4_channel", "int5_g64", "int6_g32", "int7_g64",
                           "int8_g32", "int8_channel", "fp8_channel"}) {
    const Codec& codec = by_name(name);
    const std::size_t size = codec.group_size == 0 ? m.cols : codec.group_size;
    double found = 0, best = 0;
    for (std::size_t r = 0; r < m.rows; ++r)
      for (std::size_t c = 0; c < m.cols; c += size) {
        const auto w = m.row(r).subspan(c, size);
        const auto h = std::span<const float>(importance).subspan(c, size);
        const float minmax = codec.fit(codec, w, h, ScaleFit::minmax, 1).scale;
        found += group_error(codec, w, h, codec.fit(codec, w, h, ScaleFit::search, 1));
        best += exhaustive(codec, w, h, minmax, codec.is_integer() && codec.code_bits < 8);
      }
    EXPECT_LE(found, 1.02 * best) << name;
    EXPECT_GE(found, 0.98 * best) << name;
  }
}

/// The best of all pairs of a bf16 scale from a quarter to 1.1 times the step of the whole range, and of a bf16 bias
/// that puts the codes' middle within a sixth of the range of the weights' middle.
double exhaustive_affine(const Codec& codec, std::span<const float> w, std::span<const float> h) {
  const auto [low, high] = std::ranges::minmax(w);
  const float most = static_cast<float>((1u << codec.code_bits) - 1), step = (high - low) / most;
  double best = HUGE_VAL;
  for (unsigned s = to_bf16(step / 4).bits; s <= to_bf16(step * 1.1f).bits; ++s) {
    const float scale = to_float(bf16{static_cast<std::uint16_t>(s)});
    const float middle = (low + high - scale * most) / 2, reach = (high - low) / 6;
    for (float bias = round_bf16(middle - reach), next; bias < middle + reach; bias = next) {
      best = std::min(best, group_error(codec, w, h, {.scale = scale, .min = -bias}));
      for (float more = scale / 8; (next = round_bf16(bias + more)) <= bias;) more *= 2;
    }
  }
  return best;
}

TEST(Search, OfScaleAndBiasIsNearTheBestStoredPair) {
  const Matrix m = random_matrix(1, 384, 33, Shape::laplace);
  const std::vector<float> importance = random_importance(m.cols, 34);
  for (const auto& [name, most] : {std::pair{"mlx2_g64", 1.05}, std::pair{"mlx4_g64", 1.05}, std::pair{"mlx8_g32", 1.5},
                                   std::pair{"mlx8_g128", 1.15}}) {
    const Codec& codec = by_name(name);
    double found = 0, best = 0;
    for (std::size_t c = 0; c < m.cols; c += codec.group_size) {
      const auto w = m.row(0).subspan(c, codec.group_size);
      const auto h = std::span<const float>(importance).subspan(c, codec.group_size);
      found += group_error(codec, w, h, codec.fit(codec, w, h, ScaleFit::search, 1));
      best += exhaustive_affine(codec, w, h);
    }
    EXPECT_LE(found, most * best) << name << " " << found / best;
  }
}

TEST(Search, FindsTheScaleThatMakesAGroupExact) {
  // 16 levels of 0.25, once with +8 and once with -8 levels: only the sign of the scale differs.
  std::vector<float> weights(32);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = 0.25f * (static_cast<float>(i % 16) - 8.0f);
  const Codec& codec = by_name("int4_g32");
  EXPECT_EQ(codec.fit(codec, weights, {}, ScaleFit::search, 1).scale, 0.25f);
  for (float& w : weights) w = -w;
  const GroupParams group = codec.fit(codec, weights, {}, ScaleFit::search, 1);
  EXPECT_EQ(group.scale, -0.25f);
  EXPECT_EQ(group_error(codec, weights, {}, group), 0.0);
}

TEST(Search, EightBitAndFloatScalesArePositive) {
  const Matrix m = random_matrix(8, 256, 41, Shape::laplace);
  for (const Codec& codec : all()) {
    if (!codec.has_codes() || codec.container == Container::gguf || codec.family == Family::affine ||
        (codec.is_integer() && codec.symmetric && codec.code_bits < 8))
      continue;
    std::vector<GroupParams> groups(codec.groups_per_row(m.cols));
    for (std::size_t r = 0; r < m.rows; ++r) {
      fit_row(codec, m.row(r), {}, ScaleFit::search, tensor_scale(codec, absmax(m)), groups);
      for (const GroupParams& group : groups) EXPECT_GT(group.scale, 0.0f) << codec.name;
    }
  }
}

TEST(Search, IgnoresWeightsWithoutImportance) {
  std::vector<float> weights(32, 0.01f), importance(32, 1.0f);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] *= static_cast<float>(i % 5) - 2.0f;
  weights[7] = 1.0f;
  importance[7] = 0.0f;
  const Codec& codec = by_name("int4_g32");
  const GroupParams group = codec.fit(codec, weights, importance, ScaleFit::search, 1);
  EXPECT_LT(group_error(codec, weights, importance, group), 1e-8);
}

}  // namespace search_test
}  // namespace strata::codec
