// Plans never exceed their budget, keep fusion groups together, hold to pins, and say what cannot be done.
// The model is tiny and its costs are made up here; no calibration is involved.
#include "pipeline/choose/planner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <set>

#include "pipeline/choose/explain.h"
#include "pipeline/choose/runtime_memory.h"
#include "pipeline/choose/tiny_plans.h"
#include "pipeline/output/safetensors_folder.h"
#include "pipeline/plan/shapes.h"
#include "support/tiny_model.h"

namespace strata::pipeline {
namespace planner_test {

TEST(Planner, BestNeverExceedsTheBudgetOfBits) {
  const model::Model model = tiny();
  const Costs costs = made_up_costs(model);
  double last_cost = INFINITY;
  for (double bits = 4.75; bits <= 16.5; bits += 0.25) {
    PlanRequest request;
    request.budget = BitsBudget{bits};
    const Plan plan = make_plan({model, target_by_name("vllm"), request, costs}).plan;
    EXPECT_LE(plan.bits(), bits);
    EXPECT_LE(plan.cost(), last_cost * (1 + 1e-9));
    last_cost = plan.cost();
  }
  EXPECT_EQ(last_cost, 0.0);
}

/// Scores for one runtime price inputs as that one reads them; a plan for another says so.
TEST(Planner, SaysWhichCodecsArePricedWithOtherInputs) {
  const model::Model model = tiny();
  Costs costs = made_up_costs(model);
  PlanRequest request;
  request.codecs = {"fp8_channel"};
  request.budget = BitsBudget{16.0};
  const auto notes = [&](const char* target) {
    std::string text;
    for (const std::string& note : make_plan({model, target_by_name(target), request, costs}).notes) text += note;
    return text;
  };
  EXPECT_NE(notes("h100").find("the scores price fp8_channel with other inputs than vllm:sm89 reads"),
            std::string::npos);
  EXPECT_EQ(notes("a100"), "") << "which multiplies FP8 with inputs as they are";
  costs.rounded_inputs = rounded_inputs(target_by_name("h100")).names();
  EXPECT_EQ(notes("h100"), "");
  EXPECT_NE(notes("transformers").find("score with --for transformers"), std::string::npos);
}

TEST(Planner, ASizeOnDiskIsMetExactlyByTheLayout) {
  const model::Model model = tiny();
  PlanRequest request;
  request.budget = BitsBudget{5.0};
  const PlanResult reference = make_plan({model, target_by_name("vllm"), request, made_up_costs(model)});
  for (const std::uint64_t more : {0ull, 1ull, 1000ull, 100000ull}) {
    PlanRequest by_size;
    by_size.budget = SizeBudget{reference.output_bytes + more};
    const PlanResult result = make_plan({model, target_by_name("vllm"), by_size, made_up_costs(model)});
    EXPECT_LE(result.output_bytes, reference.output_bytes + more);
    const auto codecs = codecs_by_linear(result.plan, model.architecture());
    EXPECT_EQ(result.output_bytes, plan_output(model, codecs, target_by_name("vllm"), 0)->bytes());
  }
}

TEST(Planner, ABudgetThatCannotBeMetSaysTheSmallestAndWhoCan) {
  const model::Model model = tiny();
  PlanRequest request;
  request.budget = BitsBudget{3.6};
  const std::string message = plan_error(model, "vllm:marlin", request);
  EXPECT_NE(message.find("smallest plan"), std::string::npos) << message;
  EXPECT_NE(message.find("--for transformers"), std::string::npos) << message;
  EXPECT_NE(message.find("--for vllm "), std::string::npos) << message;
  request.budget = BitsBudget{NAN};
  EXPECT_NE(plan_error(model, "vllm", request), "");
  request.budget = BitsBudget{-1};
  EXPECT_NE(plan_error(model, "vllm", request), "");
  EXPECT_THROW(give(request.budget, SizeBudget{100}), UsageError) << "two budgets";
  request.budget = SizeBudget{100};
  EXPECT_NE(plan_error(model, "vllm", request).find("takes"), std::string::npos);
}

TEST(Planner, PinsHoldForTheWholeFusionGroup) {
  const model::Model model = tiny();
  PlanRequest request;
  request.budget = BitsBudget{8.0};
  request.keep = {"layers\\.0\\..*v_proj"};
  request.assign = {{"down_proj", "int4_g32"}};
  const Plan plan = make_plan({model, target_by_name("vllm"), request, made_up_costs(model)}).plan;
  EXPECT_EQ(plan.groups[0].codec->name, "keep");
  EXPECT_EQ(plan.groups[3].codec->name, "int4_g32");
}

TEST(Planner, PinsThatCannotHoldAreErrors) {
  const model::Model model = tiny();
  PlanRequest request;
  request.budget = BitsBudget{8.0};
  request.keep = {"nothing_like_this"};
  EXPECT_NE(plan_error(model, "vllm", request).find("matches no linear"), std::string::npos);
  request.keep = {"(["};
  EXPECT_NE(plan_error(model, "vllm", request).find("regular expression"), std::string::npos);
  request.keep = {"q_proj"};
  request.assign = {{"v_proj", "int4_g32"}};
  EXPECT_NE(plan_error(model, "vllm", request).find("one codec only"), std::string::npos);
  request.keep.clear();
  request.assign = {{"v_proj", "int2_g32"}};
  EXPECT_NE(plan_error(model, "vllm:marlin", request).find("transformers"), std::string::npos);
  request.assign = {{"v_proj", "int9"}};
  EXPECT_NE(plan_error(model, "vllm", request).find("int9"), std::string::npos);
}

TEST(Planner, AtLeastIsAFloorForEveryPreset) {
  const model::Model model = tiny();
  PlanRequest request;
  request.budget = BitsBudget{6.0};
  request.at_least = {{"layers\\.0\\..*q_proj", "int8_g32"}};
  const Plan plan = make_plan({model, target_by_name("vllm"), request, made_up_costs(model)}).plan;
  EXPECT_GE(plan.groups[0].bytes * 8, plan.groups[0].weights * 8);
  EXPECT_LE(plan.bits(), 6.0);
  request.preset = "uniform:int4_g32";
  request.budget = {};
  const Plan uniform = make_plan({model, target_by_name("vllm"), request, made_up_costs(model)}).plan;
  EXPECT_EQ(uniform.groups[0].codec->name, "int8_g32");
  EXPECT_EQ(uniform.groups[1].codec->name, "int4_g32");
}

TEST(Planner, FloorsThatContradictPinsAreErrors) {
  const model::Model model = tiny();
  PlanRequest request;
  request.budget = BitsBudget{8.0};
  request.assign = {{"q_proj", "int4_g32"}};
  request.at_least = {{"v_proj|q_proj", "int8_g32"}};
  EXPECT_NE(plan_error(model, "vllm", request).find("fewer bytes than int8_g32"), std::string::npos)
      << plan_error(model, "vllm", request);
  request.assign.clear();
  request.at_least = {{"no_such_thing", "int8_g32"}};
  EXPECT_NE(plan_error(model, "vllm", request).find("matches no linear"), std::string::npos);
  request.at_least = {{"q_proj", "int2_g32"}};
  EXPECT_NE(plan_error(model, "vllm:marlin", request).find("transformers"), std::string::npos);
}

TEST(Planner, ThePriorPlansWithoutScoresAndPutsDownFirst) {
  const model::Model model = tiny("llama_untied_sharded");
  PlanRequest request;
  request.preset = "prior";
  request.budget = BitsBudget{6.0};
  request.codecs = {"int4_g32", "int8_g32", "keep"};
  const Plan plan = make_plan({model, target_by_name("vllm"), request, {}}).plan;
  EXPECT_LE(plan.bits(), 6.0);
  EXPECT_EQ(plan.cost_signal, "prior");
  const auto bits = [&](const PlannedGroup& g) {
    return 8.0 * static_cast<double>(g.bytes) / static_cast<double>(g.weights);
  };
  double down = 0, gate_up = 0;
  for (const PlannedGroup& group : plan.groups) {
    if (group.name.ends_with("down_proj")) down += bits(group);
    if (group.name.ends_with("gate_up_proj")) gate_up += bits(group);
  }
  EXPECT_GT(down, gate_up);
}

TEST(Planner, RulesOfAFileReplaceThoseBuiltIn) {
  const model::Model model = tiny();
  PlanRequest request;
  request.preset = "prior";
  request.budget = BitsBudget{9.0};
  request.codecs = {"int4_g32", "int8_g32", "keep"};
  request.prior = {{"format", "strata prior"},
                   {"version", 1},
                   {"rules", {{{"match", "o_proj$"}, {"keep", true}, {"blocks", {{"last", 1}}}}}}};
  const Plan plan = make_plan({model, target_by_name("vllm"), request, {}}).plan;
  for (std::size_t g = 0; g < plan.groups.size(); ++g)
    if (plan.groups[g].name.ends_with("o_proj") &&
        model.architecture().groups[g].block == model.architecture().blocks - 1) {
      EXPECT_EQ(plan.groups[g].codec->name, "keep");
    }
  const auto refused = [&](json rule, const char* part) {
    request.prior["rules"] = json::array({std::move(rule)});
    EXPECT_NE(plan_error(model, "vllm", request).find(part), std::string::npos) << plan_error(model, "vllm", request);
  };
  refused({{"match", "(["}}, "regular expression");
  refused({{"match", "q"}, {"weight", -1}}, "weight");
  refused({{"match", "q"}, {"weigth", 2}}, "weigth");
  refused({{"match", "q"}, {"weight", 2}, {"keep", true}}, "contradict");
  refused({{"match", "q"}, {"blocks", 3}}, "blocks");
  refused(4, "not an object");
  request.prior["version"] = 7;
  EXPECT_NE(plan_error(model, "vllm", request).find("version 7"), std::string::npos);
}

TEST(Planner, LevelsByCountAndByThreshold) {
  const model::Model model = tiny("llama_untied_sharded");
  const std::size_t blocks = model.architecture().blocks;
  PlanRequest request;
  request.preset = "lwq";
  for (const char* text : {"int8_g32:1,int4_g32:1,int2_g32", "int8_g32>=1.5,int4_g32>=0.5,int2_g32"}) {
    request.levels = text;
    const Plan plan = make_plan({model, target_by_name("transformers"), request, made_up_costs(model)}).plan;
    for (std::size_t g = 0; g < plan.groups.size(); ++g) {
      const std::size_t block = model.architecture().groups[g].block;
      if (block == model::kNoBlock) continue;
      const bool counted = parse_levels(request.levels, "lim").front().count.has_value();
      const char* expected = counted ? (block + 1 == blocks   ? "int8_g32"
                                        : block + 2 == blocks ? "int4_g32"
                                                              : "int2_g32")
                                     : (block >= 2   ? "int8_g32"
                                        : block == 1 ? "int4_g32"
                                                     : "int2_g32");
      EXPECT_EQ(plan.groups[g].codec->name, expected) << text << " block " << block;
    }
    EXPECT_LT(plan.nominal_bits(), plan.bits());
  }
  EXPECT_EQ(parse_levels("int8_g32<=0.2,int4_g32", "zd")[0].threshold, -0.2);
  for (const char* text :
       {"", "int8_g32", "int8_g32:x,int4_g32", "int8_g32:1,int4_g32:2", "int8_g32:1,int4_g32>=2,int2_g32",
        "int8_g32<=0.1,int4_g32", "int8_g32>=nan,int4_g32", ":3,int4_g32", "int8_g32,int4_g32"})
    EXPECT_THROW(parse_levels(text, "lim"), UsageError) << text;
  request.levels = "int8_g32:99,int4_g32";
  EXPECT_NE(plan_error(model, "transformers", request), "");
}

TEST(Planner, WhatFitsLeavesRoomForTheCacheAndTheRuntime) {
  const model::Model model = tiny();
  const model::Architecture& a = model.architecture();
  const Target& cpu = target_by_name("vllm:cpu");
  const MemoryNeeds needs = memory_beside_weights(a, cpu, {0, 128, 3});
  EXPECT_EQ(needs.kv_cache, 128u * 3 * a.blocks * 2 * a.kv_size() * 2);
  EXPECT_GT(memory_beside_weights(a, target_by_name("vllm"), {0, 128, 3}).runtime, needs.runtime);
  PlanRequest by_size, by_fit;
  by_size.codecs = by_fit.codecs = {"int4_g32", "fp8_channel", "keep"};
  by_size.budget = BitsBudget{6.0};
  const PlanResult reference = make_plan({model, cpu, by_size, made_up_costs(model)});
  by_fit.budget = MemoryBudget{reference.output_bytes + needs.total(), 128, 3};
  const PlanResult result = make_plan({model, cpu, by_fit, made_up_costs(model)});
  EXPECT_LE(result.output_bytes, reference.output_bytes);
  EXPECT_FALSE(result.notes.empty());
  by_fit.budget = MemoryBudget{1000, 128, 3};
  EXPECT_NE(plan_error(model, "vllm:cpu", by_fit).find("KV cache"), std::string::npos);
  by_fit.budget = MemoryBudget{1ull << 40, 1ull << 62, 1ull << 40};
  EXPECT_NE(plan_error(model, "vllm:cpu", by_fit).find("--ctx"), std::string::npos);
}

TEST(Planner, ExplainsTheNeighboursOfEveryChoice) {
  const model::Model model = tiny();
  const Costs costs = made_up_costs(model);
  PlanRequest request;
  request.budget = BitsBudget{6.0};
  request.keep = {"layers\\.0\\..*o_proj"};
  const Plan plan = make_plan({model, target_by_name("vllm"), request, costs}).plan;
  const auto explanations = explain(plan, {model, target_by_name("vllm"), request, costs});
  ASSERT_EQ(explanations.size(), plan.groups.size());
  for (const Explanation& e : explanations) {
    EXPECT_EQ(e.pinned, e.group == "model.layers.0.self_attn.o_proj");
    EXPECT_FALSE(e.pinned && (e.better || e.worse));
    EXPECT_TRUE(!e.better || (e.better->bytes > 0 && e.better->cost < 0));
    EXPECT_TRUE(!e.worse || (e.worse->bytes < 0 && e.worse->cost > 0));
    EXPECT_TRUE(e.pinned || e.better || e.worse) << e.group;
  }
}

TEST(Planner, LwqGivesTheHighCodecToTheMostImportantBlocks) {
  const model::Model model = tiny("llama_untied_sharded");
  PlanRequest request;
  request.preset = "lwq";
  request.high = "int8_g32";
  request.low = "int2_g32";
  request.n_high = 1;
  const Plan plan = make_plan({model, target_by_name("transformers"), request, made_up_costs(model)}).plan;
  const model::Architecture& a = model.architecture();
  for (std::size_t g = 0; g < a.groups.size(); ++g) {
    if (a.groups[g].block == model::kNoBlock)
      EXPECT_EQ(plan.groups[g].codec->name, "keep");
    else
      EXPECT_EQ(plan.groups[g].codec->name, a.groups[g].block + 1 == a.blocks ? "int8_g32" : "int2_g32");
  }
  request.n_high = 99;
  EXPECT_NE(plan_error(model, "transformers", request), "");
}

TEST(Planner, ThreeTierKeepsTheEndsAndStaysWithinEightBitsWhereTheyAllow) {
  const model::Model model = tiny("llama_untied_sharded");
  PlanRequest request;
  request.preset = "three-tier";
  request.budget = BitsBudget{13.0};
  const Plan plan = make_plan({model, target_by_name("vllm"), request, made_up_costs(model)}).plan;
  EXPECT_EQ(plan.groups.front().codec->name, "keep");
  EXPECT_EQ(plan.groups[plan.groups.size() - 2].codec->name, "keep");
}

TEST(Plan, SurvivesItsFile) {
  const model::Model model = tiny();
  PlanRequest request;
  request.budget = BitsBudget{6.0};
  const Plan plan = make_plan({model, target_by_name("vllm"), request, made_up_costs(model)}).plan;
  const Plan read = Plan::from_json(plan.to_json(), model, "plan.json");
  EXPECT_EQ(read.to_json(), plan.to_json());
}

TEST(Plan, AHandEditedFileIsCheckedAndNamed) {
  const model::Model model = tiny();
  PlanRequest request;
  request.budget = BitsBudget{6.0};
  const json good = make_plan({model, target_by_name("vllm"), request, made_up_costs(model)}).plan.to_json();
  const auto refused = [&](const std::function<void(json&)>& edit, const char* expected) {
    json value = good;
    edit(value);
    try {
      Plan::from_json(value, model, "plan.json");
      ADD_FAILURE() << "accepted: " << expected;
    } catch (const Error& e) {
      EXPECT_NE(std::string(e.what()).find(expected), std::string::npos) << e.what();
    }
  };
  refused([](json& v) { v["groups"][0]["codec"] = "int9"; }, "int9");
  refused([](json& v) { v["groups"][0]["codec"] = 4; }, "codec");
  refused([](json& v) { v["groups"][0]["linears"].erase(0); }, "fuses");
  refused([](json& v) { v["groups"].erase(0); }, "missing");
  refused([](json& v) { v["groups"][0] = v["groups"][1]; }, "twice");
  refused([](json& v) { v["groups"][0] = 1; }, "object");
  refused([](json& v) { v["model"]["fingerprint"] = "0"; }, "another model");
  refused([](json& v) { v["version"] = 99; }, "version");
  refused([](json& v) { v.erase("groups"); }, "groups");
  refused([](json& v) { v = json::array(); }, "not a plan");
  refused([](json& v) { v["format"] = 1; }, "format");
}

TEST(Plan, OtherNamesOfItsFirstMembersAreRead) {
  const model::Model model = tiny();
  PlanRequest request;
  request.budget = BitsBudget{6.0};
  const Plan plan = make_plan({model, target_by_name("vllm"), request, made_up_costs(model)}).plan;
  json value = plan.to_json();
  value.erase("format");
  value.erase("model");
  value["kind"] = "strata plan";
  value["model_fingerprint"] = model.fingerprint();
  EXPECT_EQ(Plan::from_json(value, model, "plan.json").to_json(), plan.to_json());
}

/// Every member at every depth, removed, and replaced by things of other types and out of range.
TEST(Plan, AnyDamageIsAnErrorOrAnotherPlan) {
  const model::Model model = tiny();
  PlanRequest request;
  request.budget = BitsBudget{6.0};
  const json whole = make_plan({model, target_by_name("vllm"), request, made_up_costs(model)}).plan.to_json();
  const json flat = whole.flatten();
  std::set<std::string> seen;
  std::size_t refused = 0;
  const auto try_it = [&](const json& value) {
    try {
      Plan::from_json(value, model, "plan.json").to_json();
    } catch (const Error&) {  // anything else ends the test
      ++refused;
    }
  };
  for (const auto& [path, leaf] : flat.items())
    for (json::json_pointer at(path); !at.empty(); at = at.parent_pointer()) {
      if (!seen.insert(at.to_string()).second) continue;
      json value = whole;
      for (const json& other : {json(nullptr), json("x"), json(-1), json(1e300), json::array({1}), json{{"x", 1}}}) {
        value[at] = other;
        try_it(value);
      }
      value = whole;
      json& parent = value[at.parent_pointer()];
      parent.is_array() ? parent.erase(std::stoul(at.back())) : void(parent.erase(at.back()));
      try_it(value);
    }
  EXPECT_GT(refused, 3 * seen.size());
}

TEST(Planner, TransformersGivesAllExpertsOneCodecAndVllmOneABlock) {
  const model::Model model = tiny("qwen3_moe");
  const model::Architecture& a = model.architecture();
  const Costs costs = made_up_costs(model);
  PlanRequest request;
  std::size_t different = 0;
  for (double bits = 5.0; bits <= 12.0; bits += 0.5) {
    request.budget = BitsBudget{bits};
    for (const char* target : {"vllm", "transformers"}) {
      const PlanResult result = make_plan({model, target_by_name(target), request, costs});
      EXPECT_LE(result.plan.bits(), bits);
      const codec::Codec* first = result.plan.groups[a.linear(0, model::Role::gate, 0).group].codec;
      const codec::Codec* second = result.plan.groups[a.linear(1, model::Role::gate, 0).group].codec;
      if (std::string_view(target) == "vllm") {
        different += first != second;
        continue;
      }
      EXPECT_EQ(first, second);
      EXPECT_NE(first->family, codec::Family::nvfp4);
      ASSERT_FALSE(result.notes.empty());
      EXPECT_NE(result.notes.back().find("all experts have one codec"), std::string::npos);
    }
  }
  EXPECT_GT(different, 0u);
}

TEST(Planner, ExpertsThatATargetCannotLoadAreSaid) {
  const model::Model model = tiny("qwen3_moe");
  PlanRequest request;
  request.preset = "uniform:int4_g32";
  request.assign = {{"experts", "nvfp4"}};
  EXPECT_NE(plan_error(model, "transformers", request).find("global scale"), std::string::npos);
  request.assign = {{"experts", "keep"}};
  EXPECT_NE(plan_error(model, "transformers", request).find("beside quantized layers"), std::string::npos);
  request.assign = {{"layers.0.mlp.experts", "fp8_channel"}, {"layers.1.mlp.experts", "int8_channel"}};
  EXPECT_NE(plan_error(model, "transformers", request).find("one codec for all experts"), std::string::npos);
  EXPECT_EQ(plan_error(model, "vllm:marlin", request), "");
  EXPECT_NE(plan_error(model, "vllm", request).find("not of whole rows"), std::string::npos);
  request.assign = {{"layers.0.mlp.experts", "fp8_channel"}, {"layers.1.mlp.experts", "int3_asym_g32"}};
  EXPECT_EQ(plan_error(model, "vllm", request), "");
  request.assign = {{"layers.0.mlp.experts.3.up_proj", "fp8_channel"}};
  const Plan plan = make_plan({model, target_by_name("transformers"), request, made_up_costs(model)}).plan;
  for (const PlannedGroup& group : plan.groups)
    EXPECT_EQ(group.codec->name == "fp8_channel", group.name.ends_with("experts"));
}

TEST(Planner, CodesAreRefusedInExpertsThatATargetLoadsAsStacksOnly) {
  PlanRequest request;
  request.preset = "uniform:int8_channel";
  const auto expect_refused = [&](const char* name, const char* target, const char* advice) {
    const std::string error = plan_error(tiny(name), target, request);
    EXPECT_NE(error.find("stacks only"), error.npos) << name << target << error;
    EXPECT_NE(error.find(advice), error.npos) << name << target << error;
  };
  expect_refused("gpt_oss", "vllm:marlin", "--for llama.cpp");
  expect_refused("gpt_oss", "transformers", "--for llama.cpp");
  expect_refused("qwen3_vl_moe", "transformers", "--for vllm");
  EXPECT_EQ(plan_error(tiny("qwen3_vl_moe"), "vllm", request), "");
  EXPECT_EQ(plan_error(tiny("llama4_text"), "transformers", request), "");
  request.assign = {{"\\.experts\\.", "int8_channel"}};
  expect_refused("gpt_oss", "vllm", "--keep '\\.experts\\.'");
}

TEST(Planner, ExpertsThatStayInStacksMayBeKeptBesideCodes) {
  PlanRequest request;
  request.preset = "uniform:int8_channel";
  request.keep = {"\\.experts\\."};
  for (const char* name : {"gpt_oss", "qwen3_vl_moe"})
    for (const char* target : {"vllm", "transformers"}) {
      const model::Model model = tiny(name);
      ASSERT_EQ(plan_error(model, target, request), "") << name << target;
      const Plan plan = make_plan({model, target_by_name(target), request, made_up_costs(model)}).plan;
      for (const PlannedGroup& group : plan.groups)
        EXPECT_EQ(group.codec->has_codes(), group.name.find("experts") == std::string::npos && group.name != "lm_head")
            << group.name;
    }
  EXPECT_NE(plan_error(tiny("llama4_text"), "transformers", request).find("beside quantized layers"),
            std::string::npos);
}

TEST(Planner, MatricesThatVllmFusesHaveShapesThatItsKernelsTake) {
  const model::Model model = tiny("deepseek_v2_q_lora");  // its q_a and kv_a are 48 rows together
  const model::Architecture& a = model.architecture();
  const model::FusionGroup& fused = a.groups[a.linear(0, model::Role::q_a).group];
  ASSERT_EQ(fused.linears.size(), 2u);
  const std::string why = why_not_group(target_by_name("vllm:cpu"), codec::by_name("int4_g32"), a, fused, 1);
  EXPECT_NE(why.find("multiples of 32, not 48 rows"), why.npos) << why;
  EXPECT_EQ(why_not_group(target_by_name("vllm:cpu"), codec::by_name("int8_w8a8"), a, fused, 1), "");
  EXPECT_EQ(why_not_group(target_by_name("vllm"), codec::by_name("int4_g32"), a, fused, 1), "");
  const model::Model gemma = tiny("gemma4_text_moe");  // q of 64 rows, and k of 16 in its place and in that of v
  const model::Architecture& g4 = gemma.architecture();
  const model::FusionGroup& k_is_v = g4.groups[g4.linear(1, model::Role::q).group];
  EXPECT_EQ(why_not_group(target_by_name("vllm:cpu"), codec::by_name("int4_g32"), g4, k_is_v, 1), "");
  PlanRequest request;
  request.preset = "uniform:int4_g32";
  const auto made = make_plan({model, target_by_name("vllm:cpu"), request, made_up_costs(model)});
  const std::size_t g = a.linear(0, model::Role::q_a).group;
  EXPECT_FALSE(made.plan.groups[g].codec->has_codes());
  EXPECT_NE(fmt::format("{}", fmt::join(made.notes, "\n")).find(fused.name + " stays in bf16"), std::string::npos);
  request.assign = {{"q_a_proj", "int4_g32"}};
  EXPECT_NE(plan_error(model, "vllm:cpu", request).find("multiples of 32"), std::string::npos);
}

TEST(Planner, PlansForPartsKeepToShapesThatPartsCanHold) {
  const model::Model model = tiny();  // down has 64 columns
  PlanRequest request;
  request.preset = "uniform:int4_g64";
  const auto down = [&] {
    const auto made = make_plan({model, target_by_name("vllm"), request, made_up_costs(model)});
    return made.plan.groups[model.architecture().linear(0, model::Role::down).group].codec->name;
  };
  EXPECT_EQ(down(), "int4_g64");
  request.parts = 2;
  EXPECT_EQ(down(), "keep");
  request.assign = {{"down_proj", "int4_g64"}};
  EXPECT_NE(plan_error(model, "vllm", request).find("groups of 64 do not divide 32 of the 64 columns"),
            std::string::npos)
      << plan_error(model, "vllm", request);
  request.assign.clear();
  request.parts = 3;
  EXPECT_NE(plan_error(model, "vllm", request).find("heads of attention"), std::string::npos);
  request.parts = 2;
  EXPECT_NE(plan_error(model, "transformers", request).find("--tp 2: transformers does not cut"), std::string::npos);
}

TEST(Planner, SaysTheLeastVersionOfTheRuntime) {
  const model::Model model = tiny("qwen3_moe");
  PlanRequest request;
  request.preset = "uniform:int4_g32";
  const auto version = [&] {
    return make_plan({model, target_by_name("vllm"), request, made_up_costs(model)}).least_version;
  };
  EXPECT_EQ(version(), "vLLM 0.24");
  request.assign = {{"self_attn", "int3_g32"}};
  EXPECT_EQ(version(), "vLLM 0.25");
  request.assign = {{"\\.experts\\.", "int3_g32"}};
  EXPECT_EQ(version(), "vLLM 0.29");
}

TEST(Layout, ExpertsAreOneTargetABlockAndRoutersAreIgnored) {
  const model::Model model = tiny("qwen2_moe");
  PlanRequest request;
  request.preset = "uniform:int4_g32";
  request.assign = {{"layers.1.mlp.experts", "keep"}};
  const Plan plan = make_plan({model, target_by_name("vllm"), request, made_up_costs(model)}).plan;
  const SafetensorsFolder output(model, codecs_by_linear(plan, model.architecture()), format::Activations::dynamic, 0);
  const json config = json::parse(output.config())["quantization_config"];
  const json& targets = config["config_groups"]["group_000"]["targets"];
  EXPECT_EQ(std::count(targets.begin(), targets.end(), "re:model\\.layers\\.0\\.mlp\\.experts\\..*"), 1);
  // By name attention and the shared experts' gate and up (down has 48 columns), by pattern block 0's experts.
  EXPECT_EQ(targets.size(), 2u * 4 + 2u * 2 + 1);
  const std::vector<std::string> ignored = config["ignore"];
  for (const char* name : {"model.layers.0.mlp.gate", "model.layers.1.mlp.shared_expert_gate",
                           "re:model\\.layers\\.1\\.mlp\\.experts\\..*"})
    EXPECT_NE(std::find(ignored.begin(), ignored.end(), name), ignored.end()) << name;
}

}  // namespace planner_test
}  // namespace strata::pipeline
