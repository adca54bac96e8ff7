// Tests keys of config.json that a few families alone have: what they change, and which of their values are refused.
// The engine's goldens test numerical behaviour.
#include <gtest/gtest.h>

#include "model/architecture.h"
#include "support/error_of.h"

namespace strata::model {
namespace family_keys_test {

json of_family(const char* model_type, const json& more = json::object()) {
  json config = json::parse(R"({"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4,
    "num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 100, "head_dim": 16})");
  config["model_type"] = model_type;
  config.update(more);
  return config;
}

Architecture read(const json& config) { return parse_architecture(config, "config.json"); }

std::string error_of(const json& config) {
  return ::strata::error_of([&] { read(config); });
}

const json& experts() {
  static const json keys = {
      {"num_experts", 8}, {"num_experts_per_tok", 2}, {"moe_intermediate_size", 32}, {"num_shared_experts", 1}};
  return keys;
}

TEST(FamilyKeys, WeightsOfExpertsThatAreNotNormalizedAreRefused) {
  for (const char* family : {"hy_v3", "afmoe"}) {
    json config = of_family(family, experts());
    config["route_norm"] = true;
    EXPECT_TRUE(read(config).experts.normalize);
    config["route_norm"] = false;
    EXPECT_EQ(error_of(config),
              fmt::format("config.json: 'route_norm' is false, and what {} models compute then is not "
                          "computed here",
                          family));
  }
}

TEST(FamilyKeys, NormsOfMptHaveAMean) {
  json config = {{"model_type", "mpt"}, {"d_model", 64}, {"n_layers", 2}, {"n_heads", 4}, {"vocab_size", 100}};
  for (const char* type : {"low_precision_layernorm", "layernorm"}) {
    config["norm_type"] = type;
    EXPECT_EQ(read(config).norm_kind, NormKind::layer);
  }
  config["norm_type"] = "rmsnorm";
  EXPECT_NE(error_of(config).find("'norm_type' is \"rmsnorm\""), std::string::npos) << error_of(config);
}

}  // namespace family_keys_test
}  // namespace strata::model
