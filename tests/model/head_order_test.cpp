// Heads of values in llama.cpp's order: which rows, columns and codes move where, and that both orders are one model.
#include "model/head_order.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "model/model.h"
#include "model/tensors.h"
#include "support/golden_model.h"

namespace strata::model {
namespace head_order_test {

TEST(HeadOrder, HeadsThatShareAKeyComeApart) {
  const HeadOrder order{.outer = 2, .inner = 3, .size = 2, .first = 1};
  std::vector<std::size_t> sources;
  for (std::size_t place = 0; place < 13; ++place) sources.push_back(order.source(place));
  // Heads 0 1 2 of the first key and 3 4 5 of the second become 0 3, 1 4, 2 5; a head is two places behind the first.
  EXPECT_EQ(sources, (std::vector<std::size_t>{0, 1, 2, 7, 8, 3, 4, 9, 10, 5, 6, 11, 12}));
  const HeadOrder back{.outer = 3, .inner = 2, .size = 2, .first = 1};
  for (std::size_t place = 0; place < 13; ++place) EXPECT_EQ(order.source(back.source(place)), place);
}

std::vector<float> values_of(const LinearWeights& weights) {
  const MatrixView& view = weights.view().dense;
  std::vector<float> values(view.rows * view.cols);
  for (std::size_t r = 0; r < view.rows; ++r) read_row(view, r, 0, view.cols, values.data() + r * view.cols);
  return values;
}

TEST(HeadOrder, AModelForLlamaCppHasItsOrderInEveryTensorOfADeltaNet) {
  const Model plain = Model::open(golden_model("qwen3_5_text"));
  const Model tiled = Model::open(golden_model("qwen3_5_text"), Fusion::single);
  const Architecture& a = plain.architecture();
  EXPECT_FALSE(a.delta.tiled);
  EXPECT_TRUE(tiled.architecture().delta.tiled);
  EXPECT_EQ(plain.fingerprint(), tiled.fingerprint());
  const auto expect_moved = [&](const std::vector<float>& from, const std::vector<float>& to, const auto& source) {
    ASSERT_EQ(from.size(), to.size());
    for (std::size_t i = 0; i < to.size(); ++i) ASSERT_EQ(to[i], from[source(i)]) << i;
    EXPECT_NE(from, to);
  };
  // Two heads of keys, each with two of values of 8: heads 1 and 2 change places.
  const auto head = [](std::size_t h) { return std::array<std::size_t, 4>{0, 2, 1, 3}[h]; };
  const auto place = [&](std::size_t i) { return head(i / 8) * 8 + i % 8; };
  const auto matrix = [](const Model& model, Role role) {
    return values_of(model.weights(model.architecture().linear(0, role)));
  };
  expect_moved(matrix(plain, Role::in_z), matrix(tiled, Role::in_z),
               [&](std::size_t i) { return place(i / a.hidden) * a.hidden + i % a.hidden; });
  expect_moved(matrix(plain, Role::in_qkv), matrix(tiled, Role::in_qkv), [&](std::size_t i) {
    const std::size_t row = i / a.hidden;
    return (row < 32 ? row : 32 + place(row - 32)) * a.hidden + i % a.hidden;
  });
  expect_moved(matrix(plain, Role::in_a), matrix(tiled, Role::in_a),
               [&](std::size_t i) { return head(i / a.hidden) * a.hidden + i % a.hidden; });
  expect_moved(matrix(plain, Role::o), matrix(tiled, Role::o),
               [&](std::size_t i) { return i / 32 * 32 + place(i % 32); });
  const auto vector = [](const Model& model, const char* part, std::size_t size) {
    return model.vector(kept_name(model.architecture(), 0, part), size);
  };
  for (const char* part : {"A_log", "dt_bias"}) expect_moved(vector(plain, part, 4), vector(tiled, part, 4), head);
  expect_moved(vector(plain, "conv1d.weight", 64 * 4), vector(tiled, "conv1d.weight", 64 * 4), [&](std::size_t i) {
    const std::size_t channel = i / 4;
    return (channel < 32 ? channel : 32 + place(channel - 32)) * 4 + i % 4;
  });
  EXPECT_EQ(vector(plain, "norm.weight", 8), vector(tiled, "norm.weight", 8)) << "one for all heads";
  EXPECT_EQ(matrix(plain, Role::gate), matrix(tiled, Role::gate));
}

TEST(HeadOrder, FamiliesWhoseRuntimeHasNoOtherOrderStayAsTheyAre) {
  EXPECT_FALSE(Model::open(golden_model("qwen3_next"), Fusion::single).architecture().delta.tiled);
  EXPECT_FALSE(Model::open(golden_model("llama_tied"), Fusion::single).architecture().delta.tiled);
}

/// Two matrices of (4, 128) in a codec of GGUF, each row and each block of other bytes.
class Stored final : public TensorSource {
 public:
  explicit Stored(const char* codec) : codec_(codec::by_name(codec)) {}
  std::vector<TensorInfo> tensors() const override { return {}; }
  bool has(std::string_view) const override { return true; }
  LinearWeights matrix(const std::string&, std::size_t rows, std::size_t cols) const override {
    const codec::Stored stored = native("", rows, cols);
    std::vector<float> values(rows * cols);
    for (std::size_t r = 0; r < rows; ++r) codec::decode_row(stored, r, 0, cols, values.data() + r * cols);
    return {std::move(values), rows, cols};
  }
  const codec::Codec* native_codec(const std::string&, std::size_t, std::size_t) const override { return &codec_; }
  codec::Stored native(const std::string&, std::size_t rows, std::size_t cols) const override {
    std::vector<float> values(rows * cols);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 97) - 40.0f;
    codec::Stored stored = codec::allocate(codec_, rows, cols);
    codec::encode_rows(codec_, MatrixView::dense(values.data(), rows, cols, DType::f32), {}, codec::ScaleFit::minmax,
                       1.0f, 0, rows, stored);
    return stored;
  }
  std::vector<float> vector(const std::string&, std::size_t size) const override { return std::vector<float>(size); }
  std::uint64_t copied_bytes(const std::string&, std::size_t, std::size_t) const override { return 0; }
  const codec::Codec* codec_of(const std::string&) const override { return nullptr; }
  void release(const std::string&) const override {}
  void will_need(const std::string&) const override {}
  std::uint64_t content_hash() const override { return 0; }

