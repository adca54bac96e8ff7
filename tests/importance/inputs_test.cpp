// Tests calibration sets, the pass over them, and the mean square of every linear's inputs.
// The reference for the mean squares runs the engine alone, sequence by sequence, with sums in double.
#include <cmath>
#include <map>

#include "core/random.h"
#include "engine/modes.h"
#include "importance/linear_inputs.h"
#include "importance/score.h"
#include "kernel/ops.h"
#include "support/tiny_model.h"

namespace strata::importance {
namespace inputs_test {

using engine::Site;
using ::strata::fixtures::error_of;
using ::strata::fixtures::golden_ids;
using ::strata::fixtures::golden_model;
using ::strata::fixtures::TemporaryFolder;
using ::strata::fixtures::Threads;
using ::strata::fixtures::TinyModel;
using ::strata::fixtures::word_tokenizer;
using ::strata::fixtures::words;

std::vector<std::vector<engine::Token>> many_sequences(std::size_t count, std::size_t length) {
  Random random(3);
  std::vector<std::vector<engine::Token>> result(count);
  for (auto& sequence : result)
    for (std::size_t t = 0; t < length; ++t) sequence.push_back(static_cast<engine::Token>(random.below(80)));
  return result;
}

TEST(InputMeanSquare, OfEveryLinearEqualsAPlainComputation) {
  for (const char* name : {"llama_untied_sharded", "qwen3", "llama_attention_bias"}) {
    const model::Model model = model::Model::open(golden_model(name));
    const model::Architecture& a = model.architecture();
    engine::Engine engine(model);
    const auto ids = many_sequences(3, 21);
    std::map<std::pair<std::size_t, Site>, std::vector<double>> sums;
    for (const auto& sequence : ids) {
      const engine::Observer observer = [&](Site site, std::size_t block, const float* rows, std::size_t tokens,
                                            std::size_t size) {
        std::vector<float> normed(rows, rows + tokens * size);
        if (site == Site::block_out)
          kernel::rms_norm(rows, model.vector("model.norm.weight", size).data(), tokens, size, a.norm_epsilon,
                           normed.data());
        auto& sum = sums[{block, site}];
        sum.resize(size);
        for (std::size_t i = 0; i < tokens * size; ++i)
          sum[i % size] += static_cast<double>(normed[i]) * static_cast<double>(normed[i]) / 63.0;
      };
      const engine::Sequence whole{sequence.size()};
      engine.forward(sequence, {&whole, 1}, &observer);
    }
    const InputMeanSquare inputs = input_mean_square(engine, calibration_from_tokens(ids, {{"ids"}}));
    EXPECT_EQ(inputs.tokens(), 63u);
    for (const model::Linear& linear : a.linears) {
      const std::size_t block = linear.block == model::kNoBlock ? a.blocks - 1 : linear.block;
      const std::vector<double>& want = sums.at({block, engine::input_site(linear.role)});
      const std::vector<float> got = inputs.of(linear);
      ASSERT_EQ(got.size(), linear.cols);
      for (std::size_t c = 0; c < linear.cols; ++c) EXPECT_NEAR(got[c], want[c], 1e-6 * want[c]) << linear.module;
    }
  }
}

TEST(InputMeanSquare, OfAnExpertIsOfTheTokensRoutedToIt) {
  const model::Model model = model::Model::open(golden_model("qwen3_moe"));
  const model::Architecture& a = model.architecture();
  engine::Engine engine(model);
  const auto ids = many_sequences(8, 60);
  const CalibrationSet set = calibration_from_tokens(ids, {{"ids"}});
  std::map<std::size_t, std::vector<double>> sums;  // by linear
  std::vector<std::size_t> routed(a.experts.count);
  const engine::ExpertWatch watch{
      .show =
          [&](const engine::ExpertRows& rows) {
            if (rows.block != 1) return;
            const bool down = rows.site == Site::down_in;
            if (!down) routed[rows.expert] += rows.tokens.size();
            auto& sum = sums[a.index(1, down ? model::Role::down : model::Role::up, rows.expert)];
            sum.resize(rows.size);
            for (std::size_t i = 0; i < rows.tokens.size() * rows.size; ++i)
              sum[i % rows.size] += static_cast<double>(rows.rows[i]) * static_cast<double>(rows.rows[i]);
          },
      .feed_all = nullptr};
  {
    const engine::Watching watching(engine, &watch);
    for (const auto& sequence : ids) {
      const engine::Sequence whole{sequence.size()};
      engine.forward(sequence, {&whole, 1});
    }
  }
  const InputMeanSquare inputs = input_mean_square(engine, set);
  EXPECT_EQ(inputs.routed(1), routed);
  std::size_t total = 0;
  for (const std::size_t count : routed) total += count;
  EXPECT_EQ(total, 8u * 60u * a.experts.used);
  for (const auto& [l, sum] : sums) {
    const std::size_t tokens = routed[a.linears[l].expert];
    if (tokens < kFewTokens) continue;
    const std::vector<float> got = inputs.of(a.linears[l]);
    for (std::size_t c = 0; c < sum.size(); ++c)
      EXPECT_NEAR(got[c], sum[c] / static_cast<double>(tokens), 1e-5 * got[c] + 1e-12) << a.linears[l].module;
  }
}

TEST(InputMeanSquare, AnExpertThatFewTokensComeToIsFedAll) {
  const model::Model model = model::Model::open(golden_model("qwen3_moe"));
  const model::Architecture& a = model.architecture();
  engine::Engine engine(model);
  // 20 tokens: no expert can get kFewTokens of them.
  const InputMeanSquare inputs = input_mean_square(engine, calibration_from_tokens(many_sequences(2, 10), {{"ids"}}));
  const std::vector<float> first = inputs.of(a.linear(0, model::Role::gate, 0));
  for (std::size_t e = 0; e < a.experts.count; ++e) {
    EXPECT_EQ(inputs.of(a.linear(0, model::Role::up, e)), first);
    for (const float value : inputs.of(a.linear(0, model::Role::down, e))) EXPECT_GT(value, 0.0f);
  }
}

TEST(Pass, EveryObserverSeesEverySiteOfEverySequenceInOrder) {
  const model::Model model = model::Model::open(golden_model("llama_tied"));
  engine::Engine engine(model);
  std::vector<std::string> seen, other;
  const auto log = [](std::vector<std::string>& out) {
    return PassObserver([&out](const SiteRows& rows) {
      out.push_back(
          fmt::format("{}:{}:{}+{}", rows.block, static_cast<int>(rows.site), rows.first_sequence, rows.sequences));
      EXPECT_EQ(rows.tokens, 600u);
    });
  };
  const PassObserver observers[] = {log(seen), log(other)};
  // More tokens than one batch holds.
  run_calibration(engine, calibration_from_tokens(many_sequences(8, 600), {{"ids"}}), observers);
  EXPECT_EQ(seen, other);
  ASSERT_EQ(seen.size(), 2u * 2u * 6u);
  EXPECT_EQ(seen.front(), "0:0:0+6");
  EXPECT_EQ(seen[6], "0:0:6+2");
  EXPECT_EQ(seen.back(), fmt::format("1:{}:6+2", static_cast<int>(engine::Site::block_out)));
}

TEST(Pass, ScoresDoNotDependOnThreads) {
  const model::Model model = model::Model::open(golden_model("llama_tied"));
  engine::Engine engine(model);
  ScoreRequest request;
  request.codecs = {&codec::by_name("int4_g32"), &codec::by_name("nvfp4")};
  const CalibrationSet set = calibration_from_tokens(many_sequences(9, 30), {{"ids"}});
  std::vector<std::string> results;
  for (const std::size_t count : {1, 2, 5}) {
    const Threads threads(count);
    results.push_back(score(engine, set, request).scores.to_json().dump());
  }
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(Pass, ActivationsThatAreNotFiniteNameTheirBlock) {
  TinyModel tiny("llama_tied");
  tiny.set_element("model.layers.1.post_attention_layernorm.weight", 3, INFINITY);
  const model::Model model = model::Model::open(tiny.path());
  engine::Engine engine(model);
  const std::string message =
      error_of([&] { score(engine, calibration_from_tokens(golden_ids("llama_tied"), {{"ids"}}), {}); });
  EXPECT_NE(message.find("the output of block 1 is not finite for token 0 of calibration sequence 0"),
            std::string::npos)
      << message;
}

TEST(Pass, DamageToTheLastNormIsNamed) {
  TinyModel tiny("llama_tied");
  tiny.set_element("model.norm.weight", 3, NAN);
  const model::Model model = model::Model::open(tiny.path());
  engine::Engine engine(model);
  const std::string message =
      error_of([&] { score(engine, calibration_from_tokens(golden_ids("llama_tied"), {{"ids"}}), {}); });
  EXPECT_NE(message.find("model.norm.weight: weight [3] is nan"), std::string::npos) << message;
}

TEST(Pass, WeightsThatAreNotFiniteAreNamedWithTheirPlace) {
  for (const float bad : {NAN, -INFINITY}) {
    TinyModel tiny("llama_tied");
    tiny.set_element("model.layers.1.mlp.down_proj.weight", 5 * 64 + 7, bad);
    const model::Model model = model::Model::open(tiny.path());
    engine::Engine engine(model);
    const std::string message =
        error_of([&] { score(engine, calibration_from_tokens(golden_ids("llama_tied"), {{"ids"}}), {}); });
    EXPECT_NE(message.find("model.layers.1.mlp.down_proj.weight: weight [5, 7] is"), std::string::npos) << message;
  }
}

class CalibrationFiles : public ::testing::Test {
 protected:
  std::filesystem::path file(const std::string& name, std::string_view content) const {
    write_text_file(folder_.path() / name, content);
    return folder_.path() / name;
  }
  TemporaryFolder folder_;
};

TEST_F(CalibrationFiles, PiecesComeFromTheStartOfEachFileInTurn) {
  const std::filesystem::path files[] = {file("a.txt", words(11)),
                                         file("b.txt", "w60 w61 w62 w63 w64 w65 w66 w67 w68")};
  const CalibrationSet set = calibration_from_files(word_tokenizer(false), files, 3, 4);
  EXPECT_EQ(set.sequences,
            (std::vector<std::vector<engine::Token>>{{10, 11, 12, 13}, {14, 15, 16, 17}, {70, 71, 72, 73}}));
  EXPECT_EQ(set.source.samples, 3u);
  EXPECT_EQ(set.source.files.size(), 2u);
  EXPECT_EQ(calibration_from_files(word_tokenizer(true), files, 1, 4).sequences[0][0], 1u);
}

TEST_F(CalibrationFiles, FewerPiecesThanAskedForAreCounted) {
  const std::filesystem::path files[] = {file("a.txt", words(11))};
  EXPECT_EQ(calibration_from_files(word_tokenizer(false), files, 100, 4).source.samples, 2u);
  const std::string message = error_of([&] { calibration_from_files(word_tokenizer(false), files, 100, 12); });
  EXPECT_NE(message.find("11 tokens of calibration text are fewer than one piece of 12"), std::string::npos) << message;
  EXPECT_NE(message.find("--seq-len"), std::string::npos) << message;
}

TEST_F(CalibrationFiles, JsonIsKnownByItsContent) {
  const model::Tokenizer tokenizer = word_tokenizer(true);
  const std::vector<std::vector<engine::Token>> pieces = {{1, 10, 11, 12}, {1, 14, 15, 16}};
  const auto cut = [&](const std::filesystem::path& path, const model::ChatTemplate* chat = nullptr) {
    return calibration_from_files(tokenizer, {&path, 1}, 2, 4, chat).sequences;
  };
  const char* const text = "w0 w1 w2 w3 w4 w5 w6 w7";
  EXPECT_EQ(cut(file("a.md", text)), pieces);
  for (const char* name : {"a.jsonl", "a.json", "a.txt", "a"}) {
    EXPECT_EQ(cut(file(name, fmt::format("{{\"text\": \"{}\"}}\n", text))), pieces) << name;
    EXPECT_EQ(cut(file(name, fmt::format("[\n{{\"text\": \"{}\"}}\n]", text))), pieces) << name;
  }
  const std::filesystem::path talk = file("talk.txt", R"([{"from": "human", "value": "w0 w1 w2 w3 w4 w5 w6"}])");
  const model::ChatTemplate chat("<s> {{ messages[0].role }} {{ messages[0].content }}", json::object(), "chat");
  EXPECT_EQ(cut(talk, &chat), (std::vector<std::vector<engine::Token>>{{1, 0, 10, 11}, {12, 13, 14, 15}}));
  const std::string message = error_of([&] { cut(talk); });
  EXPECT_NE(
      message.find("talk.txt: line 1: is a conversation, which needs a chat template, and word tokenizer has none"),
      std::string::npos)
      << message;
}

TEST_F(CalibrationFiles, EmptyAndBinaryFilesAreRefused) {
  const std::filesystem::path empty[] = {file("a.txt", "")}, binary[] = {file("b.txt", std::string_view("a\0b", 3))};
  EXPECT_THROW(calibration_from_files(word_tokenizer(false), empty, 2, 4), Error);
  EXPECT_THROW(calibration_from_files(word_tokenizer(false), binary, 2, 4), Error);
  EXPECT_THROW(calibration_from_files(word_tokenizer(false), {}, 2, 4), Error);
  EXPECT_THROW(calibration_from_files(word_tokenizer(false), empty, 0, 4), UsageError);
}

TEST(CalibrationFromModel, IsDeterminedByItsSeed) {
  const model::Model model = model::Model::open(golden_model("llama_tied"));
  engine::Engine engine(model);
  const auto write = [&](std::uint64_t seed) {
    return calibration_from_model(engine, word_tokenizer(true), 3, 12, seed);
  };
  const CalibrationSet one = write(7), same = write(7), other = write(800);
  EXPECT_EQ(one.sequences.size(), 3u);
  EXPECT_EQ(one.sequences[1].size(), 12u);
  EXPECT_EQ(one.sequences[1][0], 1u);
  EXPECT_EQ(one.sequences, same.sequences);
  EXPECT_EQ(one.source.hash, same.source.hash);
  EXPECT_NE(one.source.hash, other.source.hash);
  EXPECT_EQ(one.source.to_json()["source"], "model");
}

}  // namespace inputs_test
}  // namespace strata::importance
