// Tests that folders of MLX are read: linears, the embedding and a router in its quantizations, experts in stacks, and
// what is said of tensors that are none of these. Codes are random.
#include <gtest/gtest.h>

#include "core/hash.h"
#include "core/numbers.h"
#include "model/mlx/families.h"
#include "model/tensors.h"
#include "support/error_of.h"
#include "support/tensor_folder.h"

namespace strata {
namespace mlx_test {

using strata::fixtures::FileTensor;
using strata::fixtures::TensorFolder;
using strata::fixtures::values_of;

const std::string kModule = "model.layers.0.mlp.up_proj";
constexpr std::size_t kRows = 64, kCols = 32;  // of that linear in llama_tied

/// Numbers of a type that any holds exactly where `exact`.
FileTensor numbers(DType type, const std::vector<std::uint64_t>& shape, bool exact) {
  FileTensor tensor{type, shape, {}};
  std::size_t count = 1;
  for (const std::uint64_t extent : shape) count *= extent;
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = (exact ? 0.25f : 0.1f) * static_cast<float>(1 + i % 7);
  tensor.data.resize(count * dtype_bytes(type));
  narrow_row(values, type, tensor.data.data());
  return tensor;
}

/// Puts codes of MLX in place of a weight (rows, cols), or of `planes` of them in a stack.
void quantize(TensorFolder& folder, const std::string& module, std::uint64_t planes, std::uint64_t rows,
              std::uint64_t cols, unsigned bits, std::uint64_t group, DType type = DType::bf16, bool exact = true) {
  std::vector<std::uint64_t> outer = {rows};
  if (planes != 0) outer.insert(outer.begin(), planes);
  auto codes = outer, groups = outer;
  codes.push_back(4 * cols * bits / 32);
  groups.push_back(cols / group);
  FileTensor& words = folder.add_bytes(module + ".weight", DType::u32, codes);
  words.shape.back() /= 4;
  folder.tensors[module + ".scales"] = numbers(type, groups, exact);
  folder.tensors[module + ".biases"] = numbers(type, groups, exact);
  folder.config["quantization"] = {{"group_size", group}, {"bits", bits}, {"mode", "affine"}};
  folder.config["quantization_config"] = folder.config["quantization"];
}

/// code * scale + bias of the first plane.
std::vector<float> expected(const TensorFolder& folder, const std::string& module, std::size_t rows, std::size_t cols,
                            unsigned bits, std::size_t group, std::size_t plane = 0) {
  const FileTensor& codes = folder.tensors.at(module + ".weight");
  const FileTensor &scales = folder.tensors.at(module + ".scales"), &biases = folder.tensors.at(module + ".biases");
  const auto number = [](const FileTensor& tensor, std::size_t i) {
    float value = 0;
    read_row(MatrixView::dense(tensor.data.data() + i * dtype_bytes(tensor.dtype), 1, 1, tensor.dtype), 0, 0, 1,
             &value);
    return value;
  };
  std::vector<float> values;
  for (std::size_t r = plane * rows; r < (plane + 1) * rows; ++r)
    for (std::size_t c = 0; c < cols; ++c) {
      unsigned code = 0;
      for (unsigned b = 0; b < bits; ++b) {
        const std::size_t at = (r * cols + c) * bits + b;
        code |= (static_cast<unsigned>(codes.data[at / 8]) >> at % 8 & 1u) << b;
      }
      const std::size_t g = r * (cols / group) + c / group;
      values.push_back(static_cast<float>(code) * number(scales, g) + number(biases, g));
    }
  return values;
}

model::Linear linear_of(const model::Model& model, const std::string& module) {
  for (const model::Linear& linear : model.architecture().linears)
    if (linear.module == module) return linear;
  throw std::runtime_error(module);
}

TEST(MlxSource, LinearsOfEveryWidthAreReadInTheirCodec) {
  for (const unsigned bits : {2u, 3u, 4u, 5u, 6u, 8u}) {
    TensorFolder folder("llama_tied");
    quantize(folder, kModule, 0, kRows, kCols, bits, 32);
    const model::Model model = folder.open();
    const model::Linear linear = linear_of(model, kModule);
    const auto want = expected(folder, kModule, kRows, kCols, bits, 32);
    EXPECT_EQ(values_of(model.weights(linear)), want) << bits;
    const model::LinearWeights packed = model.packed(linear);
    ASSERT_NE(packed.view().stored, nullptr);
    EXPECT_EQ(packed.view().stored->codec->name, fmt::format("mlx{}_g32", bits));
    EXPECT_EQ(values_of(packed), want) << bits;
    EXPECT_EQ(model.low_bit_types(), fmt::format("mlx{}_g32", bits));
    EXPECT_FALSE(model.config().contains("quantization") || model.config().contains("quantization_config"));
    EXPECT_EQ(model.stored_bytes(linear),
              codec::stored_bytes(codec::by_name(fmt::format("mlx{}_g32", bits)), kRows, kCols));
  }
}

TEST(MlxSource, ScalesOfOtherTypesAreReadAsDense) {
  for (const DType type : {DType::f16, DType::f32}) {
    TensorFolder folder("llama_tied");
    quantize(folder, kModule, 0, kRows, kCols, 4, 32, type, false);
    const model::Model model = folder.open();
    EXPECT_EQ(values_of(model.packed(linear_of(model, kModule))), expected(folder, kModule, kRows, kCols, 4, 32));
    EXPECT_EQ(model.copied_bytes(linear_of(model, kModule)), kRows * kCols * sizeof(float));
  }
}

TEST(MlxSource, TheEmbeddingAndRoutersAreRead) {
  TensorFolder folder("qwen3_moe");
  const model::Architecture a = folder.open().architecture();
  quantize(folder, "model.embed_tokens", 0, a.vocab, a.hidden, 6, 32);
  std::size_t mixture = 0;
  while (!a.layout[mixture].mixture) ++mixture;
  const std::string router = model::router_name(a, mixture), module = router.substr(0, router.rfind('.'));
  quantize(folder, module, 0, a.experts.count, a.hidden, 8, 32);
  const model::Model model = folder.open();
  EXPECT_EQ(values_of(model.embedding()), expected(folder, "model.embed_tokens", a.vocab, a.hidden, 6, 32));
  EXPECT_EQ(values_of(model.packed_embedding()), values_of(model.embedding()));
  EXPECT_EQ(values_of(model.matrix(router, a.experts.count, a.hidden)),
            expected(folder, module, a.experts.count, a.hidden, 8, 32));
}

TEST(MlxSource, ExpertsInStacksAreReadOneByOne) {
  TensorFolder folder("qwen3_moe");
  const model::Model before = folder.open();
  const model::Architecture& a = before.architecture();
  std::map<std::string, std::vector<float>> want;
  for (std::size_t b = 0; b < a.blocks; ++b) {
    if (!a.layout[b].mixture) continue;
    for (const model::MlxStack& stack : model::mlx_stacks(a, b)) {
      const model::Linear& first = a.linears[stack.linears.front()];
      const bool dense = first.role == model::Role::down;
      FileTensor planes{DType::bf16, {a.experts.count, first.rows, first.cols}, {}};
      for (const std::size_t l : stack.linears) {
        if (dense) want[a.linears[l].module] = values_of(before.weights(a.linears[l]));
        const FileTensor expert = folder.take(a.linears[l].module + ".weight");
        planes.data.insert(planes.data.end(), expert.data.begin(), expert.data.end());
      }
      if (dense) {
        folder.tensors[stack.module + ".weight"] = planes;
        continue;
      }
      quantize(folder, stack.module, a.experts.count, first.rows, first.cols, 3, 32);
      for (std::size_t e = 0; e < a.experts.count; ++e)
        want[a.linears[stack.linears[e]].module] = expected(folder, stack.module, first.rows, first.cols, 3, 32, e);
    }
  }
  TensorFolder changed("qwen3_moe");
  changed.tensors = folder.tensors;
  changed.config = folder.config;
  const model::Model model = changed.open();
  for (const auto& [module, values] : want)
    EXPECT_EQ(values_of(model.weights(linear_of(model, module))), values) << module;
  EXPECT_EQ(model.carried().size(), 0u);
}

TEST(MlxSource, TensorsThatAreNoQuantizationOfMlxAreNamed) {
  const auto error = [](const std::function<void(TensorFolder&)>& spoil) {
    TensorFolder folder("llama_tied");
    quantize(folder, kModule, 0, kRows, kCols, 4, 32);
    spoil(folder);
    return error_of([&] { folder.open(); });
  };
  EXPECT_EQ(error([](TensorFolder&) {}), "");
  const auto shape = error([](TensorFolder& f) {
    f.add_bytes(kModule + ".weight", DType::u32, {kRows, 7 * 4}).shape.back() = 7;
  });
  EXPECT_NE(shape.find(kModule + ".weight is U32 of shape [64, 7]; with 1 scales a row for 32 columns"),
            std::string::npos)
      << shape;
  const auto rows = error([](TensorFolder& f) {
    f.tensors[kModule + ".scales"] = numbers(DType::bf16, {kRows - 1, 1}, true);
  });
  EXPECT_NE(rows.find(kModule + ".scales is BF16 of shape [63, 1]; config.json asks for [64, ...]"), std::string::npos)
      << rows;
  const auto type = error([](TensorFolder& f) { f.add_bytes(kModule + ".scales", DType::u8, {kRows, 1}); });
  EXPECT_NE(type.find(kModule + ".scales is U8"), std::string::npos) << type;
  const auto unlike = error([](TensorFolder& f) {
    f.tensors[kModule + ".biases"] = numbers(DType::f16, {kRows, 1}, true);
  });
  EXPECT_NE(unlike.find("scales and biases must be alike"), std::string::npos) << unlike;
  const auto none = error([](TensorFolder& f) { f.tensors.erase(kModule + ".scales"); });
  EXPECT_NE(none.find(kModule), std::string::npos) << none;
}

}  // namespace mlx_test
}  // namespace strata