 private:
  const codec::Codec& codec_;
};

TEST(HeadOrder, CodesMoveWithTheirWeightsWhereHeadsAreWholeBlocks) {
  HeadOrders orders;
  orders["rows"] = {.outer = 2, .inner = 2, .size = 1};
  orders["columns"] = {.outer = 2, .inner = 2, .size = 32, .columns = true};
  orders["cut"] = {.outer = 2, .inner = 4, .size = 16, .columns = true};
  for (const char* codec : {"q4_0", "q8_0"}) {
    const auto source = reordered(std::make_unique<Stored>(codec), orders);
    EXPECT_EQ(source->native_codec("cut", 4, 128), nullptr) << "heads of 16 cut blocks of 32";
    for (const char* name : {"rows", "columns", "cut"}) {
      const std::vector<float> moved = values_of(source->matrix(name, 4, 128)),
                               given = values_of(Stored(codec).matrix("", 4, 128));
      const HeadOrder& order = orders[name];
      for (std::size_t r = 0; r < 4; ++r)
        for (std::size_t c = 0; c < 128; ++c)
          ASSERT_EQ(moved[r * 128 + c],
                    given[(order.columns ? r : order.source(r)) * 128 + (order.columns ? order.source(c) : c)]);
      if (source->native_codec(name, 4, 128) == nullptr) continue;
      const codec::Stored stored = source->native(name, 4, 128);
      std::vector<float> row(128);
      for (std::size_t r = 0; r < 4; ++r) {
        codec::decode_row(stored, r, 0, 128, row.data());
        EXPECT_TRUE(std::ranges::equal(row, std::span(moved).subspan(r * 128, 128))) << name << " row " << r;
      }
    }
  }
}

}  // namespace head_order_test
}  // namespace strata::model
