// Matrices that GGUF files hold in two tensors: every row of the matrix is in one of them, where llama.cpp wants it.
#include "model/gguf/splits.h"

#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "model/model.h"
#include "support/golden_model.h"

namespace strata::model {
namespace splits_test {

std::vector<GgufSplit> splits_of(const char* golden, std::size_t block) {
  return gguf_splits(Model::open(golden_model(golden)).architecture(), block);
}

std::vector<std::size_t> sources(const GgufPiece& piece) {
  std::vector<std::size_t> rows(piece.rows());
  for (std::size_t r = 0; r < rows.size(); ++r) rows[r] = piece.source(r);
  return rows;
}

std::vector<std::size_t> range(std::size_t first, std::size_t count) {
  std::vector<std::size_t> rows(count);
  std::iota(rows.begin(), rows.end(), first);
  return rows;
}

TEST(GgufSplits, WhatReadsTheInputByHeadsOfKeysIsTakenApart) {
  const std::vector<GgufSplit> splits = splits_of("qwen3_next", 0);
  ASSERT_EQ(splits.size(), 1u);
  EXPECT_EQ(splits[0].hf, "model.layers.0.linear_attn.in_proj_qkvz.weight");
  const GgufPiece &qkv = splits[0].pieces.at(0), &z = splits[0].pieces.at(1);
  EXPECT_EQ(qkv.name, "blk.0.attn_qkv.weight");
  EXPECT_EQ(z.name, "blk.0.attn_gate.weight");
  // A head of keys has 8 rows of q, 8 of k, 24 of v and 24 of z.
  EXPECT_EQ(qkv.shape(), (std::vector<std::uint64_t>{80, 32}));
  EXPECT_EQ(z.shape(), (std::vector<std::uint64_t>{48, 32}));
  const std::vector<std::size_t> rows = sources(qkv);
  const auto part = [&](std::size_t first, std::size_t count) {
    return std::vector<std::size_t>(rows.begin() + static_cast<std::ptrdiff_t>(first),
                                    rows.begin() + static_cast<std::ptrdiff_t>(first + count));
  };
  EXPECT_EQ(part(0, 8), range(0, 8)) << "q of the first head";
  EXPECT_EQ(part(8, 8), range(64, 8)) << "q of the second";
  EXPECT_EQ(part(16, 8), range(8, 8)) << "k of the first";
  EXPECT_EQ(part(32, 24), range(16, 24)) << "v of the first";
  EXPECT_EQ(part(56, 24), range(80, 24)) << "v of the second";
  EXPECT_EQ(z.source(24), 64u + 40u);
}

TEST(GgufSplits, KeysOfALatentAreTransposedWithinTheirHead) {
  const std::vector<GgufSplit> splits = splits_of("deepseek_v3", 1);
  ASSERT_EQ(splits.size(), 1u);
  EXPECT_EQ(splits[0].hf, "model.layers.1.self_attn.kv_b_proj.weight");
  const GgufPiece &k = splits[0].pieces.at(0), &v = splits[0].pieces.at(1);
  EXPECT_EQ(k.shape(), (std::vector<std::uint64_t>{4, 16, 8}));
  EXPECT_EQ(v.shape(), (std::vector<std::uint64_t>{4, 12, 16}));
  EXPECT_EQ(k.source(9), 21u) << "row 1 of the second head";
  EXPECT_EQ(v.source(0), 8u);
  std::vector<float> values(4 * 8 * 16);
  std::iota(values.begin(), values.end(), 0.0f);
  const std::vector<float> lies = transposed(k, values, false);
  EXPECT_EQ(lies[1], 16.0f) << "behind the first weight of row 0 comes that of row 1";
  EXPECT_EQ(lies[8], 1.0f);
  EXPECT_EQ(lies[128], 128.0f) << "the second head";
  EXPECT_EQ(transposed(k, lies, true), values);
  EXPECT_EQ(transposed(v, values, false), values);
}

TEST(GgufSplits, GateAndUpOfGraniteAreHalves) {
  const std::vector<GgufSplit> dense = splits_of("granitemoehybrid_dense", 0),
                               shared = splits_of("granitemoehybrid", 1);
  ASSERT_EQ(dense.size(), 1u);
  EXPECT_EQ(dense[0].hf, "model.layers.0.shared_mlp.input_linear.weight");
  EXPECT_EQ(dense[0].pieces.at(0).name, "blk.0.ffn_gate.weight");
  EXPECT_EQ(dense[0].pieces.at(1).name, "blk.0.ffn_up.weight");
  EXPECT_EQ(sources(dense[0].pieces[0]), range(0, 24));
  EXPECT_EQ(sources(dense[0].pieces[1]), range(24, 24));
  ASSERT_EQ(shared.size(), 1u);
  EXPECT_EQ(shared[0].pieces.at(0).name, "blk.1.ffn_gate_shexp.weight");
  EXPECT_EQ(shared[0].pieces.at(1).name, "blk.1.ffn_up_shexp.weight");
  EXPECT_TRUE(splits_of("phi3", 0).empty()) << "there ffn_up is both";
}

TEST(GgufSplits, EveryRowIsInOnePiece) {
  for (const char* golden : {"qwen3_next", "deepseek_v3", "mistral4", "granitemoehybrid", "granitemoehybrid_dense"})
    for (const GgufSplit& split : splits_of(golden, 0)) {
      std::set<std::size_t> rows;
      std::size_t count = 0;
      for (const GgufPiece& piece : split.pieces)
        for (const std::size_t row : sources(piece)) rows.insert(row), ++count;
      EXPECT_EQ(rows.size(), count) << split.hf;
      EXPECT_EQ(count, split.pieces[0].heads * split.pieces[0].head_rows);
      EXPECT_EQ(*rows.rbegin(), count - 1);
    }
  EXPECT_TRUE(splits_of("llama_tied", 0).empty());
  EXPECT_TRUE(splits_of("qwen3_5_text", 0).empty());
}

}  // namespace splits_test
}  // namespace strata::model
