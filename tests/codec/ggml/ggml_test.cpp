// Bytes of a GGUF type that are decoded and stored again come back as they were, and the error of the search lies below
// the plain rule's and within two-sided bounds.
#include "codec/family.h"
#include "codec/ggml/grids.h"
#include "codec/support.h"

namespace strata::codec {
namespace ggml_test {

std::vector<const Codec*> ggml_codecs() {
  std::vector<const Codec*> codecs;
  for (const Codec& codec : all())
    if (codec.container == Container::gguf) codecs.push_back(&codec);
  return codecs;
}

TEST(Ggml, EveryCodeAndScaleCodeComesBackFromItsBits) {
  Random random(11);
  for (const Codec* codec : ggml_codecs()) {
    const std::size_t cols = 512, per_row = codec->groups_per_row(cols);
    Stored stored = allocate(*codec, 3, cols);
    // Parameters that the type can store: those of a fit to random rows. So with the codes of vectors.
    const Matrix m = random_matrix(3, cols, 12), other = random_matrix(3, cols, 13);
    std::vector<std::uint8_t> codes;
    std::vector<GroupParams> groups;
    for (std::size_t r = 0; r < m.rows; ++r) {
      const auto mine = fit_by_specification(*codec, m.row(r), {}, ScaleFit::search, 1);
      auto row_codes = codes_by_specification(*codec, other.row(r), {}, mine);
      if (codec->vector_size == 1)
        for (auto& code : row_codes)
          code = static_cast<std::uint8_t>(random.below(codec->name == "q8_0"    ? 255
                                                        : codec->name == "tq1_0" ? 3
                                                                                 : 1u << codec->code_bits));
      codes.insert(codes.end(), row_codes.begin(), row_codes.end());
      groups.insert(groups.end(), mine.begin(), mine.end());
    }
    codec->pack(*codec, stored, 0, 3, codes.data(), groups.data(), 1);
    std::vector<float> out(cols);
    for (std::size_t r = 0; r < 3; ++r) {
      codec->unpack(*codec, stored, r, 0, cols, out.data());
      for (std::size_t c = 0; c < cols; ++c) {
        const GroupParams& group = groups[r * per_row + c / codec->group_size];
        ASSERT_TRUE(same(out[c], codec->value(*codec, codes[r * cols + c], group)))
            << codec->name << " row " << r << " column " << c;
      }
    }
  }
}

double relative_error(const Codec& codec, const Matrix& m, std::span<const float> importance, ScaleFit fit) {
  const Stored stored = encode(codec, m.view(), importance, fit, tensor_scale(codec, absmax(m)));
  std::vector<float> out(m.cols);
  double error = 0, energy = 0;
  for (std::size_t r = 0; r < m.rows; ++r) {
    decode_row(stored, r, 0, m.cols, out.data());
    for (std::size_t c = 0; c < m.cols; ++c) {
      const double w = m.row(r)[c], d = w - static_cast<double>(out[c]), h = importance[c];
      error += h * d * d;
      energy += h * w * w;
    }
  }
  return error / energy;
}

TEST(GgmlGrids, EqualTheGgufPackages) {
  const Goldens goldens(std::string(STRATA_TEST_DATA) + "/golden/gguf_types.safetensors");
  for (const auto& [name, grid] : {std::pair{"IQ3_S", &grid_iq3_s()},
                                   {"IQ3_XXS", &grid_iq3_xxs()},
                                   {"IQ2_S", &grid_iq2_s()},
                                   {"IQ2_XS", &grid_iq2_xs()},
                                   {"IQ2_XXS", &grid_iq2_xxs()},
                                   {"IQ1_S", &grid_iq1()}}) {
    const std::string tensor = std::string(name) + ".grid";
    ASSERT_EQ(goldens.shape(tensor), (std::vector<std::uint64_t>{grid->size(), grid->dims()})) << name;
    for (std::size_t p = 0; p < grid->size(); ++p) {
      EXPECT_EQ(grid->find(grid->indices(p)), p) << name;
      for (std::size_t i = 0; i < grid->dims(); ++i)
        EXPECT_EQ(grid->point(p)[i],
                  static_cast<float>(static_cast<std::int8_t>(goldens.bytes(tensor)[p * grid->dims() + i])))
            << name << " point " << p;
    }
  }
}

TEST(GgmlVectors, CodesAreTheBestOfAllPointsAndSigns) {
  Random random(21);
  for (const Codec& codec : all()) {
    if (codec.vector_size == 1 || codec.name.starts_with("iq1")) continue;
    const Grid& grid = codec.name == "iq3_s"     ? grid_iq3_s()
                       : codec.name == "iq3_xxs" ? grid_iq3_xxs()
                       : codec.name == "iq2_s"   ? grid_iq2_s()
                       : codec.name == "iq2_xs"  ? grid_iq2_xs()
                                                 : grid_iq2_xxs();
    const bool even = codec.name != "iq3_s" && codec.name != "iq2_s";
    const std::size_t size = codec.vector_size, dims = grid.dims(), parts = size / dims;
    for (int trial = 0; trial < 20; ++trial) {
      float w[8], h[8];
      for (std::size_t i = 0; i < size; ++i) {
        w[i] = static_cast<float>(random.normal());
        h[i] = static_cast<float>(std::exp(random.normal()));
      }
      const GroupParams group{.scale = (0.2f + static_cast<float>(random.uniform())) / grid.highest_level()};
      // best[part][odd]: the least error of a part with an even or odd number of negative weights.
      double best[2][2] = {{HUGE_VAL, HUGE_VAL}, {HUGE_VAL, HUGE_VAL}}, found = 0;
      for (std::size_t part = 0; part < parts; ++part)
        for (std::size_t p = 0; p < grid.size(); ++p)
          for (unsigned signs = 0; signs < 1u << dims; ++signs) {
            double error = 0;
            for (std::size_t i = 0; i < dims; ++i) {
              const std::size_t at = part * dims + i;
              const float value =
                  (signs >> i & 1u) != 0 ? -group.scale * grid.point(p)[i] : group.scale * grid.point(p)[i];
              const double d = static_cast<double>(w[at]) - static_cast<double>(value);
              error += static_cast<double>(h[at]) * d * d;
            }
            double& least = best[part][std::popcount(signs) % 2];
            least = std::min(least, error);
          }
      const double one = even ? best[0][0] : std::min(best[0][0], best[0][1]);
      const double want = parts == 1 ? one : std::min(best[0][0] + best[1][0], best[0][1] + best[1][1]);
      std::uint8_t codes[8];
      codec.round_vector(codec, w, h, group, codes);
      for (std::size_t i = 0; i < size; ++i) {
        const double d = static_cast<double>(w[i]) - static_cast<double>(codec.value(codec, codes[i], group));
        found += static_cast<double>(h[i]) * d * d;
      }
      EXPECT_NEAR(found, want, 2e-3 * want) << codec.name;
    }
  }
}

TEST(GgmlVectors, CodesOfIq1AreTheBestOfAllPointsAndMoves) {
  Random random(22);
  for (const char* name : {"iq1_s", "iq1_m"}) {
    const Codec& codec = by_name(name);
    for (int trial = 0; trial < 20; ++trial) {
      float w[8], h[8];
      for (std::size_t i = 0; i < 8; ++i) {
        w[i] = static_cast<float>(random.normal());
        h[i] = static_cast<float>(std::exp(random.normal()));
      }
      const GroupParams group{.scale = 0.4f + static_cast<float>(random.uniform()),
                              .min_code = static_cast<std::int16_t>(trial % 2)};
      const auto error_of_levels = [&](const auto& level) {
        double error = 0;
        for (std::size_t i = 0; i < 8; ++i) {
          const double d = static_cast<double>(w[i]) - static_cast<double>(level(i));
          error += static_cast<double>(h[i]) * d * d;
        }
        return error;
      };
      double best[2] = {HUGE_VAL, HUGE_VAL};
      for (std::size_t p = 0; p < grid_iq1().size(); ++p)
        for (std::size_t down = 0; down < 2; ++down)
          best[down] = std::min(best[down], error_of_levels([&](std::size_t i) {
                                  return group.scale * (grid_iq1().point(p)[i] + (down == 1 ? -0.125f : 0.125f));
                                }));
      std::uint8_t codes[8];
      codec.round_vector(codec, w, h, group, codes);
      const double found = error_of_levels([&](std::size_t i) { return codec.value(codec, codes[i], group); });
      const double want = codec.name == "iq1_m" ? std::min(best[0], best[1]) : best[trial % 2];
      EXPECT_NEAR(found, want, 2e-3 * want) << name;
    }
  }
}

struct Pin {
  const char* codec;
  double minmax, search;  // relative squared error of normal weights under random importance
};

class GgmlError : public testing::TestWithParam<Pin> {};

TEST_P(GgmlError, IsAsMeasured) {
  const Matrix m = random_matrix(32, 1024, 51);
  const std::vector<float> importance = random_importance(m.cols, 52);
  const Codec& codec = by_name(GetParam().codec);
  const double plain = relative_error(codec, m, importance, ScaleFit::minmax);
  const double found = relative_error(codec, m, importance, ScaleFit::search);
  EXPECT_NEAR(plain, GetParam().minmax, 0.02 * GetParam().minmax);
  EXPECT_NEAR(found, GetParam().search, 0.02 * GetParam().search);
}

INSTANTIATE_TEST_SUITE_P(
    Types, GgmlError,
    testing::Values(Pin{"q8_0", 2.887e-05, 1.074e-05}, Pin{"q4_0", 0.007387, 0.003453}, Pin{"q4_1", 0.006198, 0.001759},
                    Pin{"q5_0", 0.00194, 0.0008872}, Pin{"q5_1", 0.001549, 0.0004009},
                    Pin{"iq4_nl", 0.006868, 0.002404}, Pin{"q6_k", 0.0003768, 0.00013},
                    Pin{"q5_k", 0.001547, 0.0004573}, Pin{"q4_k", 0.006293, 0.001818}, Pin{"q3_k", 0.02427, 0.008932},
                    Pin{"q2_k", 0.111, 0.01992}, Pin{"iq4_xs", 0.006833, 0.00242}, Pin{"iq3_s", 0.009768, 0.005111},
                    Pin{"iq3_xxs", 0.01181, 0.00694}, Pin{"iq2_s", 0.06025, 0.02063}, Pin{"iq2_xs", 0.06218, 0.02274},
                    Pin{"iq2_xxs", 0.07786, 0.03324}, Pin{"mxfp4_gguf", 0.01245, 0.01169},
                    Pin{"nvfp4_gguf", 0.009785, 0.002902}, Pin{"tq2_0", 0.6717, 0.1587}, Pin{"tq1_0", 0.6717, 0.1587},
                    Pin{"iq1_m", 0.1654, 0.05755}, Pin{"iq1_s", 0.3774, 0.08902}),
    [](const auto& pin) { return std::string(pin.param.codec); });

TEST(Ggml, RowsOfZerosAndOfOneValueAreExactOrNearlySo) {
  for (const Codec* codec : ggml_codecs())
    for (const float constant : {0.0f, 0.5f, -0.5f}) {
      Matrix m{1, 512};
      std::ranges::fill(m.values, constant);
      const Stored stored = encode(*codec, m.view(), {}, ScaleFit::search, 1);
      std::vector<float> out(m.cols);
      decode_row(stored, 0, 0, m.cols, out.data());
      for (const float w : out) EXPECT_NEAR(w, constant, std::fabs(constant) / 256) << codec->name;
    }
}

}  // namespace ggml_test
}  // namespace strata::codec
