// InBytes: single tokens are multiplied by way of 8 bits while the mode lasts, and several at once are not.
#include "codec/codec.h"
#include "engine/modes.h"
#include "kernel/byte_products.h"
#include "support/tiny_model.h"

namespace strata::engine {
namespace in_bytes_test {

using ::strata::fixtures::golden_model;

TEST(InBytes, IsForSingleTokensOfStoredWeightsWhileItLasts) {
  const model::Model model = model::Model::open(golden_model("llama_tied"));
  Engine engine(model);
  const model::Architecture& a = engine.architecture();
  const std::size_t down = a.index(0, model::Role::down), rows = a.linears[down].rows, cols = a.linears[down].cols;
  std::vector<float> weights(rows * cols), x(2 * cols);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] = 0.01f * static_cast<float>(i * 7 % 41) - 0.2f;
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = 0.1f * static_cast<float>(i * 5 % 37) - 1.33f;
  const codec::Codec& codec = codec::by_name("q8_0");
  codec::Stored stored = codec::allocate(codec, rows, cols);
  codec::encode_rows(codec, MatrixView::dense(weights.data(), rows, cols, DType::f32), {}, codec::ScaleFit::minmax,
                     1.0f, 0, rows, stored);
  const kernel::Weights w{{}, &stored};
  Replacing replacing(engine);
  replacing.set(down, w);
  const auto out = [&](std::size_t tokens) {
    std::vector<float> h(tokens * a.hidden);
    engine.add_output(0, Half::feed_forward, x.data(), tokens, h.data());
    return h;
  };
  const std::vector<float> one = out(1), two = out(2);
  std::vector<float> in_bytes(rows);
  if (!kernel::multiply_in_bytes(x.data(), w, in_bytes.data())) GTEST_SKIP() << "no such products on this CPU";
  ASSERT_NE(in_bytes, one);
  {
    const InBytes mode(engine, true);
    EXPECT_EQ(out(1), in_bytes);
    EXPECT_EQ(out(2), two);
  }
  EXPECT_EQ(out(1), one) << "the mode has ended";
  const InBytes off(engine, false);
  EXPECT_EQ(out(1), one);
}

}  // namespace in_bytes_test
}  // namespace strata::engine
