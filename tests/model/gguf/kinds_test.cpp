// Keys of models whose blocks with and without a window differ: what such a model has comes back, what neither a key
// nor llama.cpp can say is refused by name, and files that contradict themselves are too.
#include "model/gguf/kinds.h"

#include <gtest/gtest.h>

#include "core/json.h"
#include "model/gguf/check.h"
#include "model/gguf/config.h"
#include "support/error_of.h"
#include "support/golden_model.h"

namespace strata::model {
namespace gguf_kinds_test {

json config_of(const std::string& golden, const json& changes = json::object()) {
  json config = read_json_file(golden_model(golden) / "config.json");
  config.update(changes);
  return config;
}

/// Why a model's file is refused; empty when it is not.
std::string refused(const std::string& golden, const json& changes = json::object()) {
  return error_of([&] { check_gguf_parts(parse_architecture(config_of(golden, changes), "config.json"), "model"); });
}

TEST(GgufKinds, WhatKeysSayIsKept) {
  for (const char* golden : {"gemma4_text", "gemma4_text_moe", "gemma4_unified_text", "gemma4"})
    EXPECT_EQ(refused(golden), "") << golden;
  EXPECT_EQ(refused("gemma4_text", {{"use_double_wide_mlp", false}, {"final_logit_softcapping", nullptr}}), "");
  EXPECT_EQ(refused("gemma4_text", {{"num_kv_shared_layers", 0}, {"use_double_wide_mlp", false}}), "");
  EXPECT_EQ(refused("gemma4_text", {{"tie_word_embeddings", false}, {"hidden_size_per_layer_input", 0}}), "");
  EXPECT_EQ(refused("gemma4_text_moe", {{"num_global_key_value_heads", 4}}), "");
  const json full = {{"rope_type", "default"}, {"rope_theta", 1e6}};
  EXPECT_EQ(refused("gemma4_text", {{"rope_parameters", {{"full_attention", full}, {"sliding_attention", full}}}}), "");
}

TEST(GgufKinds, WhatLlamaCppHasOtherwiseIsRefusedByName) {
  const auto expect = [](const json& changes, const char* piece) {
    const std::string error = refused("gemma4_text", changes);
    EXPECT_NE(error.find(piece), std::string::npos) << changes << error;
  };
  const char *window = "sliding_attention", *full = "full_attention";
  // llama.cpp reads keys of the last two blocks that have some, the first of which has a window.
  expect({{"layer_types", {full, window, window, full}}}, "a block 2 that reads keys and values of block 1");
  expect({{"layer_types", {full, full, full, full}}}, "without a sliding window");
  expect({{"vocab_size_per_layer_input", 50}}, "rows of 50 tokens");
  json ropes = config_of("gemma4_text")["rope_parameters"];
  ropes[window] = {{"rope_type", "linear"}, {"rope_theta", 1e4}, {"factor", 8.0}};
  expect({{"rope_parameters", ropes}}, "the rotary embedding in block 0");
  expect({{"attention_bias", true}}, "biases of");
}

/// What is said of a file with the keys of gemma4_text, some of them others.
std::string error_with(const std::function<void(format::GgufContent&)>& change) {
  const Architecture a = parse_architecture(config_of("gemma4_text"), "config.json");
  format::GgufKeys keys;
  keys.add("general.architecture", "gemma4");
  for (const auto& [key, value] : {std::pair{"block_count", 4u},
                                   {"context_length", 512u},
                                   {"embedding_length", 32u},
                                   {"feed_forward_length", 32u},
                                   {"attention.head_count", 4u}})
    keys.add(fmt::format("gemma4.{}", key), value);
  keys.add("gemma4.attention.layer_norm_rms_epsilon", 1e-6f);
  keys.add("gemma4.attention.sliding_window", 8u);
  const GgufFamily row = gguf_family("gemma4");
  add_kind_keys(keys, row, a);
  add_kind_rope_keys(keys, row, a);
  const std::string header = format::lay_out_gguf(std::move(keys), {}).header;
  format::GgufContent content = format::parse_gguf(std::as_bytes(std::span(header)), "file");
  const std::vector<float> divisors = kind_divisors(a.ropes.front());
  content.tensors.push_back({"token_embd.weight", 0, {64, 32}, {}});
  content.tensors.push_back({"rope_freqs.weight", 0, {divisors.size()}, std::as_bytes(std::span(divisors))});
  change(content);
  return error_of([&] { config_from_gguf(format::GgufFile(std::move(content), "file"), "file"); });
}

TEST(GgufKinds, FilesThatContradictThemselvesAreRefused) {
  const auto expect = [](const std::function<void(format::GgufContent&)>& change, const char* piece) {
    const std::string error = error_with(change);
    EXPECT_NE(error.find(piece), std::string::npos) << piece << ": " << error;
  };
  EXPECT_EQ(error_with([](format::GgufContent&) {}), "");
  const auto set = [](const char* key, format::GgufValue value) {
    return [key, value](format::GgufContent& content) { content.metadata[key] = value; };
  };
  expect([](format::GgufContent& c) { c.metadata.erase("gemma4.attention.sliding_window_pattern"); },
         "'gemma4.attention.sliding_window_pattern' is missing");
  expect(set("gemma4.attention.sliding_window_pattern", format::GgufArray(std::vector<bool>{true, false})),
         "has 2 values for 4 blocks");
  expect(set("gemma4.attention.head_count_kv", format::GgufArray(std::vector<std::int64_t>{2, -1, 2, 2})),
         "is -1 for block 1");
  expect(set("gemma4.rope.dimension_count", std::uint64_t{8}), "expected all 16 dimensions of a head");
  expect(set("gemma4.block_count", std::uint64_t{1} << 40), "expected at most 10000");
  expect([](format::GgufContent& c) { c.tensors.pop_back(); }, "rope_freqs.weight is missing");
  static const std::vector<float> wrong = {1.0f, 2.0f, 1e30f, 1e30f, 1e30f, 1e30f, 1e30f, 1e30f};
  expect([](format::GgufContent& c) { c.tensors.back().data = std::as_bytes(std::span(wrong)); },
         "holds 2, expected 1 for pair 1");
}

}  // namespace gguf_kinds_test
}  // namespace strata::model
