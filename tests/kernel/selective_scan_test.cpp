// Compares the selective scan with its definition in double: whole sequences, batches of them, and pieces with a state
// on every variant; and its gradient with central differences.
#include "kernel/selective_scan.h"

#include <cmath>

#include "core/threads.h"
#include "kernel/differences.h"
#include "kernel/fixtures.h"

namespace strata::kernel {
namespace selective_scan_test {

struct Data {
  std::size_t tokens, channels, state_dim;
  unsigned seed = 1;
  std::size_t stride = state_dim + 3;
  std::vector<float> x = normal(tokens * channels, seed), dt = normal(tokens * channels, seed + 1),
                     b = normal(tokens * stride, seed + 2), c = normal(tokens * stride, seed + 3),
                     a = normal(state_dim * channels, seed + 4), skip = normal(channels, seed + 5),
                     out = std::vector<float>(tokens * channels, 77.0f);

  Data(std::size_t t, std::size_t i, std::size_t n, unsigned s = 1) : tokens(t), channels(i), state_dim(n), seed(s) {
    for (float& v : dt) v = 0.05f + 0.3f * v * v;
    for (float& v : a) v = -std::exp(0.4f * v - 0.5f);
  }
  SelectiveScanWeights weights() const { return {channels, state_dim, a.data(), skip.data()}; }
  /// Tokens [first, first + count).
  SelectiveScan call(std::size_t first, std::size_t count, float* state) {
    const std::size_t at = first * channels, narrow = first * stride;
    return {x.data() + at, dt.data() + at, b.data() + narrow, c.data() + narrow, stride, state, out.data() + at, count};
  }
  std::vector<double> expected() const {
    std::vector<double> state(state_dim * channels), result(tokens * channels);
    for (std::size_t t = 0; t < tokens; ++t)
      for (std::size_t i = 0; i < channels; ++i) {
        const double step = dt[t * channels + i], value = x[t * channels + i];
        double sum = static_cast<double>(skip[i]) * value;
        for (std::size_t n = 0; n < state_dim; ++n) {
          double& s = state[n * channels + i];
          s = std::exp(step * static_cast<double>(a[n * channels + i])) * s +
              step * value * static_cast<double>(b[t * stride + n]);
          sum += s * static_cast<double>(c[t * stride + n]);
        }
        result[t * channels + i] = sum;
      }
    return result;
  }
};

TEST(SelectiveScan, EqualsItsDefinitionOnEveryVariant) {
  for (const Variant* variant : runnable())
    for (const auto& [tokens, channels, state_dim] : {std::tuple{1u, 1u, 1u}, {7u, 20u, 16u}, {70u, 300u, 5u}}) {
      Data data(tokens, channels, state_dim);
      const SelectiveScan call = data.call(0, tokens, nullptr);
      selective_scan(*variant, data.weights(), {&call, 1});
      const std::vector<double> expected = data.expected();
      for (std::size_t i = 0; i < expected.size(); ++i)
        ASSERT_NEAR(data.out[i], expected[i], 2e-5 * (1 + std::abs(expected[i]))) << variant->name << " " << i;
    }
}

TEST(SelectiveScan, PiecesWithAStateAreTheWholeBitForBit) {
  const std::size_t tokens = 40, channels = 300, state_dim = 5;
  Data whole(tokens, channels, state_dim), pieces = whole;
  const SelectiveScan all = whole.call(0, tokens, nullptr);
  selective_scan(whole.weights(), {&all, 1});
  std::vector<float> state(state_dim * channels, 0.0f);
  std::size_t first = 0;
  for (const std::size_t count : {1u, 1u, 2u, 1u, 3u, 7u, 1u, 24u}) {
    const SelectiveScan call = pieces.call(first, count, state.data());
    selective_scan(pieces.weights(), {&call, 1});
    first += count;
  }
  EXPECT_EQ(first, tokens);
  EXPECT_EQ(pieces.out, whole.out);
}

TEST(SelectiveScan, ABatchEqualsItsSequencesAloneAtAnyThreadCount) {
  Data a(90, 300, 8), b(7, 300, 8);
  const SelectiveScan calls[] = {a.call(0, 90, nullptr), b.call(0, 7, nullptr)};
  selective_scan(a.weights(), {calls, 1});
  selective_scan(a.weights(), {calls + 1, 1});
  const std::vector<float> alone_a = a.out, alone_b = b.out;
  for (const std::size_t threads : {1, 2, 5}) {
    std::fill(a.out.begin(), a.out.end(), 77.0f);
    std::fill(b.out.begin(), b.out.end(), 77.0f);
    set_thread_count(threads);
    selective_scan(a.weights(), calls);
    EXPECT_EQ(a.out, alone_a) << threads;
    EXPECT_EQ(b.out, alone_b) << threads;
  }
  set_thread_count(0);
}

/// More channels than a piece of work has, two sequences, and a loss that weights everything that is put out.
TEST(SelectiveScan, TheGradientIsThatOfFiniteDifferences) {
  const std::size_t channels = 131, state_dim = 3;
  Data data(5, channels, state_dim);
  const std::size_t lengths[] = {3, 2};
  const std::vector<float> dout = random_values(data.out.size(), 9);
  const auto loss = [&] {
    const SelectiveScan calls[] = {data.call(0, lengths[0], nullptr), data.call(lengths[0], lengths[1], nullptr)};
    selective_scan(data.weights(), calls);
    return dot(data.out, dout);
  };
  std::vector<float> dx(data.x.size()), ddt(data.dt.size()), db(data.b.size()), dc(data.c.size());
  std::vector<SelectiveScanGradient> calls;
  std::size_t first = 0;
  for (const std::size_t count : lengths) {
    const std::size_t at = first * channels, narrow = first * data.stride;
    const SelectiveScan read = data.call(first, count, nullptr);
    calls.push_back({read.x, read.dt, read.b, read.c, data.stride, dout.data() + at, dx.data() + at, ddt.data() + at,
                     db.data() + narrow, dc.data() + narrow, count});
    first += count;
  }
  selective_scan_gradient(data.weights(), calls);
  expect_gradient(data.x, dx, loss, "x", 7);
  expect_gradient(data.dt, ddt, loss, "dt", 7);
  expect_gradient(data.b, db, loss, "b");
  expect_gradient(data.c, dc, loss, "c");
}

}  // namespace selective_scan_test
}  // namespace strata::kernel
