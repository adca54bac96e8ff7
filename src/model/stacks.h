// Tensors that hold the weights of all experts of a block: what they are called, and what lies in them in which order.
#pragma once
#include <string>
#include <vector>

#include "model/architecture.h"

namespace strata::model {

/// The two stacks of a block. The biases of a stack are named after it: + "_bias".
struct StackNames {
  std::string gate_up, down;
  bool transposed = false;  ///< they hold (experts, in, out)
};

/// A tensor that holds one linear of every expert of a block, or two, or their biases. Its planes are the experts.
struct Stack {
  std::string name;
  std::vector<std::uint64_t> shape = {};  ///< (experts, out, in), (experts, in, out), or (experts, out) of biases
  std::vector<std::string> parts = {};    ///< names of the experts' own tensors: all of the first expert, then the next
  std::size_t per_expert = 1;             ///< how many parts make a plane; they have equally many rows
  std::size_t block = 0;
  std::uint64_t rows = 0, cols = 0;  ///< of a plane before it is transposed; biases have one column
  bool bias = false;
  bool transposed = false;
  bool interleaved = false;  ///< the rows of an expert's parts take turns
};

/// A linear that the files hold as (in, out), as a stack of one plane without an extent of experts.
Stack turned_linear(const Linear& linear);

/// The stacks of a mixture block in the files of the family, where it has such (Experts::stacks).
StackNames own_stacks(const Architecture& architecture, std::size_t block);

/// The stacks of a mixture block under these names, biases included where the experts have any.
std::vector<Stack> stacks_of(const Architecture& architecture, std::size_t block, const StackNames& names);

}  // namespace strata::model
