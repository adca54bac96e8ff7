// The engine multiplies with what a GGUF file says, whatever its types: packed matrices of random bytes equal
// dequantized ones, with llama's interleaved heads and without.
#include "format/ggml_types.h"
#include "model/model.h"
#include "support/file_bytes.h"
#include "support/gguf_model.h"
#include "support/same_bits.h"

namespace strata::model {
namespace {

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
  EXPECT_EQ(stored, 18u * 2u * 7u) << "every type that is a codec stays as it lies";
}

}  // namespace
}  // namespace strata::model
