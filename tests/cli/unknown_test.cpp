// A folder of a model_type that no family has, as a user meets it: quantize, inspect, and the verbs that refuse.
#include <gtest/gtest.h>

#include <cstring>
#include <map>

#include "cli/fixtures.h"
#include "core/file.h"
#include "core/json.h"
#include "core/random.h"
#include "model/architecture.h"
#include "model/model.h"
#include "model/tensors.h"
#include "support/temporary_folder.h"

namespace strata {
namespace unknown_test {

namespace fs = std::filesystem;

using fixtures::Outcome;

class UnknownModel : public ::testing::Test {
 protected:
  void SetUp() override {
    fs::create_directories(model());
    write_json_file(model() / "config.json", {{"model_type", "newmamba"}, {"hidden_size", 128}});
    std::map<std::string, std::vector<std::uint64_t>> shapes = {{"backbone.embeddings.weight", {300, 128}}};
    for (int i = 0; i < 3; ++i) {
      const std::string block = fmt::format("backbone.layers.{}.", i);
      shapes[block + "mixer.in_proj.weight"] = {256, 128};
      shapes[block + "mixer.out_proj.weight"] = {128, 256};
      shapes[block + "mixer.in_proj.bias"] = {256};
      shapes[block + "mixer.conv1d.weight"] = {256, 1, 4};
      shapes[block + "norm.weight"] = {128};
    }
    write_tensors(shapes);
  }
  void write_tensors(const std::map<std::string, std::vector<std::uint64_t>>& shapes) const {
    json header = json::object();
    std::string data;
    Random random(5);
    for (const auto& [name, shape] : shapes) {
      std::size_t count = 1;
      for (const std::uint64_t extent : shape) count *= extent;
      std::vector<float> values(count);
      for (float& v : values) v = static_cast<float>(random.normal());
      const std::size_t begin = data.size();
      data.append(reinterpret_cast<const char*>(values.data()), count * sizeof(float));
      header[name] = {{"dtype", "F32"}, {"shape", shape}, {"data_offsets", {begin, data.size()}}};
    }
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    const std::uint64_t size = text.size();
    std::string file(8, '\0');
    std::memcpy(file.data(), &size, 8);
    write_text_file(model() / "model.safetensors", file + text + data);
  }
  /// A model of a known family, wide enough to be quantized, without the head that its configuration speaks of.
  void write_without_head() const {
    const std::size_t wide = 128;
    write_json_file(model() / "config.json", {{"model_type", "llama"},
                                              {"architectures", {"LlamaForSequenceClassification"}},
                                              {"hidden_size", wide},
                                              {"intermediate_size", 2 * wide},
                                              {"num_hidden_layers", 2},
                                              {"num_attention_heads", 4},
                                              {"vocab_size", 40},
                                              {"tie_word_embeddings", false}});
    const model::Architecture a = model::parse_architecture(read_json_file(model() / "config.json"), "config.json");
    std::map<std::string, std::vector<std::uint64_t>> shapes = {{"score.weight", {1, wide}}};
    for (const model::ExpectedTensor& tensor : model::expected_tensors(a))
      if (tensor.name != "lm_head.weight") shapes[tensor.name] = tensor.shape;
    write_tensors(shapes);
  }
  fs::path model() const { return folder_.path() / "model"; }

  Outcome run(const std::string& arguments) const { return fixtures::run_in(folder_.path(), arguments); }
  /// Quantizes and holds the result against the source: linears close to it, everything else the same bytes.
  void expect_quantized(const std::string& options) const {
    const Outcome outcome = run("quantize model -o out --overwrite " + options);
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_NE(outcome.err.find("nothing was run, and so nothing was measured"), std::string::npos) << outcome.err;
    const auto source = model::Model::open(model()), written = model::Model::open(folder_.path() / "out");
    ASSERT_EQ(written.architecture().linears.size(), 6u);
    for (const model::TensorInfo& tensor : source.carried()) {
      const auto a = source.raw(tensor.name), b = written.raw(tensor.name);
      EXPECT_TRUE(std::ranges::equal(a, b)) << tensor.name;
    }
    EXPECT_EQ(source.carried().size(), written.carried().size());
    std::size_t quantized = 0;
    for (const model::Linear& linear : written.architecture().linears) {
      if (written.codec_of(linear) == nullptr) continue;
      ++quantized;
      const model::LinearWeights weights = written.weights(linear), dense = source.weights(linear);
      std::vector<float> values(linear.cols), original(linear.cols);
      read_row(weights.view().dense, 7, 0, linear.cols, values.data());
      read_row(dense.view().dense, 7, 0, linear.cols, original.data());
      double error = 0, energy = 0;
      for (std::size_t c = 0; c < linear.cols; ++c) {
        error += std::pow(values[c] - original[c], 2);
        energy += std::pow(original[c], 2);
      }
      EXPECT_LT(error, 0.1 * energy) << linear.module;
    }
    EXPECT_GT(quantized, 0u);
  }
  void expect_refused(const std::string& arguments, const std::string& reason) const {
    const Outcome outcome = run(arguments);
    EXPECT_EQ(outcome.exit_code, 1) << arguments << "\n" << outcome.err;
    EXPECT_NE(outcome.err.find(reason), std::string::npos) << arguments << "\n" << outcome.err;
    EXPECT_FALSE(fs::exists(folder_.path() / "out"));
    EXPECT_FALSE(fs::exists(folder_.path() / "out.gguf"));
  }

