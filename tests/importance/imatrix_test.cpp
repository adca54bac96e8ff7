// An importance matrix is read back as it was written, and one of another model is refused by name.
#include "importance/imatrix.h"

#include <cmath>
#include <fstream>

#include "format/gguf.h"
#include "format/gguf_write.h"
#include "importance/pass.h"
#include "support/random_tokens.h"
#include "support/tiny_model.h"

namespace strata::importance {
namespace imatrix_test {

using ::strata::fixtures::error_of;
using ::strata::fixtures::golden_model;
using ::strata::fixtures::TemporaryFolder;

struct Written {
  explicit Written(const char* name)
      : model(model::Model::open(golden_model(name), model::Fusion::single)),
        engine(model),
        set(random_tokens(std::min<std::size_t>(80, model.architecture().vocab), 3, 16, 1)),
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
  for (const char* name : {"llama_tied", "llama_untied_sharded", "qwen3_moe", "qwen3_moe_sparse", "mixtral",
                           "qwen3_5_text", "nemotron_h", "granitemoehybrid_dense"}) {
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

TEST(Imatrix, EachTensorOfAMatrixHasItsInputs) {
  const Written w("granitemoehybrid_dense");
  const format::GgufFile file = format::GgufFile::open(w.path);
  for (const char* name : {"blk.0.ssm_in", "blk.0.ssm_out", "blk.0.ffn_gate", "blk.0.ffn_up", "blk.0.ffn_down"})
    EXPECT_NE(file.find(std::string(name) + ".weight.in_sum2"), nullptr) << name;
}

TEST(Imatrix, HeadsAreInLlamaCppsOrderWhateverTheModelIsPlannedFor) {
  const Written w("qwen3_5_text");
  const model::Model plain = model::Model::open(golden_model("qwen3_5_text"));
  const auto tiled = read_imatrix(w.path, w.model), grouped = read_imatrix(w.path, plain);
  const std::size_t o = plain.architecture().index(0, model::Role::o);
  ASSERT_EQ(tiled[o].size(), 32u);
  for (std::size_t i = 0; i < 32; ++i)  // of four heads of 8 the second and the third change places
    EXPECT_EQ(grouped[o][i], tiled[o][i < 8 || i >= 24 ? i : i < 16 ? i + 8 : i - 8]) << i;
  EXPECT_NE(grouped[o], tiled[o]);
  engine::Engine engine(plain);
  const std::filesystem::path path = w.folder.path() / "plain.gguf";
  write_imatrix(path, plain, input_mean_square(engine, w.set), w.set.source);
  const auto again = read_imatrix(path, w.model);
  for (std::size_t i = 0; i < 32; ++i) EXPECT_NEAR(again[o][i], tiled[o][i], 1e-4f * tiled[o][i]) << i;
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

TEST(Imatrix, ExpertsAreStackedWithACountEach) {
  const Written w("qwen3_moe");
  const std::size_t experts = w.model.architecture().experts.count;
  const format::GgufFile file = format::GgufFile::open(w.path);
  const format::GgufTensor* sums = file.find("blk.1.ffn_down_exps.weight.in_sum2");
  const format::GgufTensor* counts = file.find("blk.1.ffn_down_exps.weight.counts");
  ASSERT_TRUE(sums != nullptr && counts != nullptr);
  const model::Linear& down = w.model.architecture().linear(1, model::Role::down, 0);
  EXPECT_EQ(sums->shape, (std::vector<std::uint64_t>{experts, down.cols}));
  EXPECT_EQ(counts->shape, (std::vector<std::uint64_t>{experts, 1}));
  const std::vector<std::size_t> routed = w.inputs.routed(1);
  for (std::size_t e = 0; e < experts; ++e) {
    float count = 0;
    std::memcpy(&count, counts->data.data() + e * sizeof count, sizeof count);
    EXPECT_EQ(count, static_cast<float>(routed[e] < kFewTokens ? w.inputs.tokens() : routed[e])) << e;
  }
}

/// An importance matrix of llama-imatrix's own for the experts of a golden model: sums are 3, counts 2, but for the
/// last expert, which was never fed.
TEST(Imatrix, AnExpertThatWasNeverFedCountsAlike) {
  const Written w("qwen3_moe");
  const model::Architecture& a = w.model.architecture();
  format::GgufKeys keys;
  keys.add("general.type", "imatrix");
  std::vector<format::GgufTensorSpec> specs;
  std::vector<std::vector<float>> values;
  for (std::size_t b = 0; b < a.blocks; ++b) {
    const auto put = [&](const std::string& name, std::size_t matrices, std::size_t cols) {
      specs.push_back({fmt::format("blk.{}.{}.weight.in_sum2", b, name), 0, {matrices, cols}});
      values.emplace_back(matrices * cols, 3.0f);
      specs.push_back({fmt::format("blk.{}.{}.weight.counts", b, name), 0, {matrices, 1}});
      values.emplace_back(matrices, 2.0f);
      if (matrices > 1) values.back().back() = 0.0f;
    };
    for (const auto& [role, name] : {std::pair{model::Role::q, "attn_q"},
                                     {model::Role::k, "attn_k"},
                                     {model::Role::v, "attn_v"},
                                     {model::Role::o, "attn_output"}})
      put(name, 1, a.linear(b, role).cols);
    for (const auto& [role, name] : {std::pair{model::Role::gate, "ffn_gate_exps"},
                                     {model::Role::up, "ffn_up_exps"},
                                     {model::Role::down, "ffn_down_exps"}})
      put(name, a.experts.count, a.linear(b, role, 0).cols);
  }
  const std::filesystem::path path = w.folder.path() / "own.gguf";
  const format::GgufLayout layout = format::lay_out_gguf(std::move(keys), std::move(specs));
  format::GgufWriter writer(path, layout);
  for (const std::vector<float>& numbers : values) writer.write(std::as_bytes(std::span(numbers)));
  writer.commit();
  const auto read = read_imatrix(path, w.model);
  EXPECT_EQ(read[a.index(0, model::Role::q, model::kNoExpert)].front(), 1.5f);
  EXPECT_EQ(read[a.index(1, model::Role::up, 0)].front(), 1.5f);
  EXPECT_EQ(read[a.index(1, model::Role::up, a.experts.count - 1)].back(), 1.0f);
}

/// The bytes of an older file: of each weight the means times `calls`.
std::string dat(const std::vector<std::pair<std::string, std::vector<float>>>& weights, std::int32_t calls,
                bool with_text) {
  std::string bytes;
  const auto number = [&](std::size_t value) {
    const auto narrow = static_cast<std::int32_t>(value);
    bytes.append(reinterpret_cast<const char*>(&narrow), sizeof narrow);
  };
  number(weights.size());
  for (const auto& [name, means] : weights) {
    number(name.size());
    bytes += name;
    number(static_cast<std::size_t>(calls));
    number(means.size());
    for (float mean : means) {
      mean *= static_cast<float>(std::max(calls, 1));
      bytes.append(reinterpret_cast<const char*>(&mean), sizeof mean);
    }
  }
  if (!with_text) return bytes;
  number(7);
  number(5);
  return bytes + "a.txt";
}

TEST(Imatrix, OlderFilesGiveTheSameMeans) {
  for (const char* name : {"llama_tied", "qwen3_moe"}) {
    const Written w(name);
    const auto want = read_imatrix(w.path, w.model);
    std::vector<std::pair<std::string, std::vector<float>>> weights;
    for (const format::GgufFile file = format::GgufFile::open(w.path);
         const format::GgufTensor& sums : file.tensors()) {
      if (!sums.name.ends_with(".in_sum2")) continue;
      const std::string weight = sums.name.substr(0, sums.name.size() - std::strlen(".in_sum2"));
      const format::GgufTensor& counts = *file.find(weight + ".counts");
      std::vector<float> means(sums.shape[0] * sums.shape[1]), each(sums.shape[0]);
      std::memcpy(means.data(), sums.data.data(), means.size() * sizeof(float));
      std::memcpy(each.data(), counts.data.data(), each.size() * sizeof(float));
      for (std::size_t i = 0; i < means.size(); ++i) means[i] /= each[i / sums.shape[1]];
      weights.emplace_back(weight, means);
    }
    const std::filesystem::path path = w.folder.path() / "m.dat";
    for (const std::int32_t calls : {0, 1, 4})
      for (const bool with_text : {false, true}) {
        std::ofstream(path, std::ios::binary) << dat(weights, calls, with_text);
        EXPECT_EQ(read_imatrix(path, w.model), want) << name << calls << with_text;
      }
    std::string whole = read_text_file(path);
    for (std::size_t at = 0; at < whole.size(); at += 7) {
      std::ofstream(path, std::ios::binary) << whole.substr(0, at);
      const std::string error = error_of([&] { read_imatrix(path, w.model); });
      ASSERT_NE(error.find("no importance matrix"), std::string::npos) << at << error;
    }
    std::ofstream(path, std::ios::binary) << whole << "more";
    EXPECT_NE(error_of([&] { read_imatrix(path, w.model); }).find("no importance matrix"), std::string::npos);
  }
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

}  // namespace imatrix_test
}  // namespace strata::importance
