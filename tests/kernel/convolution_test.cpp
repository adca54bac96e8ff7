// Compares the convolution over time with its definition in double: whole sequences, batches of them, token by token
// with a state; and its gradient with central differences.
#include "kernel/convolution.h"

#include <cmath>

#include "core/threads.h"
#include "kernel/differences.h"
#include "kernel/fixtures.h"

namespace strata::kernel {
namespace convolution_test {

struct Data {
  std::size_t tokens, channels, kernel;
  bool with_bias, silu;
  std::size_t x_stride = channels + 3, out_stride = channels + 1;
  std::vector<float> x = normal(tokens * x_stride, 1), weight = normal(channels * kernel, 2),
                     bias = normal(channels, 3), out = std::vector<float>(tokens * out_stride, 77.0f);

  /// Tokens [first, first + count).
  Convolution call(std::size_t first, std::size_t count, float* state) {
    return {x.data() + first * x_stride,
            x_stride,
            weight.data(),
            with_bias ? bias.data() : nullptr,
            state,
            out.data() + first * out_stride,
            out_stride,
            count,
            channels,
            kernel,
            silu};
  }
  double expected(std::size_t t, std::size_t c) const {
    double z = with_bias ? static_cast<double>(bias[c]) : 0.0;
    for (std::size_t j = 0; j < kernel; ++j)
      if (t + j >= kernel - 1)
        z += static_cast<double>(weight[c * kernel + j]) * x[(t + j - (kernel - 1)) * x_stride + c];
    return silu ? z / (1.0 + std::exp(-z)) : z;
  }
};

TEST(Convolution, EqualsItsDefinition) {
  for (const std::size_t tokens : {1u, 2u, 5u, 130u})
    for (const std::size_t channels : {1u, 20u, 300u})
      for (const auto& [kernel, with_bias, silu] :
           {std::tuple{4u, true, true}, {4u, false, true}, {3u, false, false}, {3u, true, false}, {1u, true, false}}) {
        Data data{tokens, channels, kernel, with_bias, silu};
        const Convolution call = data.call(0, tokens, nullptr);
        convolution({&call, 1});
        for (std::size_t t = 0; t < tokens; ++t) {
          for (std::size_t c = 0; c < channels; ++c)
            ASSERT_NEAR(data.out[t * data.out_stride + c], data.expected(t, c), 1e-5)
                << tokens << " tokens " << channels << " channels " << kernel << " taps, token " << t << " channel "
                << c;
          ASSERT_EQ(data.out[t * data.out_stride + channels], 77.0f);
        }
      }
}

TEST(Convolution, PiecesWithAStateAreTheWholeBitForBit) {
  const std::size_t tokens = 40, channels = 300, kernel = 4;
  Data whole{tokens, channels, kernel, true, true}, pieces = whole;
  const Convolution all = whole.call(0, tokens, nullptr);
  convolution({&all, 1});
  std::vector<float> state((kernel - 1) * channels, 0.0f);
  std::size_t first = 0;
  for (const std::size_t count : {1u, 1u, 2u, 1u, 3u, 7u, 1u, 24u}) {
    const Convolution call = pieces.call(first, count, state.data());
    convolution({&call, 1});
    first += count;
  }
  EXPECT_EQ(first, tokens);
  EXPECT_EQ(pieces.out, whole.out);
  for (std::size_t i = 0; i + 1 < kernel; ++i)
    for (std::size_t c = 0; c < channels; ++c)
      EXPECT_EQ(state[i * channels + c], whole.x[(tokens - (kernel - 1) + i) * whole.x_stride + c]);
}

TEST(Convolution, ABatchEqualsItsSequencesAloneAtAnyThreadCount) {
  Data a{90, 700, 4, true, true}, b{7, 700, 4, true, true};
  const Convolution calls[] = {a.call(0, 90, nullptr), b.call(0, 7, nullptr)};
  convolution({calls, 1});
  convolution({calls + 1, 1});
  const std::vector<float> alone_a = a.out, alone_b = b.out;
  for (const std::size_t threads : {1, 2, 5}) {
    std::fill(a.out.begin(), a.out.end(), 77.0f);
    std::fill(b.out.begin(), b.out.end(), 77.0f);
    set_thread_count(threads);
    convolution(calls);
    EXPECT_EQ(a.out, alone_a) << threads;
    EXPECT_EQ(b.out, alone_b) << threads;
  }
  set_thread_count(0);
}

TEST(Convolution, Gradient) {
  for (const std::size_t tokens : {1u, 2u, 9u})
    for (const bool silu : {true, false}) {
      Data data{tokens, 5, silu ? 4u : 3u, silu, silu};
      const std::vector<float> weights = random_values(data.out.size(), 4);
      std::vector<float> dx(data.x.size(), 0.0f);
      const ConvolutionGradient call{
          data.x.data(),  data.x_stride,   data.weight.data(), data.with_bias ? data.bias.data() : nullptr,
          weights.data(), data.out_stride, dx.data(),          data.x_stride,
          tokens,         data.channels,   data.kernel,        silu};
      convolution_gradient({&call, 1});
      expect_gradient(
          data.x, dx,
          [&] {
            const Convolution forward = data.call(0, tokens, nullptr);
            convolution({&forward, 1});
            return dot(data.out, weights);
          },
          "x");
    }
}

}  // namespace convolution_test
}  // namespace strata::kernel
