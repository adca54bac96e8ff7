// What is found out when a model is opened: parts that are carried, and files that are no model, with the layout that
// they look like.
#include "model/check_tensors.h"

#include <gtest/gtest.h>

#include "format/target_pattern.h"
#include "model/carried.h"
#include "support/tiny_model.h"

namespace strata::model {
namespace check_tensors_test {

using strata::fixtures::TinyModel;

std::string refusal(const TinyModel& tiny) {
  return error_of([&] { Model::open(tiny.path()); });
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  return at == std::string::npos ? text : text.replace(at, from.size(), to);
}

void expect_has(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) EXPECT_NE(text.find(part), std::string::npos) << part << " in: " << text;
}

TEST(CheckTensors, AFolderWithoutConfigSaysWhatToGive) {
  const TemporaryFolder folder;
  const auto says = [&](const char* part) {
    const std::string text = error_of([&] { Model::open(folder.path()); });
    EXPECT_NE(text.find("has no config.json; "), std::string::npos) << text;
    return text.find(part) != std::string::npos;
  };
  EXPECT_TRUE(says("give a Hugging Face model folder or a GGUF file"));
  std::filesystem::create_directories(folder / "inner");
  write_text_file(folder / "inner" / "config.json", "{}");
  EXPECT_TRUE(says("inner has one: give that folder"));
  write_text_file(folder / "adapter_config.json", "{}");
  EXPECT_TRUE(says("it is an adapter, which is no model; merge it into its base model"));
}

TEST(CheckTensors, PartsOutsideOfTheTextModelAreCarried) {
  TinyModel tiny("llama_tied");
  EXPECT_TRUE(Model::open(tiny.path()).carried().empty());
  tiny.add("visual.blocks.0.attn.qkv.weight", "F16", {2, 3}, std::string(12, 'v'));
  tiny.add("visual.merger.weight", "I64", {1}, std::string(8, 'm'));
  tiny.add("model.mlp.0.weight", "U8", {3}, "abc");
  tiny.add("score.weight", "F32", {1}, "1234");
  tiny.add("model.layers.2.mlp.up_proj.weight", "BF16", {1}, "ab");
  tiny.add("model.layers.0.self_attn.rotary_emb.inv_freq", "F32", {1}, "1234");
  expect_has(refusal(tiny), {"model.layers.2.mlp.up_proj.weight is in the files", "num_hidden_layers", "2 blocks"});
  tiny.configure({{"num_nextn_predict_layers", 1}});
  const Model model = Model::open(tiny.path());
  EXPECT_EQ(model.carried().size(), 5u) << "all but the buffer of the rotary embedding";
  EXPECT_TRUE(carries_blocks_ahead(model));
  const std::vector<CarriedPart> parts = carried_parts(model);
  ASSERT_EQ(parts.size(), 4u);
  EXPECT_EQ(parts[0].name, "model.layers.2");
  EXPECT_EQ(parts[1].name, "model.mlp");
  EXPECT_EQ(parts[2].name, "score");
  EXPECT_EQ(parts[3].name, "visual");
  EXPECT_EQ(parts[3].tensors, 2u);
  EXPECT_EQ(parts[3].bytes, 20u);
  expect_has(describe_carried(parts), {"visual (2 tensors, 20 bytes)", "score (1 tensor, 4 bytes)"});
}

TEST(CheckTensors, BlocksAheadAreAnnouncedForTheModelOrInItsTextPart) {
  json config = parse_json(R"({"model_type": "w", "num_nextn_predict_layers": 1,
    "text_config": {"mtp_num_hidden_layers": 2, "hidden_size": 4}, "vision_config": {"num_hidden_layers": 5}})",
                           "test");
  EXPECT_EQ(announced_blocks_ahead(config), 2u);
  announce_no_blocks_ahead(config);
  EXPECT_EQ(announced_blocks_ahead(config), 0u);
  EXPECT_EQ(config["text_config"], json({{"mtp_num_hidden_layers", 0}, {"hidden_size", 4}}));
  EXPECT_EQ(config["vision_config"], json({{"num_hidden_layers", 5}}));
  EXPECT_EQ(announced_blocks_ahead(json{{"num_nextn_predict_layers", -1}}), 0u);
}

TEST(CheckTensors, AHeadThatIsNotTheEmbeddingIsUsedWhateverTheConfigurationSays) {
  TinyModel tiny("llama_tied");
  EXPECT_EQ(Model::open(tiny.path()).config()["tie_word_embeddings"], true);
  const Architecture a = Model::open(tiny.path()).architecture();
  tiny.add("lm_head.weight", "BF16", {a.vocab, a.hidden}, std::string(2 * a.vocab * a.hidden, 'h'));
  const Model model = Model::open(tiny.path());
  EXPECT_FALSE(model.architecture().tied);
  EXPECT_EQ(model.config()["tie_word_embeddings"], false) << "what is written says so";
}