  TemporaryFolder folder_;
};

TEST_F(UnknownModel, IsQuantizedByPriorUnlessAnotherPresetIsAskedFor) {
  expect_quantized("--bits 5");
  EXPECT_NE(run("quantize model -o new --bits 5").err.find("the preset is prior"), std::string::npos);
}
TEST_F(UnknownModel, IsQuantizedByUniform) {
  expect_quantized("--preset uniform:int4_g64");
  expect_quantized("--preset uniform:nvfp4");
  expect_quantized("--preset uniform:fp8_channel");
}
TEST_F(UnknownModel, IsQuantizedByASignalOfWeights) {
  const std::string levels = " --n-high 1 --high int8_channel --low int4_g64";
  expect_quantized("--preset lwq --signal zd" + levels);
  expect_quantized("--preset lwq" + levels);
  EXPECT_NE(run("quantize model -o new --preset lwq" + levels).err.find("by the signal zd"), std::string::npos);
  const Outcome scored = run("score model -o scores.json --signals zd,kurtosis");
  EXPECT_EQ(scored.exit_code, 0) << scored.err;
  expect_quantized("--preset lwq --signal kurtosis --scores scores.json" + levels);
}

TEST_F(UnknownModel, ItsConfigurationNamesWhatIsKept) {
  expect_quantized("--preset uniform:int4_g64");
  const json config = read_json_file(folder_.path() / "out" / "config.json");
  std::string ignored;
  for (const json& pattern : config["quantization_config"]["ignore"]) ignored += pattern.get<std::string>() + "\n";
  for (const char* kept : {"embeddings", "conv1d", "norm"}) EXPECT_NE(ignored.find(kept), ignored.npos) << ignored;
  EXPECT_EQ(ignored.find("in_proj"), ignored.npos) << ignored;
  EXPECT_EQ(config["hidden_size"], 128);
}

TEST_F(UnknownModel, IsInspected) {
  const Outcome outcome = run("inspect model");
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("newmamba, 3 blocks"), std::string::npos) << outcome.out;
}

TEST_F(UnknownModel, WhatTakesAForwardPassIsRefused) {
  write_text_file(folder_.path() / "text.txt", "some text");
  const std::string reason = "model_type 'newmamba' is not known here, so its forward pass cannot be run";
  for (const char* arguments :
       {"score model -o out", "score model -o out --signals zd,lim", "eval model --text text.txt",
        "generate model hello", "chat model", "sweep model -o out", "tune model --ref model -o out",
        "quantize model -o out --bits 4 --method gptq", "quantize model -o out --max-kl 0.1",
        "quantize model -o out --bits 4 --calib text.txt", "quantize model -o out --fit 24GiB",
        "plan model --preset prior --fit 24GiB", "quantize model -o out --preset lwq --signal residual --n-high 1"})
    expect_refused(arguments, reason);
  for (const char* arguments : {"quantize model -o out.gguf --bits 5", "convert model -o out.gguf"})
    expect_refused(arguments, "neither are the names that a GGUF file has for its tensors");
}

TEST_F(UnknownModel, AKnownFamilyWithoutItsHeadIsQuantizedLikeOne) {
  write_without_head();
  ASSERT_EQ(run("quantize model -o out --preset uniform:int8_channel").exit_code, 0);
  const auto source = model::Model::open(model()), written = model::Model::open(folder_.path() / "out");
  EXPECT_EQ(written.architecture().linears.size(), 14u);
  EXPECT_TRUE(std::ranges::equal(source.raw("score.weight"), written.raw("score.weight")));
  fs::remove_all(folder_.path() / "out");
  const std::string reason = "its files hold no lm_head";
  for (const char* arguments : {"score model -o out", "quantize model -o out --bits 5 --method gptq",
                                "quantize model -o out.gguf --bits 5", "generate model hello"})
    expect_refused(arguments, reason);
}

}  // namespace unknown_test
}  // namespace strata
