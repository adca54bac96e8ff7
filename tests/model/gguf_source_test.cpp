// What the engine multiplies with is what a GGUF file says, whatever its types: packed matrices against dequantized
// ones, on random bytes, with llama's interleaved heads and without.
#include "core/random.h"
#include "format/file_bytes.h"
#include "format/ggml_types.h"
#include "format/gguf_write.h"
#include "model/model.h"
#include "same_bits.h"

namespace strata::model {
namespace {

/// A block of hidden size 256 whose matrices all have one type.
void write_model(const std::filesystem::path& path, const std::string& architecture, std::uint32_t type) {
  format::GgufKeys keys;
  keys.add("general.architecture", architecture);
  const auto add = [&](const char* key, std::uint32_t value) { keys.add(architecture + key, value); };
  add(".embedding_length", 256);
  add(".feed_forward_length", 512);
  add(".block_count", 1);
  add(".attention.head_count", 4);
  add(".attention.head_count_kv", 2);
  add(".context_length", 128);
  keys.add(architecture + ".attention.layer_norm_rms_epsilon", 1e-5f);
  std::vector<format::GgufTensorSpec> tensors = {
      {"token_embd.weight", type, {40, 256}},      {"output_norm.weight", 0, {256}},
      {"blk.0.attn_norm.weight", 0, {256}},        {"blk.0.ffn_norm.weight", 0, {256}},
      {"blk.0.attn_q.weight", type, {256, 256}},   {"blk.0.attn_k.weight", type, {128, 256}},
      {"blk.0.attn_v.weight", type, {128, 256}},   {"blk.0.attn_output.weight", type, {256, 256}},
      {"blk.0.ffn_gate.weight", type, {512, 256}}, {"blk.0.ffn_up.weight", type, {512, 256}},
      {"blk.0.ffn_down.weight", type, {256, 512}}};
  if (architecture == "qwen2")
    for (const auto& [name, size] : {std::pair{"attn_q", 256u}, {"attn_k", 128u}, {"attn_v", 128u}})
      tensors.push_back({fmt::format("blk.0.{}.bias", name), 0, {size}});
  const format::GgufLayout layout = format::lay_out_gguf(keys, tensors);
  format::GgufWriter writer(path, layout);
  Random random(type + 1);
  for (const format::GgufTensorSpec& tensor : layout.tensors) {
    format::Bytes data(tensor.bytes());
    for (std::byte& byte : data) byte = static_cast<std::byte>(random.next());
    writer.write(data);
  }
  writer.commit();
}

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
  const format::TemporaryFolder folder;
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
  EXPECT_EQ(stored, 18u * 2u * 7u) << "every type that is a codec stays as it lies";
}

}  // namespace
}  // namespace strata::model
