// strata plan: what it reads, how much memory it takes, and what its file means.
#include <sys/resource.h>

#include <cstring>
#include <fstream>

#include "cli/fixtures.h"
#include "format/safetensors.h"
#include "model/architecture.h"
#include "model/tensors.h"

namespace strata {
namespace plan_test {

using fixtures::Cli, fixtures::Outcome;
namespace fs = std::filesystem;

/// Makes `model` a folder of this shape whose weights are holes: zeros that take no space. False where the file system
/// has no files of such a size.
bool write_hollow_model(const fs::path& model, const json& config) {
  const model::Architecture a = model::parse_architecture(config, "config.json");
  std::vector<format::TensorSpec> specs;
  std::uint64_t bytes = 0;
  for (const model::ExpectedTensor& tensor : model::expected_tensors(a)) {
    std::uint64_t count = 1;
    for (const std::uint64_t extent : tensor.shape) count *= extent;
    bytes += 2 * count;
    specs.push_back({tensor.name, DType::bf16, tensor.shape});
  }
  const std::string header = format::safetensors_header(specs);
  write_text_file(model / "model.safetensors", header);
  write_json_file(model / "config.json", config);
  std::error_code code;
  fs::resize_file(model / "model.safetensors", header.size() + bytes, code);
  return !code;
}

TEST_F(Cli, HeadersAreEnoughForAPlanThatNoWeightDecides) {
  const std::string whole = read_text_file(model_ / "model.safetensors");
  edit_weights([](std::string& bytes) {
    std::uint64_t header = 0;
    std::memcpy(&header, bytes.data(), 8);
    bytes.resize(8 + header);
  });
  const json about = json::parse(run("inspect model --json").out);
  EXPECT_EQ(about["complete"], false);
  EXPECT_TRUE(about["fingerprint"].get<std::string>().starts_with("headers:"));
  EXPECT_NE(run("inspect model").out.find("headers only"), std::string::npos);
  for (const char* preset : {"prior --bits 6", "uniform:int4_g32", "prior --for mlx --bits 6"}) {
    const Outcome made = run(fmt::format("plan model -o plan.json --preset {}", preset));
    EXPECT_EQ(made.exit_code, 0) << preset << made.err;
    EXPECT_NE(made.out.find("planned by headers"), std::string::npos) << made.out;
  }
  ASSERT_EQ(run("plan model --preset uniform:int4_g32 -o plan.json").exit_code, 0);
  const std::string incomplete = "is the download complete?";
  write_text_file(folder_ / "text.txt", "some text");
  for (const char* verb :
       {"quantize model -o out --plan plan.json", "score model -o scores.json", "eval model --text text.txt",
        "generate model hello", "convert model -o out", "quantize model -o out --dry-run --bits 5"})
    expect_refused(verb, incomplete);
  edit_weights([&](std::string& bytes) { bytes = whole; });
  EXPECT_EQ(json::parse(run("inspect model --json").out)["complete"], true);
  EXPECT_EQ(run("quantize model -o out --plan plan.json --scale minmax --no-verify").exit_code, 0);
  fs::remove_all(folder_ / "out");
  json plan = read_json_file(folder_ / "plan.json");
  plan["model"]["fingerprint"] = "headers:0123456789abcdef";
  write_json_file(folder_ / "plan.json", plan);
  expect_refused("quantize model -o out --plan plan.json", "another model");
}

TEST_F(Cli, TheHeaderOfAGgufFileIsEnoughLikewise) {
  json letters;
  for (char c = 'a'; c <= 'z'; ++c) letters[std::string(1, c)] = c - 'a';
  const json bpe = {{"type", "BPE"}, {"vocab", letters}, {"merges", json::array()}};
  write_json_file(model_ / "tokenizer.json", {{"version", "1.0"}, {"added_tokens", json::array()}, {"model", bpe}});
  write_json_file(model_ / "tokenizer_config.json", json::object());
  const Outcome converted = run("convert model -o whole.gguf --type f16");
  ASSERT_EQ(converted.exit_code, 0) << converted.err;
  const std::string whole = read_text_file(folder_ / "whole.gguf");
  write_text_file(folder_ / "m.gguf", whole.substr(0, whole.size() - 1000));
  EXPECT_EQ(json::parse(run("inspect m.gguf --json").out)["complete"], false);
  const Outcome made = run("plan m.gguf -o plan.json --preset uniform:q8_0 --for llama.cpp");
  EXPECT_EQ(made.exit_code, 0) << made.err;
  EXPECT_NE(made.out.find("planned by headers"), std::string::npos) << made.out;
  for (const char* verb : {"quantize m.gguf -o out.gguf --plan plan.json", "convert m.gguf -o out"})
    expect_refused(verb, "is the download complete?");
  write_text_file(folder_ / "m.gguf", whole);
  const Outcome quantized = run("quantize m.gguf -o out.gguf --plan plan.json --scale minmax --no-verify");
  EXPECT_EQ(quantized.exit_code, 0) << quantized.err;
}

TEST_F(Cli, PlanOfAModelOf355BillionReadsNoWeightsAndStaysSmall) {
#ifdef __SANITIZE_ADDRESS__
  GTEST_SKIP() << "memory and time are those of an optimized build";
#endif
  const json glm = {{"model_type", "glm4_moe"},
                    {"attention_bias", true},
                    {"use_qk_norm", true},
                    {"hidden_size", 5120},
                    {"intermediate_size", 12288},
                    {"num_hidden_layers", 92},
                    {"num_attention_heads", 96},
                    {"num_key_value_heads", 8},
                    {"head_dim", 128},
                    {"vocab_size", 151552},
                    {"max_position_embeddings", 202752},
                    {"rope_theta", 1000000},
                    {"partial_rotary_factor", 0.5},
                    {"n_routed_experts", 160},
                    {"n_shared_experts", 1},
                    {"num_experts_per_tok", 8},
                    {"moe_intermediate_size", 1536},
                    {"first_k_dense_replace", 3},
                    {"norm_topk_prob", true},
                    {"routed_scaling_factor", 2.5}};
  if (!write_hollow_model(model_, glm)) GTEST_SKIP() << "the file system of " << model_ << " has no sparse files";
  const Outcome outcome = run("plan model --preset prior --fit 192GiB --json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const json plan = json::parse(outcome.out);
  EXPECT_EQ(plan["groups"].size(), 92u * 2 + 3 * 2 + 89 * 3 + 1);
  std::uint64_t bytes = 0;
  for (const json& group : plan["groups"]) bytes += group["bytes"].get<std::uint64_t>();
  EXPECT_LT(bytes, std::uint64_t{192} << 30);
  EXPECT_GT(bytes, std::uint64_t{170} << 30);
  rusage used{};
  ASSERT_EQ(getrusage(RUSAGE_CHILDREN, &used), 0);
  constexpr long kibibytes = 1 << 20;  // 1 GiB
  EXPECT_LT(used.ru_maxrss, kibibytes);
  EXPECT_LT(used.ru_utime.tv_sec + used.ru_stime.tv_sec, 60) << "reading 668 GiB would take minutes";
}

TEST_F(Cli, PlansRoundTripAndEditedOnesAreChecked) {
  ASSERT_EQ(run("plan model --preset uniform:int8_g32 -o plan.json").exit_code, 0);
  ASSERT_EQ(run("quantize model -o out --plan plan.json --scale minmax --no-verify").exit_code, 0);
  fs::remove_all(folder_ / "out");
  json plan = read_json_file(folder_ / "plan.json");
  plan["groups"][0]["codec"] = "int2_g32";
  write_json_file(folder_ / "plan.json", plan);
  expect_refused("quantize model -o out --plan plan.json --scale minmax --for vllm:marlin",
                 "targets that can: vllm, vllm:sm75, vllm:sm80, vllm:sm89, vllm:sm100, transformers");
  std::ofstream(folder_ / "plan.json") << "{\"kind\": \"strata pl";
  expect_refused("quantize model -o out --plan plan.json --scale minmax", "JSON");
}

TEST_F(Cli, PlansAreExplained) {
  const Outcome outcome = run("plan model --preset prior --bits 6 --codecs int4_g32,int8_g32,keep --explain --json");
  ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  const json value = json::parse(outcome.out);
  EXPECT_EQ(value["explanation"].size(), value["groups"].size());
  const Outcome shown = run("plan model --preset prior --bits 6 --codecs int4_g32,int8_g32,keep --explain");
  EXPECT_NE(shown.out.find("next better"), std::string::npos);
  EXPECT_NE(shown.out.find("nominal"), std::string::npos);
}

TEST_F(Cli, ABudgetThatCannotBeMetNamesTheSmallest) {
  expect_refused("plan model --preset uniform:int4_g32 --bits 3", "smallest plan");
}

}  // namespace plan_test
}  // namespace strata
