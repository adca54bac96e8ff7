// Tests sources that other programs have quantized: the weights that are read, what is said of them, and that side
// tensors for activations and caches never stop reading. Codes and scales are random.
#include <gtest/gtest.h>

#include "core/hash.h"
#include "core/numbers.h"
#include "model/mixture_keys.h"
#include "support/error_of.h"
#include "support/tensor_folder.h"

namespace strata {
namespace quantized_test {

using strata::fixtures::FileTensor;
using strata::fixtures::TensorFolder;
using strata::fixtures::values_of;

const std::string kModule = "model.layers.0.mlp.up_proj";
constexpr std::size_t kRows = 64, kCols = 32;  // of that linear in llama_tied

std::vector<float> scales(std::size_t count) {
  std::vector<float> values(count);
  for (std::size_t i = 0; i < count; ++i) values[i] = 0.001f * static_cast<float>(i + 1);
  return values;
}

float e4m3(const FileTensor& tensor, std::size_t i) { return e4m3_to_float(static_cast<std::uint8_t>(tensor.data[i])); }

model::Linear linear_of(const model::Model& model, const std::string& module) {
  for (const model::Linear& linear : model.architecture().linears)
    if (linear.module == module) return linear;
  throw std::runtime_error(module);
}

/// FP8 codes without NaN in place of the module's weight.
FileTensor& make_fp8(TensorFolder& folder) {
  return folder.add_bytes(kModule + ".weight", DType::e4m3, {kRows, kCols}, 127);
}

TEST(QuantizedSource, Fp8InBlocksIsReadAsDense) {
  TensorFolder folder("llama_tied");
  const FileTensor codes = make_fp8(folder);
  const std::vector<float> scale = scales(4 * 2);  // the last blocks are narrower
  folder.config["quantization_config"] = {{"quant_method", "fp8"}, {"weight_block_size", {20, 24}}};
  folder.add_floats(kModule + ".weight_scale_inv", {4, 2}, scale);
  const model::Model model = folder.open();
  std::vector<float> expected;
  for (std::size_t i = 0; i < kRows * kCols; ++i)
    expected.push_back(e4m3(codes, i) * scale[i / kCols / 20 * 2 + i % kCols / 24]);
  EXPECT_EQ(values_of(model.weights(linear_of(model, kModule))), expected);
  EXPECT_EQ(values_of(model.packed(linear_of(model, kModule))), expected);
  EXPECT_EQ(model.low_bit_types(), "F8_E4M3 in blocks of 20 x 24");
  EXPECT_FALSE(model.config().contains("quantization_config"));
  EXPECT_EQ(model.stored_bytes(linear_of(model, kModule)), kRows * kCols + 4 * scale.size());
}

TEST(QuantizedSource, Fp8OfOneScaleOrOneARowIsReadAsDense) {
  for (const std::vector<std::uint64_t>& shape : {std::vector<std::uint64_t>{}, {1}, {kRows}, {kRows, 1}}) {
    TensorFolder folder("llama_tied");
    const FileTensor codes = make_fp8(folder);
    const bool rows = !shape.empty() && shape[0] == kRows;
    const std::vector<float> scale = scales(rows ? kRows : 1);
    folder.config["quantization_config"] = {{"quant_method", "modelopt"}, {"quant_algo", "FP8"}};
    folder.add_floats(kModule + ".weight_scale", shape, scale);
    folder.add_floats(kModule + ".input_scale", {}, {0.5f});
    const model::Model model = folder.open();
    std::vector<float> expected;
    for (std::size_t i = 0; i < kRows * kCols; ++i) expected.push_back(e4m3(codes, i) * scale[rows ? i / kCols : 0]);
    EXPECT_EQ(values_of(model.weights(linear_of(model, kModule))), expected);
    EXPECT_EQ(values_of(model.packed(linear_of(model, kModule))), expected);
    EXPECT_EQ(model.low_bit_types(), rows ? "F8_E4M3 with a scale a row" : "F8_E4M3 with one scale");
  }
}

TEST(QuantizedSource, Fp8WithScalesThatBf16HoldsIsKeptInItsCodec) {
  TensorFolder folder("llama_tied");
  make_fp8(folder);
  folder.config["quantization_config"] = {{"quant_method", "fbgemm_fp8"}};
  folder.add_floats(kModule + ".weight_scale", {kRows, 1}, std::vector<float>(kRows, 0.0078125f));
  const model::Model model = folder.open();
  const model::LinearWeights packed = model.packed(linear_of(model, kModule));
  ASSERT_NE(packed.view().stored, nullptr);
  EXPECT_EQ(packed.view().stored->codec->name, "fp8_channel");
  EXPECT_EQ(values_of(packed), values_of(model.weights(linear_of(model, kModule))));
}

TEST(QuantizedSource, Fp8InBlocksOf128ColumnsIsNotCopied) {
  constexpr std::size_t hidden = 32, wide = 256;
  TensorFolder folder("llama_tied");
  folder.config["intermediate_size"] = wide;
  folder.config["quantization_config"] = {{"quant_method", "fp8"}, {"weight_block_size", {16, 128}}};
  FileTensor codes;
  const std::vector<float> scale = scales(2 * 2);
  for (const std::string block : {"model.layers.0.mlp.", "model.layers.1.mlp."}) {
    for (const std::string name : {"gate_proj", "up_proj"})
      folder.add_floats(block + name + ".weight", {wide, hidden}, std::vector<float>(wide * hidden, 0.5f));
    codes = folder.add_bytes(block + "down_proj.weight", DType::e4m3, {hidden, wide}, 127);
    folder.add_floats(block + "down_proj.weight_scale_inv", {2, 2}, scale);
  }
  const model::Model model = folder.open();
  const model::Linear down = linear_of(model, "model.layers.1.mlp.down_proj");
  std::vector<float> expected;
  for (std::size_t i = 0; i < hidden * wide; ++i)
    expected.push_back(e4m3(codes, i) * scale[i / wide / 16 * 2 + i % wide / 128]);
  EXPECT_EQ(values_of(model.weights(down)), expected);
  const model::LinearWeights packed = model.packed(down);
  EXPECT_EQ(values_of(packed), expected);
  ASSERT_NE(packed.view().stored, nullptr);
  EXPECT_EQ(packed.view().stored->codec, &codec::fp8_groups());
  EXPECT_EQ(model.copied_bytes(down), 0u);
}

TEST(QuantizedSource, WhatIsDecodedToF32CountsAsACopy) {
  TensorFolder folder("llama_tied");
  make_fp8(folder);
  folder.add_floats(kModule + ".weight_scale_inv", {4, 2}, scales(4 * 2));
  folder.config["quantization_config"] = {{"quant_method", "fp8"}, {"weight_block_size", {20, 24}}};
  const model::Model model = folder.open();
  EXPECT_EQ(model.copied_bytes(linear_of(model, kModule)), kRows * kCols * sizeof(float));
  EXPECT_EQ(model.copied_bytes(linear_of(model, "model.layers.1.mlp.up_proj")), 0u);
}

TEST(QuantizedSource, CompressedTensorsMayHoldFp8InBlocks) {
  TensorFolder folder("llama_tied");
  const FileTensor codes = make_fp8(folder);
  folder.add_floats(kModule + ".weight_scale", {2, 1}, {0.5f, 2.0f});
  folder.config["quantization_config"] = {
      {"quant_method", "compressed-tensors"},
      {"format", "float-quantized"},
      {"config_groups",
       {{"group_0",
         {{"targets", {kModule}},
          {"weights", {{"num_bits", 8}, {"type", "float"}, {"strategy", "block"}, {"block_structure", {32, 32}}}}}}}}};
  const model::Model model = folder.open();
  EXPECT_EQ(values_of(model.weights(linear_of(model, kModule)))[40 * kCols], e4m3(codes, 40 * kCols) * 2.0f);
}

TEST(QuantizedSource, Nvfp4OfModelOptIsReadAsDense) {
  TensorFolder folder("llama_tied");
  const FileTensor codes = folder.add_bytes(kModule + ".weight", DType::u8, {kRows, kCols / 2});
  const FileTensor scale = folder.add_bytes(kModule + ".weight_scale", DType::e4m3, {kRows, kCols / 16}, 127);
  folder.add_floats(kModule + ".weight_scale_2", {}, {0.375f});
  const model::Model model = folder.open();  // the configuration lies in hf_quant_config.json, which is not needed
  std::vector<float> expected;
  for (std::size_t i = 0; i < kRows * kCols; ++i) {
    const auto code = static_cast<std::uint8_t>(static_cast<unsigned>(codes.data[i / 2]) >> (i % 2 * 4));
    expected.push_back(e2m1_to_float(code) * (e4m3(scale, i / 16) * 0.375f));
  }
  EXPECT_EQ(values_of(model.weights(linear_of(model, kModule))), expected);
  EXPECT_EQ(model.low_bit_types(), "NVFP4");
}

TEST(QuantizedSource, Mxfp4StacksOfGptOssAreReadAndKept) {
  constexpr std::size_t experts = 8, size = 32, hidden = 32;
  TensorFolder folder("qwen3_moe");
  const model::Architecture a = TensorFolder("qwen3_moe").open().architecture();
  std::map<std::string, FileTensor> codes, scale;
  for (std::size_t b = 0; b < a.blocks; ++b)
    for (const auto& [name, rows] : {std::pair{"gate_up_proj", 2 * size}, {"down_proj", hidden}}) {
      const std::string stack = fmt::format("model.layers.{}.mlp.experts.{}", b, name);
      codes[stack] = folder.add_bytes(stack + "_blocks", DType::u8, {experts, rows, 1, 16});
      scale[stack] = folder.add_bytes(stack + "_scales", DType::u8, {experts, rows, 1}, 130);
    }
  for (const model::Linear& linear : a.linears)
    if (linear.routed()) folder.tensors.erase(linear.module + ".weight");
  folder.config["quantization_config"] = {{"quant_method", "mxfp4"}};
  model::Mixture mixture = *model::find_family("qwen3_moe")->mixture;
  mixture.experts.interleaved = true;
  model::Family family = *model::find_family("qwen3_moe");
  family.mixture = &mixture;
  const model::Model model = model::Model::open(folder.write(), model::Fusion::fused, {&family, 1});
  EXPECT_EQ(model.low_bit_types(), "MXFP4");
  const std::string stack = "model.layers.1.mlp.experts.gate_up_proj";
  std::vector<float> expected;
  for (std::size_t i = 0; i < size * hidden; ++i) {
    const std::size_t row = 5 * 2 * size + i / hidden * 2 + 1, c = i % hidden;  // of expert 5; up rows are the odd ones
    const auto code =
        static_cast<std::uint8_t>(static_cast<unsigned>(codes[stack].data[row * 16 + c / 2]) >> (c % 2 * 4));
    expected.push_back(e2m1_to_float(code) * e8m0_to_float(static_cast<std::uint8_t>(scale[stack].data[row])));
  }
  const model::Linear up = linear_of(model, "model.layers.1.mlp.experts.5.up_proj");
  EXPECT_EQ(values_of(model.weights(up)), expected);
  for (const model::Linear& linear : a.linears)
    if (linear.routed()) {
      const model::LinearWeights packed = model.packed(linear);
      ASSERT_NE(packed.view().stored, nullptr);
      EXPECT_EQ(packed.view().stored->codec->name, "mxfp4");
      EXPECT_EQ(values_of(packed), values_of(model.weights(linear))) << linear.module;
      EXPECT_EQ(model.stored_bytes(linear), linear.rows * linear.cols / 32 * 17);
    }
}

/// Puts a linear of a folder in bf16 into int4_g32, in the configuration too.
void make_int4(TensorFolder& folder, const std::string& module = kModule) {
  const codec::Codec& codec = codec::by_name("int4_g32");
  const FileTensor weight = folder.take(module + ".weight");
  const std::size_t rows = weight.shape[0], cols = weight.shape[1];
  codec::Stored stored = codec::allocate(codec, rows, cols);
  codec::encode_rows(codec, MatrixView::dense(weight.data.data(), rows, cols, DType::bf16), {}, codec::ScaleFit::minmax,
                     1.0f, 0, rows, stored);
  for (std::size_t i = 0; i < stored.specs.size(); ++i)
    folder.tensors[module + "." + stored.specs[i].suffix] = {
        stored.specs[i].dtype, stored.specs[i].shape, {stored.views[i].begin(), stored.views[i].end()}};
  folder.config["quantization_config"] = {
      {"quant_method", "compressed-tensors"},
      {"format", "pack-quantized"},
      {"kv_cache_scheme", {{"num_bits", 8}, {"type", "float"}}},
      {"config_groups",
       {{"group_0",
         {{"targets", {module}},
          {"weights", {{"num_bits", 4}, {"type", "int"}, {"strategy", "group"}, {"group_size", 32}}}}}}}};
}

TEST(QuantizedSource, WeightsOfCompressedTensorsAreDecoded) {
  TensorFolder folder("llama_tied");
  make_int4(folder);
  const model::Model model = folder.open();
  const model::Linear linear = linear_of(model, kModule);
  const model::LinearWeights packed = model.packed(linear);
  ASSERT_NE(packed.view().stored, nullptr);
  EXPECT_EQ(model.weights(linear).view().stored, nullptr);
  EXPECT_EQ(values_of(model.weights(linear)), values_of(packed));
  EXPECT_EQ(values_of(model.matrix(kModule + ".weight", kRows, kCols)), values_of(packed));
  EXPECT_EQ(model.low_bit_types(), "int4_g32");
}

TEST(QuantizedSource, ASchemeOfAllLinearsLeavesEmbeddingsAndNormsAlone) {
  TensorFolder folder("llama_tied");
  const model::Model original = TensorFolder("llama_tied").open();
  for (const model::Linear& linear : original.architecture().linears) make_int4(folder, linear.module);
  folder.config["quantization_config"]["config_groups"]["group_0"]["targets"] = json::array({"Linear"});
  const model::Model model = folder.open();
  EXPECT_EQ(model.embedding().view().dense.dtype, DType::bf16);
  EXPECT_EQ(model.packed_embedding().view().stored, nullptr);
  EXPECT_EQ(model.norm(model::Norm::last).size(), model.architecture().hidden);
}

TEST(QuantizedSource, SideTensorsDoNotStopReading) {
  TensorFolder folder("llama_tied");
  make_int4(folder);
  for (const char* name :
       {"self_attn.k_scale", "self_attn.v_scale", "self_attn.k_proj.output_scale", "mlp.up_proj.input_scale",
        "self_attn.q_scale", "mlp.down_proj.input_zero_point", "self_attn.attn.prob_output_scale"})
    folder.add_floats(std::string("model.layers.1.") + name, {1}, {0.05f});
  folder.add_floats("model.layers.1.self_attn.rotary_emb.inv_freq", {4}, {1, 2, 3, 4});
  EXPECT_NO_THROW(folder.open());
  folder.add_floats("model.layers.1.self_attn.weight_scale", {1}, {0.05f});  // a scale of a weight that is not there
  EXPECT_THROW(folder.open(), Error);
}

using Kind = codec::ActivationRounding::Kind;

codec::ActivationRounding activations_of(const model::Model& model, const std::string& module) {
  const std::vector<codec::ActivationRounding> declared = model.declared_activations();
  for (std::size_t l = 0; l < declared.size(); ++l)
    if (model.architecture().linears[l].module == module) return declared[l];
  throw std::runtime_error(module);
}

TEST(QuantizedSource, ActivationsOfFp8AreThoseOfItsScheme) {
  const auto declared = [](const json& config, const std::vector<std::uint64_t>& shape, const std::string& side = "") {
    TensorFolder folder("llama_tied");
    make_fp8(folder);
    folder.config["quantization_config"] = config;
    folder.add_floats(kModule + ".weight_scale", shape, scales(shape.empty() ? 1 : shape[0]));
    if (!side.empty()) folder.add_floats(kModule + side, {}, {0.5f});
    const model::Model model = folder.open();
    EXPECT_EQ(activations_of(model, "model.layers.0.mlp.down_proj").kind, Kind::none) << "it is dense";
    return activations_of(model, kModule);
  };
  using Expected = codec::ActivationRounding;
  EXPECT_EQ(declared({{"quant_method", "fp8"}, {"activation_scheme", "dynamic"}}, {}), Expected{Kind::e4m3_token});
  EXPECT_EQ(declared({{"quant_method", "fp8"}, {"activation_scheme", "static"}}, {}, ".input_scale"),
            (Expected{Kind::e4m3_tensor, 0.5f}));
  EXPECT_EQ(declared({{"quant_method", "fp8"}, {"activation_scheme", "static"}}, {}).kind, Kind::unknown);
  EXPECT_EQ(declared({{"quant_method", "fp8"}, {"activation_scheme", 7}}, {}).kind, Kind::unknown);
  EXPECT_EQ(declared({{"quant_method", "modelopt"}, {"quant_algo", "FP8"}}, {}, ".input_scale"),
            (Expected{Kind::e4m3_tensor, 0.5f}));
  EXPECT_EQ(declared({{"quant_method", "fbgemm_fp8"}}, {kRows, 1}).kind, Kind::unknown) << "it has an upper bound";
}

/// gate and up of a block, which a runtime holds in one matrix.
TEST(QuantizedSource, FusedLinearsHaveTheLargestOfTheirScales) {
  for (const float other : {0.25f, 0.0f, -1.0f, INFINITY, 1e-42f}) {
    TensorFolder folder("llama_tied");
    const std::string gate = "model.layers.0.mlp.gate_proj";
    for (const std::string& module : {kModule, gate}) {
      folder.add_bytes(module + ".weight", DType::e4m3, {kRows, kCols}, 127);
      folder.add_floats(module + ".weight_scale", {1}, {1.0f});
    }
    folder.add_floats(kModule + ".input_scale", {1}, {0.125f});
    folder.add_floats(gate + ".input_scale", {1}, {other});
    folder.config["quantization_config"] = {{"quant_method", "fp8"}, {"activation_scheme", "static"}};
    const model::Model model = folder.open();
    const bool usable = other == 0.25f;
    EXPECT_EQ(activations_of(model, gate).kind, usable ? Kind::e4m3_tensor : Kind::unknown) << other;
    EXPECT_EQ(activations_of(model, kModule), (codec::ActivationRounding{Kind::e4m3_tensor, usable ? 0.25f : 0.125f}))
        << other;
  }
}

TEST(QuantizedSource, WhatCannotBeReadIsSaid) {
  const auto error = [](const std::function<void(TensorFolder&)>& change) {
    TensorFolder folder("llama_tied");
    make_fp8(folder);
    folder.config["quantization_config"] = {{"quant_method", "fp8"}, {"weight_block_size", {32, 32}}};
    change(folder);
    return error_of([&] { folder.open(); });
  };
  const auto has = [](const std::string& text, const char* part) { return text.find(part) != std::string::npos; };
  EXPECT_TRUE(has(error([](TensorFolder&) {}), "has no scales for it"));
  const std::string shape = error([](TensorFolder& f) {
    f.add_floats(kModule + ".weight_scale_inv", {3, 1}, {1, 1, 1});
  });
  EXPECT_TRUE(has(shape, "weight_scale_inv has shape [3, 1], which does not fit")) << shape;
  EXPECT_TRUE(has(error([](TensorFolder& f) { f.config["quantization_config"]["quant_method"] = "gptq"; }), "gptq"));
  EXPECT_TRUE(has(error([](TensorFolder& f) {
                    f.add_floats(kModule + ".weight_scale", {1}, {1});
                    f.add_floats(kModule + ".pre_quant_scale", {kCols}, scales(kCols));
                  }),
                  "pre_quant_scale"));
}

}  // namespace quantized_test
}  // namespace strata
