// Tests llama.cpp's mixes on architectures made up here; tests/peers/test_llama_cpp.py holds them to llama-quantize.
#include "pipeline/choose/stock_mix.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "format/ggml_types.h"

namespace strata::pipeline {
namespace stock_mix_test {

model::Architecture llama(std::size_t hidden, bool tied) {
  model::Architecture a;
  a.model_type = "llama";
  a.hidden = hidden;
  a.intermediate = 1536;
  a.vocab = 1000;
  a.blocks = 30;
  a.heads = 9;
  a.kv_heads = 3;
  a.head_dim = hidden / 9;
  a.tied = tied;
  model::list_linears(a, model::Fusion::single);
  return a;
}

std::string type_of(const model::Architecture& a, const char* mix, std::size_t linear) {
  return format::ggml_type_name(stock_mix(a, mix).at(linear).type);
}

TEST(StockMix, RowsThatNoSuperBlockDividesGetTheFallback) {
  const model::Architecture a = llama(576, true);
  EXPECT_EQ(type_of(a, "Q4_K_M", a.index(0, model::Role::q)), "Q5_0");
  EXPECT_EQ(type_of(a, "Q4_K_M", a.index(0, model::Role::v)), "Q8_0");
  EXPECT_EQ(type_of(a, "Q4_K_M", a.index(0, model::Role::down)), "Q6_K");
  EXPECT_EQ(type_of(a, "Q4_K_M", a.index(4, model::Role::down)), "Q4_K");
  EXPECT_EQ(type_of(a, "Q4_K_M", a.embedding()), "Q8_0");
  EXPECT_EQ(type_of(a, "Q2_K", a.index(9, model::Role::gate)), "Q4_0");
  EXPECT_EQ(type_of(a, "IQ4_XS", a.index(9, model::Role::up)), "IQ4_NL");
  EXPECT_EQ(type_of(a, "IQ3_XXS", a.index(9, model::Role::down)), "IQ3_XXS");
}

TEST(StockMix, HeadsAndEmbeddingsHaveTypesOfTheirOwn) {
  const model::Architecture a = llama(2304, false);
  EXPECT_EQ(type_of(a, "Q4_K_M", a.lm_head()), "Q6_K");
  EXPECT_EQ(type_of(a, "Q4_K_M", a.embedding()), "Q4_K");
  EXPECT_EQ(type_of(a, "IQ2_M", a.lm_head()), "Q5_K");
  EXPECT_EQ(type_of(a, "IQ2_M", a.embedding()), "IQ3_S");
  EXPECT_EQ(stock_mix(a, "Q8_0").at(a.lm_head()).bytes, 1000u * 2304 / 32 * 34);
}

TEST(StockMix, AnUnknownNameListsTheKnown) {
  try {
    stock_mix(llama(576, true), "Q4_K_XL");
    FAIL();
  } catch (const UsageError& e) {
    EXPECT_NE(std::string(e.what()).find("Q4_K_M"), std::string::npos);
  }
}

}  // namespace stock_mix_test
}  // namespace strata::pipeline
