// Tests what config.json says of a model for MLX, and what is recognized as such.
#include "format/mlx.h"

#include <gtest/gtest.h>

namespace strata::format {
namespace mlx_test {

TEST(MlxConfiguration, SaysEachModuleAndWhatMostHave) {
  const std::vector<ModuleCodec> modules = {{"a", &codec::by_name("mlx4_g64")},  {"b", &codec::by_name("mlx3_g32")},
                                            {"c", &codec::by_name("keep")},      {"d", &codec::by_name("mlx3_g32")},
                                            {"e", &codec::by_name("mlx_mxfp8")}, {"f", &codec::by_name("mlx_nvfp4")}};
  const json expected = json::parse(R"({"group_size": 32, "bits": 3, "mode": "affine",
    "a": {"group_size": 64, "bits": 4, "mode": "affine"}, "b": {"group_size": 32, "bits": 3, "mode": "affine"},
    "d": {"group_size": 32, "bits": 3, "mode": "affine"}, "e": {"group_size": 32, "bits": 8, "mode": "mxfp8"},
    "f": {"group_size": 16, "bits": 4, "mode": "nvfp4"}})");
  EXPECT_EQ(mlx_quantization(modules), expected);
  EXPECT_TRUE(is_mlx_quantization({{"quantization", expected}}));
  EXPECT_TRUE(mlx_quantization(std::vector<ModuleCodec>{{"c", &codec::by_name("keep")}}).is_null());
}

TEST(MlxConfiguration, IsToldFromThoseOfOtherMethods) {
  const json scheme = {{"group_size", 64}, {"bits", 4}};
  json other = scheme;
  other["quant_method"] = "gptq";
  EXPECT_TRUE(is_mlx_quantization({{"quantization_config", scheme}}));
  EXPECT_FALSE(is_mlx_quantization({{"quantization_config", other}}));
  EXPECT_FALSE(is_mlx_quantization({{"quantization_config", {{"quant_method", "fp8"}}}}));
  EXPECT_FALSE(is_mlx_quantization({{"quantization", "4 bits"}}));
  EXPECT_FALSE(is_mlx_quantization(json::object()));
}

}  // namespace mlx_test
}  // namespace strata::format
