// Every golden model as a GGUF file and back: the same architecture and the same tensors, or a sentence that says which
// part a GGUF file cannot hold. tests/peers has llama.cpp's judgement of the same families.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "model/families.h"
#include "model/gguf/check.h"
#include "model/gguf/held.h"
#include "model/tensors.h"
#include "pipeline/output/gguf_file.h"
#include "pipeline/output/linear_encoder.h"
#include "pipeline/plan/shapes.h"
#include "support/error_of.h"
#include "support/golden_model.h"
#include "support/made_model.h"
#include "support/temporary_folder.h"

namespace strata::pipeline {
namespace gguf_families_test {

namespace fs = std::filesystem;

/// The goldens that are refused, and a piece of the sentence.
const std::map<std::string, std::string>& refused() {
  static const std::map<std::string, std::string> all = {
      {"afmoe", "where there is a rotary embedding in block 1"},
      {"cohere2_bias", "biases of o"},
      {"cohere2_moe_softmax", "the shared expert"},  // added, where llama.cpp averages
      {"deepseek_v2", "no 'q_lora_rank' and 2 blocks"},
      {"deepseek_v2_q_lora", "'group_limited_greedy'"},
      {"deepseek_v3_half_rope", "biases of o"},
      {"exaone4", "the sliding window in block 0"},
      {"exaone4_5", "the sliding window in block 0"},
      {"gemma2", "factors of embedding"},  // of q: 24 is not the size of a head
      {"gemma3", "factors of embedding"},
      {"gemma3_text", "factors of embedding"},
      {"gemma3_text_layer_types", "the cap on logits"},
      {"glm4_moe_groups", "'n_group'"},
      {"glm_moe_dsa", "the indexer has heads of 16"},
      {"gpt_oss", "'swiglu_limit'"},
      {"gpt_oss_mxfp4", "'swiglu_limit'"},
      {"gpt_bigcode_heads", "q, k and v of one key head after another"},
      {"granitemoehybrid_dense", "biases of what Mamba-2 reads"},
      {"laguna_element", "biases of o"},
      {"lfm2_bias", "'conv_bias'"},
      {"lfm2_moe", "'routed_scaling_factor'"},
      {"falcon_mamba", "an inner size of 48"},
      {"llama4", "the factor of q"},
      {"llama4_text", "the factor of q"},
      {"llama4_text_step2", "biases of o"},
      {"llama_rope_dynamic", "dynamic rotary scaling"},
      {"llama_yarn", "yarn's 'beta_fast' and 'beta_slow'"},
      {"mamba_bias", "an inner size of 72"},
      {"mistral_yarn", "yarn's 'truncate'"},
      {"nemotron", "4 heads of 16"},
      {"nemotron_h_latent", "biases of gate, up and down"},
      {"olmo3", "yarn's 'beta_fast' and 'beta_slow' in block 3"},
      {"olmo3_rope_parameters", "the rotary embedding in block 0"},  // a theta of the windows' own
      {"olmoe", "a norm of k"},
      {"olmoe_clip", "a norm of k"},
      {"olmoe_packed", "a norm of k"},
      {"qwen3_moe_sparse", "'norm_topk_prob'"},
      {"qwen3_next", "heads of 8 for keys and of 12 for values"},
      {"seed_oss_all_biases", "biases of o"},
      {"smollm3_interval", "where there is a rotary embedding in block 1"}};
  return all;
}

std::vector<std::string> goldens() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(golden_model(""))) names.push_back(entry.path().filename());
  std::ranges::sort(names);
  return names;
}

