// Plans of a mixture whose experts lie in main memory and the rest on a GPU: neither memory is exceeded, the experts'
// codecs do not depend on the GPU, and what cannot be is said by the option that it is about.
#include "pipeline/choose/two_memories.h"

#include <gtest/gtest.h>

#include <vector>

#include "pipeline/choose/runtime_memory.h"
#include "pipeline/choose/tiny_plans.h"
#include "pipeline/output/output.h"

namespace strata::pipeline {
namespace two_memories_test {

using ::strata::fixtures::error_of;

const Target& llama() { return target_by_name("llama.cpp"); }

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

struct Case {
  const char* golden;
  std::vector<double> bits;  ///< of plans that are possible
};

/// A mixture, and the two memories that a plan of so many bits takes to the byte.
class TwoMemories : public ::testing::TestWithParam<Case> {
 protected:
  const model::Model& model() const { return *tiny_; }
  const model::Architecture& a() const { return model().architecture(); }

  PlanRequest request(double bits) const {
    PlanRequest request;
    request.budget = BitsBudget{bits};
    const Plan plan = make_plan({model(), llama(), request, made_up_costs(model())}).plan;
    MemoryBudget memory{1, 128, 2, 1};
    request.budget = memory;
    const Problem problem(model(), llama(), request, {});
    const std::uint64_t output = plan_output(model(), codecs_by_linear(plan, a()), llama(), 0)->bytes();
    memory.bytes =
        weight_memory(problem, assignment_of(plan), output) + memory_beside_weights(a(), llama(), memory).total();
    memory.expert_bytes = bytes_in_main_memory(assignment_of(plan), a()) + main_memory_beside(a());
    request.budget = memory;
    return request;
  }
  PlanResult planned(const PlanRequest& request) const {
    return make_plan({model(), llama(), request, made_up_costs(model())});
  }
  std::string refused(const PlanRequest& request) const {
    return error_of([&] { planned(request); });
  }

 private:
  TinyForGguf tiny_{GetParam().golden};
};

TEST_P(TwoMemories, NeitherIsExceeded) {
  for (const double bits : GetParam().bits) {
    const PlanRequest request = this->request(bits);
    const auto& memory = std::get<MemoryBudget>(request.budget);
    const PlanResult result = planned(request);
    const Assignment plan = assignment_of(result.plan);
    EXPECT_LE(bytes_in_main_memory(plan, a()) + main_memory_beside(a()), memory.expert_bytes);
    EXPECT_LE(weight_memory({model(), llama(), request, {}}, plan, result.output_bytes) +
                  memory_beside_weights(a(), llama(), memory).total(),
              memory.bytes);
    EXPECT_TRUE(std::ranges::any_of(result.notes, [](const std::string& note) {
      return holds(note, "llama-server -m FILE.gguf -ngl 999 --override-tensor exps=CPU -c 256 -np 2");
    }));
    check_request(model(), llama(), request);
  }
}

TEST_P(TwoMemories, TheExpertsDoNotDependOnTheGpu) {
  const PlanRequest tight = request(GetParam().bits.front());
  PlanRequest more_main = tight, more_gpu = tight;
  std::get<MemoryBudget>(more_main.budget).expert_bytes *= 2;
  std::get<MemoryBudget>(more_main.budget).bytes += 1 << 20;  // a copy of a larger stack
  std::get<MemoryBudget>(more_gpu.budget).bytes *= 2;
  const Plan plan = planned(tight).plan, main = planned(more_main).plan, gpu = planned(more_gpu).plan;
  const std::uint64_t experts = bytes_in_main_memory(assignment_of(plan), a());
  EXPECT_GT(bytes_in_main_memory(assignment_of(main), a()), experts);
  EXPECT_GT(gpu.bytes(), plan.bytes());
  for (std::size_t g = 0; g < plan.groups.size(); ++g)
    if (in_main_memory(a(), a().groups[g])) {
      EXPECT_EQ(gpu.groups[g].codec, plan.groups[g].codec) << plan.groups[g].name;
    }
  EXPECT_LE(main.cost(), plan.cost());
}

TEST_P(TwoMemories, WhatDoesNotFitIsSaidByItsOption) {
  const PlanRequest fits = request(GetParam().bits.front());
  const auto number_after = [](const std::string& text, const std::string& words) {
    const std::size_t at = text.find(words);
    return at == std::string::npos ? 0ull : std::stoull(text.substr(at + words.size()));
  };
  for (std::uint64_t MemoryBudget::*member : {&MemoryBudget::bytes, &MemoryBudget::expert_bytes}) {
    const bool experts = member == &MemoryBudget::expert_bytes;
    PlanRequest request = fits;
    std::uint64_t& bytes = std::get<MemoryBudget>(request.budget).*member;
    // The smallest plan of this memory, which the sentence names; the other memory stays as it is.
    bytes = experts ? main_memory_beside(a()) + 1000
                    : memory_beside_weights(a(), llama(), std::get<MemoryBudget>(request.budget)).total() + 1000;
    std::string text = refused(request);
    EXPECT_TRUE(text.starts_with(experts ? "--fit-experts " : "--fit ")) << text;
    EXPECT_EQ(error_of([&] { check_request(model(), llama(), request); }).empty(), false);
    if (!experts && holds(text, "what is not quantized takes")) {
      bytes += 100000;
      text = refused(request);
    }
    for (int round = 0; round < 3 && !text.empty(); ++round) {
      const std::uint64_t enough = number_after(text, experts ? "give --fit-experts " : "give --fit ");
      ASSERT_GT(enough, bytes) << text;
      bytes = enough;
      text = refused(request);
    }
    EXPECT_EQ(text, "");
  }
}

TEST_P(TwoMemories, PriorAndUniformPlanThemToo) {
  PlanRequest request = this->request(16.0);
  request.preset = "prior";
  EXPECT_NO_THROW(make_plan({model(), llama(), request, {}}));
  request.preset = "uniform:q8_0";
  EXPECT_NO_THROW(make_plan({model(), llama(), request, {}}));
  std::get<MemoryBudget>(request.budget).expert_bytes -= bytes_in_main_memory(all_kept(a()), a()) / 4 * 3;
  EXPECT_TRUE(holds(error_of([&] { make_plan({model(), llama(), request, {}}); }), "--fit-experts"));
  request.preset = "lwq";
  EXPECT_TRUE(holds(refused(request), "needs preset best, prior or uniform:CODEC"));
}

/// Gemma's embedding is lm_head too, and the rows of its experts' down are too short for codes.
INSTANTIATE_TEST_SUITE_P(Mixtures, TwoMemories,
                         ::testing::Values(Case{"mixtral", {4.6, 6.0, 9.0}},
                                           Case{"gemma4_text_moe", {11.0, 12.0, 14.0}}),
                         [](const auto& golden) { return std::string(golden.param.golden); });

TEST(TwoMemoriesWithout, ExpertsOrGgufAreRefused) {
  PlanRequest request;
  request.budget = MemoryBudget{1ull << 40, 128, 1, 1ull << 40};
  const TinyForGguf dense;
  EXPECT_TRUE(holds(error_of([&] { make_plan({*dense, llama(), request, made_up_costs(*dense)}); }), "has no experts"));
  const model::Model mixture = tiny("mixtral");
  EXPECT_TRUE(holds(error_of([&] {
                      make_plan({mixture, target_by_name("vllm"), request, made_up_costs(mixture)});
                    }),
                    "it needs --for llama.cpp"));
}

}  // namespace two_memories_test
}  // namespace strata::pipeline
