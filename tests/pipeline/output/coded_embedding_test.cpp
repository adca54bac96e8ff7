// Embeddings in codes for vLLM: where they are a choice, what they take, and that folders hold what the plan says,
// under the names by which vLLM asks. A head that is the embedding is there twice.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "format/compressed_tensors.h"
#include "pipeline/choose/output_size.h"
#include "pipeline/choose/tiny_plans.h"
#include "pipeline/output/linear_encoder.h"
#include "pipeline/output/module_targets.h"
#include "pipeline/output/output.h"
#include "pipeline/report/loads.h"
#include "support/tiny_model.h"

namespace strata::pipeline {
namespace coded_embedding_test {

namespace fs = std::filesystem;
using strata::fixtures::error_of;
using strata::fixtures::golden_model;
using strata::fixtures::TemporaryFolder;

using Names = std::vector<std::string>;

model::Model for_vllm(const char* name) {
  return model::Model::open(golden_model(name), target_by_name("vllm").fusion());
}

/// int8_g32, but the embedding in `embedding`.
Codecs with_embedding(const model::Architecture& a, const char* embedding) {
  Codecs codecs(a.linears.size(), &codec::by_name("int8_g32"));
  codecs[a.embedding()] = &codec::by_name(embedding);
  return codecs;
}

PlanRequest within(Budget budget) {
  PlanRequest request;
  request.budget = std::move(budget);
  return request;
}

void write(const model::Model& model, const Codecs& codecs, const fs::path& path) {
  LinearEncoder encoder(model, codecs, {.scale_fit = codec::ScaleFit::minmax});
  plan_output(model, codecs, target_by_name("vllm"), 0)->write_whole(encoder, path, false);
}

Names targets_of(const model::Model& model, const Codecs& codecs, const codec::Codec& codec) {
  Names names;
  for (const format::ModuleCodec& target : module_targets(model, codecs))
    if (target.codec == &codec) names.push_back(target.module);
  return names;
}

TEST(CodedEmbedding, IsAChoiceWhereVllmsClassAsksForItsCodec) {
  const auto is_choice = [](const char* name, const char* target) {
    return model::Model::open(golden_model(name), target_by_name(target).fusion()).architecture().embedding() !=
           model::kNoLinear;
  };
  for (const char* name : {"llama_tied", "llama_untied_sharded", "qwen2", "qwen3_moe", "gemma3"}) {
    EXPECT_TRUE(is_choice(name, "vllm")) << name;
    EXPECT_FALSE(is_choice(name, "transformers")) << name;
    EXPECT_FALSE(is_choice(name, "vllm:cpu")) << name << ": no Triton";
  }
  for (const char* name : {"mixtral", "gemma2", "qwen3_5_text"}) EXPECT_FALSE(is_choice(name, "vllm")) << name;
}

TEST(CodedEmbedding, HasIntegersThatEndWithWords) {
  const model::Model model = for_vllm("llama_tied");
  const model::Architecture& a = model.architecture();
  const Problem problem(model, target_by_name("vllm"), within(SizeBudget{1 << 20}), {});
  const std::size_t group = a.linears[a.embedding()].group;
  for (const char* name : {"keep", "int2_g32", "int4_g32", "int8_g32", "int4_channel"})
    EXPECT_TRUE(problem.fits(group, codec::by_name(name))) << name;
  for (const char* name : {"int3_g32", "int6_g32", "int4_asym_g32", "fp8_channel", "nvfp4"})
    EXPECT_FALSE(problem.fits(group, codec::by_name(name))) << name;
}

TEST(CodedEmbedding, OfATiedModelIsWrittenTwiceAndReadAsTwo) {
  const model::Model model = for_vllm("llama_tied");
  const model::Architecture& a = model.architecture();
  const TemporaryFolder folder;
  write(model, with_embedding(a, "int4_g32"), folder / "out");
  EXPECT_EQ(read_json_file(folder / "out" / "config.json")["tie_word_embeddings"], false);
  const model::Model written = model::Model::open(folder / "out");
  const model::Architecture& b = written.architecture();
  ASSERT_FALSE(b.tied);
  ASSERT_NE(written.embedding_codec(), nullptr);
  EXPECT_EQ(written.embedding_codec()->name, "int4_g32");
  EXPECT_EQ(written.codec_of(b.linears[b.lm_head()])->name, "int4_g32");

  const Codecs codecs = with_embedding(a, "int4_g32");
  LinearEncoder encoder(model, codecs, {.scale_fit = codec::ScaleFit::minmax});
  const auto stored = encoder.linear(a.embedding());
  std::vector<float> expected(a.hidden), row(a.hidden);
  const model::LinearWeights looked_up = written.embedding(), head = written.weights(b.linears[b.lm_head()]);
  for (std::size_t r = 0; r < a.vocab; ++r) {
    codec::decode_row(*stored, r, 0, a.hidden, expected.data());
    for (const model::LinearWeights* const held : {&looked_up, &head}) {
      read_row(held->view().dense, r, 0, a.hidden, row.data());
      EXPECT_EQ(row, expected) << r;
    }
  }
}

TEST(CodedEmbedding, OfAnUntiedModelIsApartFromTheHead) {
  const model::Model model = for_vllm("llama_untied_sharded");
  const TemporaryFolder folder;
  write(model, with_embedding(model.architecture(), "int2_g32"), folder / "out");
  const model::Model written = model::Model::open(folder / "out");
  EXPECT_EQ(written.embedding_codec()->name, "int2_g32");
  EXPECT_EQ(written.codec_of(written.architecture().linears[written.architecture().lm_head()])->name, "int8_g32");
  std::map<std::string_view, std::string> said;
  for (const Verdict& verdict : verdicts(written)) said[verdict.target->name] = verdict.text();
  EXPECT_EQ(said.at("vllm"), "vllm: yes");
  EXPECT_EQ(said.at("transformers"), "transformers: no: it keeps embeddings in bf16 (int2_g32 in model.embed_tokens)");
}

TEST(CodedEmbedding, IsFoundByTheNamesThatVllmAsksFor) {
  const codec::Codec& int4 = codec::by_name("int4_g32");
  const auto targets = [&](const char* name) {
    const model::Model model = for_vllm(name);
    return targets_of(model, with_embedding(model.architecture(), "int4_g32"), int4);
  };
  EXPECT_EQ(targets("llama_tied"), (Names{"Embedding", "model.embed_tokens", "lm_head"})) << "by class";
  EXPECT_EQ(targets("qwen2"), (Names{"model.embed_tokens", "lm_head"})) << "by name";
  EXPECT_EQ(targets("gemma3"), (Names{"re:.*\\bembed_tokens$", "re:.*\\blm_head$"}));
  EXPECT_EQ(targets("qwen3_untied"), Names{"model.embed_tokens"});
  const model::Model model = for_vllm("llama_tied");
  const Codecs coded = with_embedding(model.architecture(), "int4_g32"),
               kept = with_embedding(model.architecture(), "keep");
  EXPECT_EQ(never_quantized(model, coded), Names{});
  EXPECT_EQ(never_quantized(model, kept), Names{"lm_head"});
  const auto named = [](const format::ModuleCodec& target) { return target.module.find("embed") != std::string::npos; };
  EXPECT_TRUE(std::ranges::none_of(module_targets(model, kept), named)) << "nobody asks for what is dense";
}

TEST(CodedEmbedding, IsWeighedByBudgetsThatCountItOnly) {
  const model::Model model = for_vllm("llama_tied");
  const model::Architecture& a = model.architecture();
  const Costs costs = made_up_costs(model);
  const auto plan = [&](PlanRequest request) {
    return make_plan({model, target_by_name("vllm"), std::move(request), costs});
  };
  const std::size_t group = a.linears[a.embedding()].group;
  const PlanResult by_bits = plan(within(BitsBudget{5.0}));
  EXPECT_EQ(by_bits.plan.groups[group].codec->name, "keep");
  EXPECT_LE(by_bits.plan.bits(), 5.0);

  const PlanResult by_size = plan(within(SizeBudget{by_bits.output_bytes}));
  const PlannedGroup& planned = by_size.plan.groups[group];
  EXPECT_TRUE(planned.codec->has_codes()) << "its bytes are better spent elsewhere";
  EXPECT_EQ(planned.bytes, 2 * codec::stored_bytes(*planned.codec, a.vocab, a.hidden));
  EXPECT_LE(by_size.output_bytes, by_bits.output_bytes);
  EXPECT_LT(by_size.plan.cost(), by_bits.plan.cost() + planned.cost);

  PlanRequest pinned = within(BitsBudget{5.0});
  pinned.embed_codec = "int8_g32";
  EXPECT_EQ(plan(pinned).plan.groups[group].codec->name, "int8_g32");
  EXPECT_EQ(plan(pinned).plan.block_bytes(), by_bits.plan.block_bytes()) << "nor is a pin counted";
  pinned.embed_codec = "int3_g32";
  EXPECT_NE(error_of([&] { plan(pinned); }).find("integers of 2, 4 and 8 bits"), std::string::npos);
  const model::Model dense = tiny();
  EXPECT_NE(plan_error(dense, "transformers", pinned).find("keeps the embedding of llama models in bf16"),
            std::string::npos);
}

/// Its sizes lie far apart: what is left of a size when it is kept must not be wasted.
TEST(CodedEmbedding, ThatIsDearIsKeptAndCostsThePlanNothing) {
  const model::Model model = for_vllm("llama_tied");
  const model::Architecture& a = model.architecture();
  Costs costs = made_up_costs(model);
  const std::uint64_t bytes = make_plan({model, target_by_name("vllm"), within(BitsBudget{5.0}), costs}).output_bytes;
  for (const double dear : {0.1, 1.0, 10.0, 100.0}) {
    for (auto& [codec, cost] : costs.linears[a.embedding()])
      if (codec->has_codes()) cost = dear;
    PlanRequest request = within(SizeBudget{bytes});
    const double free = make_plan({model, target_by_name("vllm"), request, costs}).plan.cost();
    request.keep = {"embed_tokens"};
    EXPECT_LE(free, make_plan({model, target_by_name("vllm"), request, costs}).plan.cost() * (1 + 1e-9)) << dear;
  }
}

TEST(CodedEmbedding, PlansNameItOnlyWhereItHasCodes) {
  const model::Model fused = tiny(), looked_up = for_vllm("llama_tied");
  PlanRequest request;
  request.preset = "uniform:int4_g32";
  const Plan plan = make_plan({looked_up, target_by_name("vllm"), request, {}}).plan;
  const Plan other = make_plan({fused, target_by_name("vllm"), request, {}}).plan;
  EXPECT_EQ(plan.to_json().dump(), other.to_json().dump());
  const Plan read = Plan::from_json(other.to_json(), looked_up, "plan.json");
  EXPECT_EQ(read.groups.size(), other.groups.size() + 1);
  EXPECT_EQ(read.groups.back().codec->name, "keep");
  request.embed_codec = "int4_g32";
  const Plan coded = make_plan({looked_up, target_by_name("vllm"), request, {}}).plan;
  EXPECT_EQ(coded.bytes() - plan.bytes(), 2 * codec::stored_bytes(codec::by_name("int4_g32"), 80, 32));
  EXPECT_EQ(Plan::from_json(coded.to_json(), looked_up, "plan.json").to_json().dump(), coded.to_json().dump());
  EXPECT_NE(error_of([&] { Plan::from_json(coded.to_json(), fused, "plan.json"); }).find("model.embed_tokens"),
            std::string::npos);
}

}  // namespace coded_embedding_test
}  // namespace strata::pipeline
