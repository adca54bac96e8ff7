// A folder that is written without codes in its experts holds them as the source does: in the same stacks.
#include "pipeline/output/stacked_experts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>

#include "core/file.h"
#include "core/hash.h"
#include "pipeline/output/linear_encoder.h"
#include "pipeline/output/output.h"
#include "support/error_of.h"
#include "support/golden_model.h"
#include "support/tensor_folder.h"

namespace strata::pipeline {
namespace stacked_experts_test {

using ::strata::fixtures::TensorFolder;
using ::strata::fixtures::values_of;

/// Everything kept, or all linears that are no routed experts in `others`.
Codecs codecs_of(const model::Architecture& a, const char* others) {
  Codecs codecs;
  for (const model::Linear& linear : a.linears)
    codecs.push_back(&codec::by_name(linear.routed() || linear.role == model::Role::lm_head ? "keep" : others));
  return codecs;
}

void write(const model::Model& model, const Codecs& codecs, const std::filesystem::path& path) {
  LinearEncoder encoder(model, codecs);
  plan_output(model, codecs, target_by_name("vllm"), 9000)->write_whole(encoder, path, false);
}

std::size_t stacks_in(const format::SafetensorsSet& files) {
  return static_cast<std::size_t>(std::ranges::count_if(files.tensors(), [](const auto& item) {
    return item.first.ends_with("experts.gate_up_proj") || item.first.ends_with("experts.down_proj");
  }));
}

/// Compares the tensors of routed experts, biases included, byte for byte.
void expect_same_experts(const format::SafetensorsSet& written, const format::SafetensorsSet& source) {
  const auto count_in = [](const format::SafetensorsSet& files) {
    return std::ranges::count_if(files.tensors(),
                                 [](const auto& t) { return t.first.find(".experts.") != std::string::npos; });
  };
  EXPECT_EQ(count_in(written), count_in(source));
  for (const auto& [name, tensor] : source.tensors()) {
    if (name.find(".experts.") == name.npos) continue;
    const format::TensorView* found = written.find(name);
    ASSERT_NE(found, nullptr) << name;
    EXPECT_EQ(found->dtype, tensor.dtype) << name;
    EXPECT_EQ(found->shape, tensor.shape) << name;
    EXPECT_TRUE(std::ranges::equal(found->data, tensor.data)) << name;
  }
}

void expect_same_linears(const model::Model& model, const model::Model& source) {
  for (const model::Linear& linear : source.architecture().linears) {
    EXPECT_EQ(values_of(model.weights(linear)), values_of(source.weights(linear))) << linear.module;
    const std::string bias = linear.module + ".bias";
    if (!linear.bias) continue;
    EXPECT_EQ(model.vector(bias, linear.rows), source.vector(bias, linear.rows)) << bias;
  }
}

TEST(StackedExperts, OfADenseFolderAreThoseOfItsSource) {
  for (const char* name : {"gpt_oss", "qwen3_vl_moe", "llama4", "llama4_text_step2", "mixtral_packed", "olmoe_packed",
                           "qwen2_moe_packed", "qwen3_moe_packed", "glm4_moe_packed"}) {
    SCOPED_TRACE(name);
    const model::Model source = model::Model::open(golden_model(name));
    const TemporaryFolder folder;
    write(source, codecs_of(source.architecture(), "keep"), folder.path() / "out");
    const auto written = format::SafetensorsSet::open_directory(folder.path() / "out");
    EXPECT_GT(stacks_in(written), 0u);
    expect_same_experts(written, format::SafetensorsSet::open_directory(golden_model(name)));
    expect_same_linears(model::Model::open(folder.path() / "out"), source);
  }
}

TEST(StackedExperts, AreThoseOfTheSourceBesideCodesWhereTheFamilyHasNothingElse) {
  for (const char* name : {"gpt_oss", "qwen3_vl_moe", "llama4_text", "qwen3_moe_packed"}) {
    SCOPED_TRACE(name);
    const model::Model source = model::Model::open(golden_model(name));
    const TemporaryFolder folder;
    const Codecs codecs = codecs_of(source.architecture(), "int8_channel");
    write(source, codecs, folder.path() / "out");
    const auto written = format::SafetensorsSet::open_directory(folder.path() / "out");
    const bool always = source.architecture().experts.stacks == model::Experts::Stacks::always;
    EXPECT_EQ(stacks_in(written) > 0, always);
    EXPECT_EQ(stacks_experts(source, codecs), always);
    if (always) expect_same_experts(written, format::SafetensorsSet::open_directory(golden_model(name)));
    EXPECT_NO_THROW(model::Model::open(folder.path() / "out"));
  }
}

TEST(StackedExperts, AreOneByOneWhereSomeOfThemHaveCodes) {
  const model::Model source = model::Model::open(golden_model("qwen3_vl_moe"));
  const model::Architecture& a = source.architecture();
  Codecs codecs = codecs_of(a, "keep");
  for (const std::size_t l : a.groups[a.linear(1, model::Role::gate, 0).group].linears)
    codecs[l] = &codec::by_name("int8_channel");
  const TemporaryFolder folder;
  write(source, codecs, folder.path() / "out");
  EXPECT_EQ(stacks_in(format::SafetensorsSet::open_directory(folder.path() / "out")), 0u);
}

TEST(StackedExperts, InMxfp4BecomeDenseAsTheFamilyHoldsThem) {
  const model::Model source = model::Model::open(golden_model("gpt_oss_mxfp4"));
  const model::Architecture& a = source.architecture();
  const TemporaryFolder folder;
  write(source, codecs_of(a, "keep"), folder.path() / "out");
  const auto written = format::SafetensorsSet::open_directory(folder.path() / "out");
  const format::TensorView* stack = written.find("model.layers.1.mlp.experts.gate_up_proj");
  ASSERT_NE(stack, nullptr);
  EXPECT_EQ(stack->shape, (std::vector<std::uint64_t>{a.experts.count, a.hidden, 2 * a.experts.intermediate}));
  EXPECT_EQ(written.find("model.layers.1.mlp.experts.gate_up_proj_blocks"), nullptr);
  expect_same_linears(model::Model::open(folder.path() / "out"), source);
}

TEST(StackedExperts, OfASourceThatHasThemOneByOneAreStackedWhereTheFamilyDoes) {
  TensorFolder one_by_one("qwen3_vl_moe");
  const model::Model source = model::Model::open(golden_model("qwen3_vl_moe"));
  for (const model::Stack& stack : source.stacks()) {
    one_by_one.tensors.erase(stack.name);
    for (const std::string& part : stack.parts) {
      const std::size_t rows = stack.rows / stack.per_expert;
      const std::vector<float> values = values_of(source.matrix(part, rows, stack.cols));
      std::vector<std::byte> bytes(values.size() * dtype_bytes(DType::bf16));
      narrow_row(values, DType::bf16, bytes.data());
      one_by_one.tensors[part] = {DType::bf16, {rows, stack.cols}, std::move(bytes)};
    }
  }
  const model::Model model = one_by_one.open();
  const TemporaryFolder folder;
  write(model, codecs_of(model.architecture(), "keep"), folder.path() / "out");
  expect_same_experts(format::SafetensorsSet::open_directory(folder.path() / "out"),
                      format::SafetensorsSet::open_directory(golden_model("qwen3_vl_moe")));
}

TEST(StackedExperts, ThatAreDamagedAreNamed) {
  TensorFolder folder("gpt_oss");
  const std::uint16_t nan = 0x7FC0;
  std::memcpy(folder.tensors.at("model.layers.1.mlp.experts.down_proj").data.data() + 2 * 32 * 32, &nan, sizeof nan);
  const model::Model model = folder.open();
  const TemporaryFolder out;
  const std::string error =
      error_of([&] { write(model, codecs_of(model.architecture(), "keep"), out.path() / "out"); });
  EXPECT_NE(error.find("model.layers.1.mlp.experts.down_proj, expert 1: weight [0, 0]"), error.npos) << error;
}

}  // namespace stacked_experts_test
}  // namespace strata::pipeline
