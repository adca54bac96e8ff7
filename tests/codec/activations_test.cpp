// Rounded activations against goldens of numpy (tests/golden/make_activation_goldens.py), bit for bit, on every
// variant.
#include "codec/activations.h"

#include <algorithm>
#include <limits>

#include "core/cpu.h"
#include "support.h"

namespace strata::codec {
namespace activations_test {

using Kind = ActivationRounding::Kind;

const Goldens& activations() {
  static const Goldens all(std::string(STRATA_TEST_DATA) + "/golden/activations.safetensors");
  return all;
}

Matrix floats(const std::string& name) {
  const auto shape = activations().shape(name);
  Matrix m{shape[0], shape.size() > 1 ? shape[1] : 1};
  std::memcpy(m.values.data(), activations().bytes(name).data(), m.values.size() * sizeof(float));
  return m;
}

std::vector<std::pair<std::string, ActivationRounding>> roundings() {
  const Matrix scales = floats("scales");
  return {{"int8_token", {Kind::int8_token}},
          {"e4m3_token", {Kind::e4m3_token}},
          {"e4m3_groups", {Kind::e4m3_groups}},
          {"e4m3_tensor", {Kind::e4m3_tensor, scales.values[0]}},
          {"nvfp4", {Kind::nvfp4, scales.values[1]}},
          {"mxfp4", {Kind::mxfp4}},
          {"mxfp8", {Kind::mxfp8}}};
}

TEST(Activations, EqualNumpyOnEveryVariant) {
  std::size_t compared = 0;
  for (const Variant* variant : variants()) {
    if (!isa_runs_here(variant->isa)) continue;
    for (const char* name : {"usual", "extreme", "wide"}) {
      const Matrix rows = floats(std::string(name) + ".rows");
      for (const auto& [rounding_name, rounding] : roundings()) {
        const Matrix want = floats(std::string(name) + "." + rounding_name);
        for (std::size_t r = 0; r < rows.rows; ++r) {
          std::vector<float> got(rows.cols);
          round_activations(*variant, rounding, rows.row(r), got);
          for (std::size_t c = 0; c < rows.cols; ++c)
            ASSERT_TRUE(same(got[c], want.row(r)[c]))
                << variant->name << " " << name << " " << rounding_name << " row " << r << " column " << c << ": "
                << rows.row(r)[c] << " became " << got[c] << ", expected " << want.row(r)[c];
          ++compared;
        }
      }
    }
  }
  EXPECT_GE(compared, 34u * 7u);
}

TEST(Activations, ARowThatIsNotFiniteBecomesNanThroughout) {
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()})
    for (const std::size_t at : {0u, 16u, 66u})
      for (const auto& [name, rounding] : roundings()) {
        std::vector<float> row(67, 0.5f), out(67, 0.0f);
        row[at] = bad;
        round_activations(rounding, row, out);
        for (const float value : out) EXPECT_TRUE(std::isnan(value)) << name;
      }
}

/// The worked example of docs/formats/activations.md.
TEST(Activations, TheExampleOfThePage) {
  const std::vector<float> row = {1.0f, -2.0f, 0.3f, 7.0f};
  std::vector<float> out(4);
  round_activations({Kind::e4m3_token}, row, out);  // scale 1 / 64
  EXPECT_EQ(out, (std::vector<float>{1.0f, -2.0f, 0.3125f, 7.0f}));
}

TEST(Activations, ARoundedRowStaysAsItIs) {
  const Matrix rows = floats("wide.rows");
  for (const auto& [name, rounding] : roundings()) {
    if (rounding.kind == Kind::nvfp4) continue;  // the scale of a group follows from its largest value, now another
    std::vector<float> once(rows.cols), twice(rows.cols);
    round_activations(rounding, rows.row(0), once);
    round_activations(rounding, once, twice);
    for (std::size_t c = 0; c < rows.cols; ++c) EXPECT_NEAR(once[c], twice[c], 1e-6f * std::fabs(once[c])) << name;
  }
}

TEST(Activations, AFixedScaleMakesTheLargestInputTheLargestNumber) {
  EXPECT_EQ(fixed_scale(Kind::e4m3_tensor, 896.0f), 2.0f);
  EXPECT_EQ(fixed_scale(Kind::nvfp4, 1344.0f), 2.0f);  // 448 x 6 over it
  std::vector<float> row = {0, -896, 1};
  round_activations({Kind::e4m3_tensor, 2.0f}, row, row);
  EXPECT_EQ(row[1], -896.0f);
  for (const Kind kind : {Kind::e4m3_tensor, Kind::nvfp4})
    for (const float largest : {0.0f, -1.0f, HUGE_VALF, std::nanf(""), 1e-45f})
      EXPECT_EQ(fixed_scale(kind, largest), 1.0f) << largest;
}

TEST(Activations, EveryKindHasAName) {
  std::vector<std::string_view> names;
  for (unsigned kind = 0; kind <= static_cast<unsigned>(Kind::mxfp8); ++kind)
    names.push_back(name_of(static_cast<Kind>(kind)));
  std::ranges::sort(names);
  EXPECT_EQ(std::ranges::adjacent_find(names), names.end());
}

}  // namespace activations_test
}  // namespace strata::codec
