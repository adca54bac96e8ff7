// What lies where when a mixture's experts are in main memory and the rest on a GPU (--fit-experts), as llama.cpp holds
// a model with `--override-tensor exps=CPU`. The formula is documented in docs/allocation.md.
#pragma once
#include <cstdint>
#include <string>

#include "pipeline/choose/problem.h"

namespace strata::pipeline {

/// The request's budget where it is one of two memories, else nullptr.
const MemoryBudget* two_memories(const PlanRequest& request);

/// Throws Error, or UsageError naming the options, for --fit-experts where nothing can lie in two memories: another
/// container than GGUF, a model without experts, a preset that does not plan both.
void check_two_memories(const Problem& problem);

/// Whether main memory holds a group: experts, and an embedding that is not lm_head too, whose rows are looked up
/// there.
bool in_main_memory(const model::Architecture& architecture, const model::FusionGroup& group);

/// Bytes of the linears of a plan that main memory holds.
std::uint64_t bytes_in_main_memory(const Assignment& plan, const model::Architecture& architecture);

/// Bytes of main memory that the linears in it cannot have: the runtime's, and those of an embedding that is lm_head
/// too, which is on the GPU and here, in 16 bits a weight.
std::uint64_t main_memory_beside(const model::Architecture& architecture);

/// What a plan takes of the memory that is left for weights: the whole output, of `output_bytes`; or with two memories
/// what of it lies on the GPU, and the copy of a stack of experts that a long prompt is multiplied by there.
std::uint64_t weight_memory(const Problem& problem, const Assignment& plan, std::uint64_t output_bytes);

/// The command that serves the GGUF file `model` so.
std::string llama_server_command(const MemoryBudget& budget, const std::string& model);

}  // namespace strata::pipeline
