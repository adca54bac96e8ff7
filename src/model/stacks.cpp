// A stack follows from the block's linears; only its names and its orientation differ between files.
#include "model/stacks.h"

#include <array>
#include <span>

#include "model/tensors.h"

namespace strata::model {
namespace {

Stack stack_of(const Architecture& a, std::size_t block, const std::string& name, std::span<const Role> roles,
               bool transposed, bool bias) {
  const Experts& e = a.experts;
  const Linear& first = a.linear(block, roles.front(), 0);
  Stack stack{.name = name, .per_expert = roles.size(), .block = block, .rows = roles.size() * first.rows};
  stack.cols = bias ? 1 : first.cols;
  stack.bias = bias;
  stack.transposed = transposed && !bias;
  stack.interleaved = e.interleaved && roles.size() > 1;
  stack.shape = {e.count, stack.rows};
  if (!bias) stack.shape.insert(stack.shape.end() - (transposed ? 1 : 0), stack.cols);
  for (std::size_t i = 0; i < e.count; ++i)
    for (const Role role : roles) stack.parts.push_back(a.linear(block, role, i).module + (bias ? ".bias" : ".weight"));
  return stack;
}

}  // namespace

Stack turned_linear(const Linear& linear) {
  const std::string name = linear.module + ".weight";
  return {.name = name,
          .shape = {linear.cols, linear.rows},
          .parts = {name},
          .block = linear.block,
          .rows = linear.rows,
          .cols = linear.cols,
          .transposed = true};
}

StackNames own_stacks(const Architecture& a, std::size_t block) {
  const Experts& e = a.experts;
  const std::string module = mixture_prefix(a, block);
  return {module + std::string(e.gate_up_stack), module + std::string(e.down_stack), e.stacks_transposed};
}

std::vector<Stack> stacks_of(const Architecture& a, std::size_t block, const StackNames& names) {
  constexpr std::array<Role, 2> kGateUp = {Role::gate, Role::up};
  constexpr std::array<Role, 1> kDown = {Role::down};
  std::vector<Stack> stacks;
  for (const bool bias : {false, true}) {
    if (bias && !a.experts.bias) continue;
    const std::string ending = bias ? "_bias" : "";
    stacks.push_back(stack_of(a, block, names.gate_up + ending, kGateUp, names.transposed, bias));
    stacks.push_back(stack_of(a, block, names.down + ending, kDown, names.transposed, bias));
  }
  return stacks;
}

}  // namespace strata::model