TEST(CheckTensors, PatternsOfCarriedPartsMatchTheirModulesAndNoneOfTheTextModel) {
  TinyModel tiny("llama_tied");
  tiny.configure({{"num_nextn_predict_layers", 1}});
  for (const char* name : {"visual.blocks.0.qkv", "model.mlp.0", "score", "model.layers.2.mlp.up_proj", "odd+part.a",
                           "model.layers.mlp.b"})
    tiny.add(std::string(name) + ".weight", "U8", {1}, "x");
  const Model model = Model::open(tiny.path());
  const auto ignored = [&](const std::string& module) {
    bool found = false;
    for (const CarriedPart& part : carried_parts(model)) {
      EXPECT_TRUE(part.pattern.starts_with("re:"));
      found = found || format::TargetPattern(part.pattern.substr(3), "test").matches(module);
    }
    return found;
  };
  for (const char* module :
       {"visual.blocks.0.qkv", "model.visual.blocks.0.attn.proj", "model.mlp.0", "score", "model.score",
        "model.layers.2.mlp.up_proj", "layers.2.x", "odd+part.a", "model.layers.mlp.b"})
    EXPECT_TRUE(ignored(module)) << module;
  for (const Linear& linear : model.architecture().linears) EXPECT_FALSE(ignored(linear.module)) << linear.module;
  for (const char* module : {"model.layers.20.mlp.up_proj", "scored", "lm_head"})
    EXPECT_FALSE(ignored(module)) << module;
}

TEST(CheckTensors, ATensorInABlockThatNothingReadsIsAnError) {
  for (const auto& [name, parts] : std::vector<std::pair<std::string, std::vector<std::string>>>{
           {"model.layers.0.self_attn.sinks", {"self_attn.sinks is in the files", "compute something else"}},
           {"model.layers.1.self_attn.qkv_proj.weight", {"qkv_proj.weight", "q, k and v in one tensor"}},
           {"model.layers.1.mlp.gate_up_proj.weight", {"gate and up in one tensor"}},
           {"model.layers.0.mlp.up_proj.lora_A.weight", {"adapter (LoRA)"}},
           {"model.norm.bias", {"model.norm.bias is in the files"}},
           {"lm_head.bias", {"lm_head.bias is in the files"}}}) {
    TinyModel tiny("llama_tied");
    tiny.add(name, "BF16", {1}, "ab");
    expect_has(refusal(tiny), parts);
  }
  TinyModel indexed("llama_tied");
  indexed.add("model.layers.0.self_attn.indexer.wk.weight", "BF16", {1}, "ab");
  EXPECT_EQ(Model::open(indexed.path()).carried().size(), 1u);
}

TEST(CheckTensors, AMissingTensorIsExplainedByWhatIsThere) {
  const auto renamed = [](const char* from, const char* to) {
    TinyModel tiny("llama_tied");
    tiny.rename([&](const std::string& name) { return replaced(name, from, to); });
    return refusal(tiny);
  };
  EXPECT_EQ(renamed("model.", ""), "") << "the embedding's name tells what all others begin with";
  EXPECT_EQ(renamed("model.", "model.text."), "");
  expect_has(renamed("model.layers.", "layers."), {"model.layers.0", "is missing; layers.0.", "prefix"});
  expect_has(renamed("model.norm.", "model.text.norm."),
             {"model.norm.weight is missing; model.text.norm.weight", "prefix"});
  expect_has(renamed("0.self_attn.q_proj.weight", "0.self_attn.qkv_proj.weight"),
             {"q_proj.weight is missing; model.layers.0.self_attn.qkv_proj.weight", "q, k and v in one"});
  expect_has(renamed("1.mlp.up_proj.weight", "1.mlp.up_proj.qweight"),
             {"up_proj.weight is missing; model.layers.1.mlp.up_proj.qweight", "GPTQ or AWQ"});
  expect_has(renamed("1.mlp.up_proj.weight", "1.mlp.up_prj.weight"),
             {"the nearest name in the files is model.layers.1.mlp.up_prj.weight"});
  expect_has(renamed("model.norm.weight", "strange"), {"model.norm.weight is missing; nothing in the files"});
  TinyModel deeper("llama_tied");
  deeper.configure({{"num_hidden_layers", 3}});
  expect_has(refusal(deeper), {"is missing", "no tensor of block 2", "num_hidden_layers is 3"});
  TinyModel untied("llama_tied");
  untied.configure({{"tie_word_embeddings", false}});
  expect_has(refusal(untied), {"lm_head.weight is missing", "tie_word_embeddings"});
  TinyModel wider("llama_tied");
  wider.configure({{"intermediate_size", 72}});
  wider.add("model.layers.0.mlp.up_proj.weight.absmax", "F32", {1}, "1234");
  expect_has(refusal(wider), {"has shape", "but config.json asks for", "bitsandbytes"});
}

TEST(CheckTensors, PackedExpertsAreNamed) {
  TinyModel tiny("qwen3_moe");
  tiny.rename([](const std::string& name) {
    return name == "model.layers.0.mlp.experts.0.gate_proj.weight" ? "model.layers.0.mlp.experts.gate_up_proj" : name;
  });
  expect_has(refusal(tiny),
             {"is missing; model.layers.0.mlp.experts.gate_up_proj", "all experts of a block in one tensor"});
}

}  // namespace check_tensors_test
}  // namespace strata::model
