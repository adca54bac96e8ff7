// llama.cpp looks up the rows of the embedding on the CPU; where it is lm_head too, the GPU has a copy of it. Matrices
// in main memory are multiplied on the CPU, but by 32 tokens and more on the GPU, for which each is copied there in
// turn.
#include "pipeline/choose/two_memories.h"

#include <algorithm>

#include "pipeline/choose/presets.h"
#include "pipeline/choose/runtime_memory.h"

namespace strata::pipeline {
namespace {

bool routed(const model::Architecture& a, const model::FusionGroup& group) {
  return a.linears[group.linears.front()].routed();
}

/// Bytes of the largest stack of experts.
std::uint64_t largest_stack(const Assignment& plan, const model::Architecture& a) {
  std::uint64_t largest = 0;
  for (std::size_t g = 0; g < plan.size(); ++g)
    if (routed(a, a.groups[g])) largest = std::max(largest, bytes_of(g, *plan[g], a));
  return largest;
}

}  // namespace

const MemoryBudget* two_memories(const PlanRequest& request) {
  const auto* memory = std::get_if<MemoryBudget>(&request.budget);
  return memory != nullptr && memory->expert_bytes != 0 ? memory : nullptr;
}

void check_two_memories(const Problem& problem) {
  if (two_memories(problem.request()) == nullptr) return;
  if (problem.target().container != codec::Container::gguf)
    fail_usage("--fit-experts: {} holds a model in one memory; it needs --for llama.cpp", problem.target().name);
  if (problem.architecture().experts.count == 0)
    fail("--fit-experts: {} has no experts that could lie in main memory; give --fit alone",
         problem.model().path().string());
  if (preset_named(problem.request().preset).needs == Needs::block_signals)
    fail_usage("--fit-experts needs preset best, prior or uniform:CODEC: {} plans whole blocks, experts included",
               problem.request().preset);
}

bool in_main_memory(const model::Architecture& a, const model::FusionGroup& group) {
  return routed(a, group) || (!a.tied && a.linears[group.linears.front()].role == model::Role::embed);
}

std::uint64_t bytes_in_main_memory(const Assignment& plan, const model::Architecture& a) {
  std::uint64_t sum = 0;
  for (std::size_t g = 0; g < plan.size(); ++g)
    if (in_main_memory(a, a.groups[g])) sum += bytes_of(g, *plan[g], a);
  return sum;
}

std::uint64_t main_memory_beside(const model::Architecture& a) {
  return kRuntimeOnCpu + (a.tied ? a.vocab * a.hidden * 2 : 0);
}

std::uint64_t weight_memory(const Problem& problem, const Assignment& plan, std::uint64_t output_bytes) {
  if (two_memories(problem.request()) == nullptr) return output_bytes;
  const model::Architecture& a = problem.architecture();
  return output_bytes - bytes_in_main_memory(plan, a) + largest_stack(plan, a);
}

std::string llama_server_command(const MemoryBudget& budget, const std::string& model) {
  // -c counts the tokens of all sequences together; 999 layers are all.
  return fmt::format("llama-server -m {} -ngl 999 --override-tensor exps=CPU -c {} -np {}", model,
                     budget.context * budget.batch, budget.batch);
}

}  // namespace strata::pipeline
