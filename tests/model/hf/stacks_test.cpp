// Tests that experts in stacks, however they are turned and mixed, are the experts of the same model one by one.
// The stacks are made from golden models, whose experts lie one by one.
#include <gtest/gtest.h>

#include "core/hash.h"
#include "model/mixture_keys.h"
#include "support/error_of.h"
#include "support/tensor_folder.h"

namespace strata {
namespace stacks_test {

using model::Role;
using strata::fixtures::FileTensor;
using strata::fixtures::TensorFolder;
using strata::fixtures::values_of;

struct Layout {
  bool transposed = false, interleaved = false;
  std::string prefix{}, gate_up = "experts.gate_up_proj", down = "experts.down_proj";
};

/// Puts a matrix into a stack: row r becomes row (or column) first + r * step of plane `plane`.
void place(FileTensor& stack, std::size_t plane, const FileTensor& matrix, std::size_t first, std::size_t step,
           bool transposed) {
  const std::size_t rows = matrix.shape[0], cols = matrix.shape[1], wide = stack.shape[2];
  const std::size_t bytes = dtype_bytes(stack.dtype);
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < cols; ++c) {
      const std::size_t i = first + r * step;
      const std::size_t at = plane * stack.shape[1] * wide + (transposed ? c * wide + i : i * wide + c);
      std::memcpy(&stack.data[bytes * at], &matrix.data[bytes * (r * cols + c)], bytes);
    }
}

FileTensor empty_stack(DType type, std::size_t planes, std::size_t rows, std::size_t cols, bool transposed) {
  if (transposed) std::swap(rows, cols);
  return {type, {planes, rows, cols}, std::vector<std::byte>(dtype_bytes(type) * planes * rows * cols)};
}

void stack_experts(TensorFolder& folder, const model::Architecture& a, const Layout& layout) {
  const std::size_t size = a.experts.intermediate;
  for (std::size_t b = 0; b < a.blocks; ++b) {
    if (!a.layout[b].mixture) continue;
    const DType type = folder.tensors.at(a.linear(b, Role::gate, 0).module + ".weight").dtype;
    FileTensor both = empty_stack(type, a.experts.count, 2 * size, a.hidden, layout.transposed);
    FileTensor down = empty_stack(type, a.experts.count, a.hidden, size, layout.transposed);
    const std::size_t step = layout.interleaved ? 2 : 1, up = layout.interleaved ? 1 : size;
    for (std::size_t e = 0; e < a.experts.count; ++e) {
      const auto take = [&](Role role) { return folder.take(a.linear(b, role, e).module + ".weight"); };
      place(both, e, take(Role::gate), 0, step, layout.transposed);
      place(both, e, take(Role::up), up, step, layout.transposed);
      place(down, e, take(Role::down), 0, 1, layout.transposed);
    }
    const std::string own = a.names.block(b) + std::string(a.experts.module) + ".";
    const std::string prefix = layout.prefix.empty() ? own : a.names.block(b) + layout.prefix;
    folder.tensors[prefix + layout.gate_up] = std::move(both);
    folder.tensors[prefix + layout.down] = std::move(down);
    if (prefix != own) folder.tensors[prefix + "gate.weight"] = folder.take(own + "gate.weight");
  }
}

void expect_same_tensors(const model::Model& stacked, const model::Model& plain) {
  const std::vector<model::TensorInfo> expected = plain.tensors();
  const std::vector<model::TensorInfo> found = stacked.tensors();
  EXPECT_EQ(found.size(), expected.size());
  std::uint64_t bytes = 0, expected_bytes = 0;
  for (const model::TensorInfo& tensor : found) bytes += tensor.bytes;
  for (const model::TensorInfo& tensor : expected) {
    expected_bytes += tensor.bytes;
    ASSERT_TRUE(stacked.has(tensor.name)) << tensor.name;
    if (tensor.shape.size() == 1) {
      EXPECT_EQ(stacked.vector(tensor.name, tensor.shape[0]), plain.vector(tensor.name, tensor.shape[0]));
      continue;
    }
    EXPECT_EQ(values_of(stacked.matrix(tensor.name, tensor.shape[0], tensor.shape[1])),
              values_of(plain.matrix(tensor.name, tensor.shape[0], tensor.shape[1])))
        << tensor.name;
    stacked.will_need(tensor.name);
    stacked.release(tensor.name);
  }
  EXPECT_EQ(bytes, expected_bytes);
}

TEST(Stacks, OfEveryFamilyInBothOrientationsAreTheExpertsOneByOne) {
  for (const char* name : {"qwen3_moe", "qwen3_moe_sparse", "qwen2_moe", "olmoe", "glm4_moe", "mixtral"})
    for (const bool transposed : {false, true}) {
      SCOPED_TRACE(fmt::format("{} {}", name, transposed));
      const TensorFolder plain(name);
      const model::Model original = plain.open();
      TensorFolder folder(name);
      stack_experts(folder, original.architecture(), {.transposed = transposed});
      expect_same_tensors(folder.open(), original);
    }
}

TEST(Stacks, OfMixtralAreFoundWhereTransformersHoldsThem) {
  const TensorFolder plain("mixtral");
  const model::Model original = plain.open();
  TensorFolder folder("mixtral");
  stack_experts(folder, original.architecture(), {.prefix = "mlp."});
  expect_same_tensors(folder.open(), original);
}

TEST(Stacks, AreFoundUnderTheNamesOfGranite) {
  const TensorFolder plain("mixtral");
  const model::Model original = plain.open();
  TensorFolder folder("mixtral");
  stack_experts(folder, original.architecture(), {.gate_up = "input_linear.weight", .down = "output_linear.weight"});
  for (std::size_t b = 0; b < original.architecture().blocks; ++b) {
    const std::string prefix = fmt::format("model.layers.{}.block_sparse_moe.", b);
    folder.tensors[prefix + "router.layer.weight"] = folder.take(prefix + "gate.weight");
  }
  expect_same_tensors(folder.open(), original);
}

TEST(Stacks, MayInterleaveGateAndUpWhereTheFamilyDoes) {
  for (const bool transposed : {false, true}) {
    const TensorFolder plain("qwen3_moe");
    const model::Model original = plain.open();
    TensorFolder folder("qwen3_moe");
    stack_experts(folder, original.architecture(), {.transposed = transposed, .interleaved = true});
    model::Mixture mixture = *model::find_family("qwen3_moe")->mixture;
    mixture.experts.interleaved = true;
    model::Family family = *model::find_family("qwen3_moe");
    family.mixture = &mixture;
    expect_same_tensors(model::Model::open(folder.write(), model::Fusion::fused, {&family, 1}), original);
  }
}

TEST(Stacks, OfAnotherShapeAreRefusedByName) {
  TensorFolder folder("qwen3_moe");
  stack_experts(folder, TensorFolder("qwen3_moe").open().architecture(), {});
  folder.tensors.at("model.layers.0.mlp.experts.down_proj").shape = {4, 64, 32};
  const std::string error = error_of([&] { folder.open(); });
  EXPECT_NE(error.find("experts.gate_up_proj has shape [8, 64, 32]"), std::string::npos) << error;
  EXPECT_NE(error.find("experts.down_proj [4, 64, 32]"), std::string::npos) << error;
}

}  // namespace stacks_test
}  // namespace strata
