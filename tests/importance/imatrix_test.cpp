// An importance matrix is read back as it was written, and one of another model is refused by name.
#include "importance/imatrix.h"

#include <cmath>
#include <fstream>

#include "format/gguf.h"
#include "support/random_tokens.h"
#include "support/tiny_model.h"

namespace strata::importance {
namespace {

using ::strata::testing::error_of;
using ::strata::testing::golden_model;
using ::strata::testing::TemporaryFolder;

struct Written {
  explicit Written(const char* name)
      : model(model::Model::open(golden_model(name), model::Fusion::single)),
        engine(model),
        set(random_tokens(80, 3, 16, 1)),
        inputs(input_mean_square(engine, set)),
        path(folder.path() / "m.gguf") {
    write_imatrix(path, model, inputs, set.source);
  }
  TemporaryFolder folder;
  model::Model model;
  engine::Engine engine;
  CalibrationSet set;
  InputMeanSquare inputs;
  std::filesystem::path path;
};

TEST(Imatrix, WhatWasWrittenIsReadBack) {
  for (const char* name : {"llama_tied", "llama_untied_sharded"}) {
    const Written w(name);
    const auto read = read_imatrix(w.path, w.model);
    for (std::size_t l = 0; l < read.size(); ++l) {
      const model::Linear& linear = w.model.architecture().linears[l];
      if (linear.role == model::Role::embed) {
        EXPECT_TRUE(read[l].empty());
        continue;
      }
      const std::vector<float> want = w.inputs.of(linear);
      ASSERT_EQ(read[l].size(), want.size()) << linear.module;
      for (std::size_t c = 0; c < want.size(); ++c) EXPECT_NEAR(read[l][c], want[c], 1e-6f * want[c]) << linear.module;
    }
  }
}

TEST(Imatrix, SumsAndCountsAreLlamaCppsOwn) {
  const Written w("llama_tied");
  const format::GgufFile file = format::GgufFile::open(w.path);
  EXPECT_EQ(file.text("general.type"), "imatrix");
  EXPECT_EQ(file.integer("imatrix.chunk_size"), 16u);
  EXPECT_EQ(file.integer("imatrix.chunk_count"), 3u);
  ASSERT_NE(file.find("blk.1.ffn_down.weight.in_sum2"), nullptr);
  EXPECT_EQ(file.find("blk.1.ffn_down.weight.in_sum2")->shape, (std::vector<std::uint64_t>{1, 64}));
  float count = 0;
  std::memcpy(&count, file.find("blk.1.ffn_down.weight.counts")->data.data(), 4);
  EXPECT_EQ(count, 48.0f);
  EXPECT_EQ(file.find("output.weight.in_sum2"), nullptr);
}

TEST(Imatrix, OneOfAnotherModelIsRefused) {
  const Written w("llama_tied");
  const model::Model other = model::Model::open(golden_model("llama_head_dim"), model::Fusion::single);
  EXPECT_NE(error_of([&] { read_imatrix(w.path, other); }).find("another model"), std::string::npos);
  const model::Model same = model::Model::open(golden_model("llama_tied"));
  EXPECT_EQ(read_imatrix(w.path, same).size(), same.architecture().linears.size());
  EXPECT_NE(
      error_of([&] { read_imatrix(golden_model("llama_tied") / "config.json", same); }).find("no importance matrix"),
      std::string::npos);
}

TEST(Imatrix, DamageAnywhereIsAnErrorOrOtherNumbers) {
  const Written w("llama_tied");
  const std::string whole = read_text_file(w.path);
  const std::filesystem::path damaged = w.folder.path() / "damaged.gguf";
  std::size_t refused = 0;
  const auto try_it = [&](const std::string& bytes) {
    std::ofstream(damaged, std::ios::binary) << bytes;
    try {
      for (const std::vector<float>& values : read_imatrix(damaged, w.model))
        for (const float value : values) ASSERT_TRUE(value >= 0.0f && std::isfinite(value));
    } catch (const Error&) {  // anything else ends the test
      ++refused;
    }
  };
  for (std::size_t at = 0; at < whole.size(); at += 3) {
    try_it(whole.substr(0, at));
    std::string flipped = whole;
    for (const int mask : {0x01, 0x80, 0xFF}) {
      flipped[at] = static_cast<char>(whole[at] ^ mask);
      try_it(flipped);
    }
  }
  EXPECT_GT(refused, whole.size() / 3);
}

}  // namespace
}  // namespace strata::importance
