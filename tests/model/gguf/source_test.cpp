// The engine multiplies with what a GGUF file says, whatever its types: packed matrices of random bytes equal
// dequantized ones, with llama's interleaved heads and without.
#include "format/ggml_types.h"
#include "model/model.h"
#include "support/file_bytes.h"
#include "support/gguf_model.h"
#include "support/same_bits.h"

namespace strata::model {
namespace source_test {

void expect_same(const LinearWeights& packed, const LinearWeights& dense, const std::string& where) {
  const kernel::Weights got = packed.view(), want = dense.view();
  ASSERT_EQ(want.stored, nullptr);
  ASSERT_EQ(got.rows(), want.rows());
  ASSERT_EQ(got.cols(), want.cols());
  std::vector<float> a(got.cols()), b(got.cols());
  for (std::size_t r = 0; r < got.rows(); ++r) {
    if (got.stored != nullptr)
      codec::decode_row(*got.stored, r, 0, got.cols(), a.data());
    else
      read_row(got.dense, r, 0, got.cols(), a.data());
    read_row(want.dense, r, 0, want.cols(), b.data());
    for (std::size_t c = 0; c < got.cols(); ++c)
      ASSERT_TRUE(same(a[c], b[c])) << where << " row " << r << " column " << c << ": " << a[c] << ", expected "
                                    << b[c];
  }
}

TEST(GgufSource, PackedMatricesHaveTheValuesOfDequantizedOnes) {
  const TemporaryFolder folder;
  std::size_t stored = 0;
  for (std::uint32_t type = 0; type < 45; ++type) {
    if (!format::ggml_type_readable(type)) continue;
    for (const char* architecture : {"llama", "qwen2"}) {
      const std::filesystem::path path = folder / "m.gguf";
      std::filesystem::remove(path);
      write_model(path, architecture, type);
      const Model model = Model::open(path);
      for (const Linear& linear : model.architecture().linears) {
        if (linear.block == kNoBlock) continue;
        const LinearWeights packed = model.packed(linear);
        stored += packed.view().stored != nullptr;
        ASSERT_NO_FATAL_FAILURE(
            expect_same(packed, model.weights(linear),
                        fmt::format("{} {} {}", architecture, format::ggml_type_name(type), linear.module)));
      }
      ASSERT_NO_FATAL_FAILURE(expect_same(model.packed_embedding(), model.embedding(), format::ggml_type_name(type)));
    }
  }
  EXPECT_EQ(stored, 23u * 2u * 7u) << "every type that is a codec stays as it lies";
}

constexpr std::uint32_t kExperts = 3;

/// How experts lie in a file: stacked, stacked with gate and up of each together, or, before April 2024, a tensor each.
enum class Lie { stacked, pairs, single };

/// A mixtral of one block.
void write_mixture(const std::filesystem::path& path, Lie lie) {
  format::GgufKeys keys;
  keys.add("general.architecture", "llama");
  for (const auto& [key, value] : {std::pair{"embedding_length", 32u},
                                   {"feed_forward_length", 64u},
                                   {"block_count", 1u},
                                   {"context_length", 128u},
                                   {"attention.head_count", 2u},
                                   {"expert_count", kExperts},
                                   {"expert_used_count", 2u}})
    keys.add(fmt::format("llama.{}", key), value);
  keys.add("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  std::vector<format::GgufTensorSpec> specs = {{"token_embd.weight", 0, {40, 32}},
                                               {"output_norm.weight", 0, {32}},
                                               {"blk.0.attn_norm.weight", 0, {32}},
                                               {"blk.0.ffn_norm.weight", 0, {32}},
                                               {"blk.0.attn_q.weight", 0, {32, 32}},
                                               {"blk.0.attn_k.weight", 0, {32, 32}},
                                               {"blk.0.attn_v.weight", 0, {32, 32}},
                                               {"blk.0.attn_output.weight", 0, {32, 32}},
                                               {"blk.0.ffn_gate_inp.weight", 0, {kExperts, 32}}};
  for (const auto& [name, rows, cols] : {std::tuple{"gate", 64u, 32u}, {"up", 64u, 32u}, {"down", 32u, 64u}}) {
    const bool paired = lie == Lie::pairs && rows == 64;
    if (paired && specs.back().name != "blk.0.ffn_gate_up_exps.weight")
      specs.push_back({"blk.0.ffn_gate_up_exps.weight", 0, {kExperts, 2 * rows, cols}});
    if (lie != Lie::single && !paired)
      specs.push_back({fmt::format("blk.0.ffn_{}_exps.weight", name), 0, {kExperts, rows, cols}});
    for (std::uint32_t e = 0; e < kExperts && lie == Lie::single; ++e)
      specs.push_back({fmt::format("blk.0.ffn_{}.{}.weight", name, e), 0, {rows, cols}});
  }
  const format::GgufLayout layout = format::lay_out_gguf(std::move(keys), std::move(specs));
  format::GgufWriter writer(path, layout);
  float next = 0;  // every number of the file is another, the same in both kinds of file
  for (const format::GgufTensorSpec& tensor : layout.tensors) {
    std::vector<float> values(tensor.bytes() / sizeof(float));
    for (float& value : values) value = next++;
    writer.write(std::as_bytes(std::span(values)));
  }
  writer.commit();
}

TEST(GgufSource, GateAndUpOfExpertsMayBeOneTensor) {
  const TemporaryFolder folder;
  write_mixture(folder / "m.gguf", Lie::pairs);
  const Model model = Model::open(folder / "m.gguf");
  const auto first = [&](Role role, std::size_t expert) {
    float value = 0;
    read_row(model.weights(model.architecture().linear(0, role, expert)).view().dense, 0, 0, 1, &value);
    return value;
  };
  const float matrix = 64 * 32;  // numbers, each one more than the number before it in the file
  for (std::size_t e = 0; e < kExperts; ++e) {
    EXPECT_EQ(first(Role::gate, e), first(Role::gate, 0) + 2 * matrix * static_cast<float>(e));
    EXPECT_EQ(first(Role::up, e), first(Role::gate, e) + matrix);
  }
}

TEST(GgufSource, ExpertsMayBeATensorEach) {
  const TemporaryFolder folder;
  write_mixture(folder / "stacked.gguf", Lie::stacked);
  write_mixture(folder / "single.gguf", Lie::single);
  const Model stacked = Model::open(folder / "stacked.gguf"), single = Model::open(folder / "single.gguf");
  EXPECT_EQ(single.architecture().experts.count, kExperts);
  for (const Linear& linear : single.architecture().linears) {
    if (linear.block == kNoBlock) continue;
    ASSERT_NO_FATAL_FAILURE(expect_same(single.weights(linear), stacked.weights(linear), linear.module));
  }
}

TEST(GgufSource, BlocksThatPredictSeveralTokensAreNotRead) {
  const TemporaryFolder folder;
  const auto write = [&](std::uint32_t announced) {
    format::GgufKeys keys;
    keys.add("general.architecture", "llama");
    for (const auto& [key, value] : {std::pair{"embedding_length", 32u},
                                     {"feed_forward_length", 64u},
                                     {"block_count", 2u},
                                     {"context_length", 128u},
                                     {"attention.head_count", 2u},
                                     {"nextn_predict_layers", announced}})
      keys.add(fmt::format("llama.{}", key), value);
    keys.add("llama.attention.layer_norm_rms_epsilon", 1e-5f);
    std::vector<format::GgufTensorSpec> specs = {{"token_embd.weight", 0, {40, 32}}, {"output_norm.weight", 0, {32}}};
    for (const auto& [name, rows, cols] : {std::tuple{"attn_q", 32u, 32u},
                                           {"attn_k", 32u, 32u},
                                           {"attn_v", 32u, 32u},
                                           {"attn_output", 32u, 32u},
                                           {"ffn_gate", 64u, 32u},
                                           {"ffn_up", 64u, 32u},
                                           {"ffn_down", 32u, 64u}})
      specs.push_back({fmt::format("blk.0.{}.weight", name), 0, {rows, cols}});
    for (const char* name : {"attn_norm", "ffn_norm"}) specs.push_back({fmt::format("blk.0.{}.weight", name), 0, {32}});
    for (const char* name : {"attn_q", "nextn.eh_proj"})
      specs.push_back({fmt::format("blk.1.{}.weight", name), 0, {32, 32}});
    const format::GgufLayout layout = format::lay_out_gguf(std::move(keys), std::move(specs));
    format::GgufWriter writer(folder / "m.gguf", layout);
    for (const format::GgufTensorSpec& tensor : layout.tensors) writer.write(format::Bytes(tensor.bytes()));
    writer.commit();
    return folder / "m.gguf";
  };
  EXPECT_EQ(Model::open(write(1)).architecture().blocks, 1u);
  std::filesystem::remove(folder / "m.gguf");
  EXPECT_THROW(Model::open(write(0)), Error) << "a second block that is not whole";
}

}  // namespace source_test
}  // namespace strata::model