/// A tokenizer of letters beside the model.
void write_tokenizer(const fs::path& model) {
  json vocabulary;
  for (char c = 'a'; c <= 'z'; ++c) vocabulary[std::string(1, c)] = c - 'a';
  write_json_file(model / "tokenizer.json",
                  {{"version", "1.0"},
                   {"added_tokens", json::array()},
                   {"model", {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", json::array()}}}});
  write_json_file(model / "tokenizer_config.json", json::object());
}

void write_gguf(const model::Model& model, DType dense, const fs::path& path) {
  const Codecs keep(model.architecture().linears.size(), &codec::by_name("keep"));
  LinearEncoder encoder(model, keep);
  GgufFile(model, keep, 0, dense).write_whole(encoder, path, true);
}

std::vector<float> values_of(const model::Model& model, const model::ExpectedTensor& tensor) {
  if (tensor.shape.size() == 1) return model.vector(tensor.name, tensor.shape[0]);
  if (tensor.shape.size() == 3) return model.vector(tensor.name, tensor.shape[0] * tensor.shape[1] * tensor.shape[2]);
  const model::LinearWeights weights = model.matrix(tensor.name, tensor.shape[0], tensor.shape[1]);
  const MatrixView& view = weights.view().dense;
  std::vector<float> values(view.rows * view.cols);
  for (std::size_t r = 0; r < view.rows; ++r) read_row(view, r, 0, view.cols, values.data() + r * view.cols);
  return values;
}

/// float16 holds the goldens' weights to 11 bits.
void expect_same_tensors(const model::Model& model, const model::Model& back, DType dense) {
  const auto want = model::expected_tensors(model.architecture()), got = model::expected_tensors(back.architecture());
  ASSERT_EQ(want.size(), got.size());
  // The file's model is the text model alone, and has the root that its family's files usually have.
  const bool wrapped =
      model.config().contains("text_config") || model.architecture().names.root != back.architecture().names.root;
  for (std::size_t t = 0; t < want.size(); ++t) {
    if (!wrapped) {
      EXPECT_EQ(want[t].name, got[t].name);
    }
    ASSERT_EQ(want[t].shape.size(), got[t].shape.size()) << want[t].name;
    const std::vector<float> a = values_of(model, want[t]), b = values_of(back, got[t]);
    ASSERT_EQ(a.size(), b.size()) << want[t].name;
    for (std::size_t i = 0; i < a.size(); ++i)
      ASSERT_NEAR(a[i], b[i], dense == DType::f32 ? 0.0 : 1e-3 * std::fabs(a[i]) + 1e-7) << want[t].name << " " << i;
  }
}

class GgufOfAFamily : public ::testing::TestWithParam<std::string> {};

TEST_P(GgufOfAFamily, ComesBackOrIsRefused) {
  const TemporaryFolder folder;
  fs::copy(golden_model(GetParam()), folder / "model");
  write_tokenizer(folder / "model");
  const model::Model model = model::Model::open(folder / "model", model::Fusion::single);
  if (model::find_family(model.architecture().model_type)->gguf.empty()) {
    const std::string error = error_of([&] { write_gguf(model, DType::f32, folder / "m.gguf"); });
    EXPECT_NE(error.find("neither read nor written"), std::string::npos) << error;
    return;
  }
  const auto reason = refused().find(GetParam());
  for (const DType dense : {DType::f32, DType::f16}) {
    if (reason != refused().end()) {
      const std::string error = error_of([&] { write_gguf(model, dense, folder / "m.gguf"); });
      EXPECT_NE(error.find(reason->second), std::string::npos) << error;
      continue;
    }
    write_gguf(model, dense, folder / "m.gguf");
    const auto held = model::held_linears(model.architecture(), format::GgufFile::open(folder / "m.gguf"), GetParam());
    for (std::size_t l = 0; l < held.size(); ++l) {
      const model::Linear& linear = model.architecture().linears[l];
      EXPECT_EQ(held[l].bytes, linear.rows * linear.cols * dtype_bytes(dense)) << linear.module;
    }
    for (const model::Fusion fusion : {model::Fusion::single, model::Fusion::fused}) {
      const model::Model original = model::Model::open(folder / "model", fusion);
      const model::Model back = model::Model::open(folder / "m.gguf", fusion);
      EXPECT_EQ(model::lost_in_gguf(original.architecture(), back.architecture()), "");
      ASSERT_NO_FATAL_FAILURE(expect_same_tensors(original, back, dense));
    }
  }
}

bool same(const codec::Stored& a, const codec::Stored& b) {
  return std::ranges::equal(a.views, b.views, [](auto x, auto y) { return std::ranges::equal(x, y); });
}

/// A model whose sizes llama.cpp has, in codes; `fused` is the matrix of its first block that lies in two tensors.
void expect_back_bit_for_bit(const char* family, const json& sizes, model::Role fused_role, std::size_t expert) {
  const fixtures::MadeModel made(*model::find_family(family), sizes);
  const model::Model model = made.open();
  write_tokenizer(model.path());
  const TemporaryFolder folder;
  const fs::path path = folder / "m.gguf";
  for (const char* name : {"q8_0", "keep"}) {
    const Codecs codecs(model.architecture().linears.size(), &codec::by_name(name));
    LinearEncoder encoder(model, codecs);
    const GgufFile output(model, codecs, 0, DType::bf16);
    output.write_whole(encoder, path, true);
    EXPECT_EQ(output.bytes(), fs::file_size(path));
    const std::size_t fused = model.architecture().index(0, fused_role, expert);
    EXPECT_EQ(output.places(fused, path).size(), 2u) << family;
    if (!codecs[fused]->has_codes()) continue;
    const model::Model back = model::Model::open(path);
    for (std::size_t l = 0; l < codecs.size(); ++l) {
      const auto stored = encoder.linear(l);
      EXPECT_TRUE(same(output.read(l, path), *stored)) << model.architecture().linears[l].module;
      ASSERT_EQ(back.source_codec(l), codecs[l]) << model.architecture().linears[l].module;
      EXPECT_TRUE(same(back.as_in_source(l), *stored)) << model.architecture().linears[l].module;
    }
  }
}

TEST(GgufFileOfCodes, AMatrixInTwoTensorsComesBackBitForBit) {
  expect_back_bit_for_bit("qwen3_next",
                          {{"linear_num_key_heads", 2},
                           {"linear_num_value_heads", 4},
                           {"linear_key_head_dim", 16},
                           {"linear_value_head_dim", 16},
                           {"full_attention_interval", 2},
                           {"head_dim", 16},
                           {"partial_rotary_factor", 0.5},
                           {"moe_intermediate_size", 32},
                           {"shared_expert_intermediate_size", 32},
                           {"num_experts", 4},
                           {"num_experts_per_tok", 2}},
                          model::Role::in_qkvz, model::kNoExpert);
  const json granite = {{"mamba_n_heads", 4},
                        {"mamba_d_state", 16},
                        {"intermediate_size", 32},
                        {"shared_intermediate_size", 64},
                        {"num_local_experts", 4},
                        {"num_experts_per_tok", 2},
                        {"layer_types", {"mamba", "attention"}}};
  expect_back_bit_for_bit("granitemoehybrid", granite, model::Role::gate_up, model::kSharedExpert);
  json dense = granite;
  dense["num_local_experts"] = 0;
  expect_back_bit_for_bit("granitemoehybrid", dense, model::Role::gate_up, model::kNoExpert);
}

TEST(GgufFileOfCodes, AMatrixThatLiesTransposedHasNone) {
  const TemporaryFolder folder;
  fs::copy(golden_model("deepseek_v3"), folder / "model");
  write_tokenizer(folder / "model");
  const model::Model model = model::Model::open(folder / "model", model::Fusion::single);
  Codecs codecs(model.architecture().linears.size(), &codec::by_name("keep"));
  const std::size_t kv_b = model.architecture().index(1, model::Role::kv_b);
  write_gguf(model, DType::bf16, folder / "m.gguf");
  const format::GgufFile file = format::GgufFile::open(folder / "m.gguf");
  EXPECT_EQ(file.find("blk.1.attn_k_b.weight")->shape, (std::vector<std::uint64_t>{4, 16, 8}));
  EXPECT_EQ(file.find("blk.1.attn_v_b.weight")->shape, (std::vector<std::uint64_t>{4, 12, 16}));
  codecs[kv_b] = &codec::by_name("q8_0");
  const std::string error = error_of([&] { GgufFile(model, codecs, 0, DType::bf16); });
  EXPECT_NE(error.find("kv_b_proj.weight lies transposed"), std::string::npos) << error;
  const Target& target = target_by_name("llama.cpp");
  for (const model::FusionGroup& group : model.architecture().groups) {
    const bool refused = !why_not_fused(target, codec::by_name("q8_0"), model.architecture(), group, 1).empty();
    EXPECT_EQ(refused, model.architecture().linears[group.linears.front()].role == model::Role::kv_b) << group.name;
    EXPECT_EQ(why_not_group(target, codec::by_name("keep"), model.architecture(), group, 1), "");
  }
}

INSTANTIATE_TEST_SUITE_P(Goldens, GgufOfAFamily, ::testing::ValuesIn(goldens()),
                         [](const auto& golden) { return golden.param; });

}  // namespace gguf_families_test
}  // namespace strata::pipeline
