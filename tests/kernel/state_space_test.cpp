// Compares the scan of Mamba-2 of every variant with its definition, token by token in double: whole sequences, pieces
// with a state, batches; and its gradient with central differences.
#include "kernel/state_space.h"

#include <cmath>

#include "core/threads.h"
#include "kernel/differences.h"
#include "kernel/fixtures.h"

namespace strata::kernel {
namespace state_space_test {

struct Case {
  std::size_t tokens, heads, groups, head_dim, state_dim;
  bool skip = true, bias = true;
  float least = 0.0f, most = std::numeric_limits<float>::infinity(), most_decay = 1.0f;
};

struct Data {
  Case c;
  std::size_t x_size = c.heads * c.head_dim, b_size = c.groups * c.state_dim, stride = x_size + 2 * b_size + 3,
              dt_stride = c.heads + 2, out_stride = x_size + 1;
  std::vector<float> xbc = normal(c.tokens * stride, 1), dt = normal(c.tokens * dt_stride, 2), a = normal(c.heads, 3),
                     skip = normal(c.heads, 4), bias = normal(c.heads, 5),
                     out = std::vector<float>(c.tokens * out_stride, 77.0f),
                     state = normal(c.heads * c.head_dim * c.state_dim, 6);

  explicit Data(const Case& given) : c(given) {
    for (float& v : a) v = -c.most_decay * (0.5f + 0.45f * std::sin(v));
  }
  StateSpaceWeights weights() const {
    return {c.heads,
            c.groups,
            c.head_dim,
            c.state_dim,
            a.data(),
            c.skip ? skip.data() : nullptr,
            c.bias ? bias.data() : nullptr,
            c.least,
            c.most};
  }
  StateSpace call(std::size_t first, std::size_t count, float* with) {
    const float* const row = xbc.data() + first * stride;
    return {row,       row + x_size, row + x_size + b_size,           stride,     dt.data() + first * dt_stride,
            dt_stride, with,         out.data() + first * out_stride, out_stride, count};
  }
};

struct Expected {
  std::vector<double> out, state;  // (tokens, heads * head_dim), (heads, head_dim, state_dim)
};
Expected expected(const Data& data, const std::vector<float>& begin) {
  const Case& c = data.c;
  Expected e{std::vector<double>(c.tokens * data.x_size), {begin.begin(), begin.end()}};
  for (std::size_t h = 0; h < c.heads; ++h)
    for (std::size_t t = 0; t < c.tokens; ++t) {
      const std::size_t group = h / (c.heads / c.groups);
      const float* const x = data.xbc.data() + t * data.stride;
      const float *const b = x + data.x_size + group * c.state_dim, *const out = b + data.b_size;
      const double raw = static_cast<double>(data.dt[t * data.dt_stride + h]) + (c.bias ? data.bias[h] : 0.0f);
      const double step =
          std::min(std::max(std::log1p(std::exp(raw)), static_cast<double>(c.least)), static_cast<double>(c.most));
      for (std::size_t p = 0; p < c.head_dim; ++p) {
        double* const s = e.state.data() + (h * c.head_dim + p) * c.state_dim;
        const double value = x[h * c.head_dim + p];
        double sum = c.skip ? static_cast<double>(data.skip[h]) * value : 0.0;
        for (std::size_t n = 0; n < c.state_dim; ++n) {
          s[n] = std::exp(static_cast<double>(data.a[h]) * step) * s[n] + step * value * static_cast<double>(b[n]);
          sum += s[n] * static_cast<double>(out[n]);
        }
        e.out[t * data.x_size + h * c.head_dim + p] = sum;
      }
    }
  return e;
}

void expect_results(const char* name, const Data& data, const Expected& want, const std::vector<float>* state) {
  // Outputs are sums of state_dim terms of the state's size.
  const double bound = 2e-5 * std::sqrt(static_cast<double>(data.c.state_dim));
  for (std::size_t t = 0; t < data.c.tokens; ++t) {
    for (std::size_t i = 0; i < data.x_size; ++i)
      ASSERT_NEAR(data.out[t * data.out_stride + i], want.out[t * data.x_size + i], bound)
          << name << " token " << t << " of " << data.c.tokens << " value " << i;
    ASSERT_EQ(data.out[t * data.out_stride + data.x_size], 77.0f) << name;
  }
  for (std::size_t i = 0; state != nullptr && i < state->size(); ++i)
    ASSERT_NEAR((*state)[i], want.state[i], 5e-5) << name << " " << i;
}

const Case kCases[] = {{1, 1, 1, 16, 16},
                       {3, 4, 2, 8, 16},
                       {5, 1, 1, 1, 1},
                       {64, 2, 1, 20, 33},
                       {65, 3, 1, 64, 128},
                       {150, 24, 2, 12, 16},
                       {130, 2, 2, 16, 24, false, true, 0.0f, std::numeric_limits<float>::infinity(), 60.0f},
                       {70, 2, 1, 16, 24, true, false},
                       {70, 2, 1, 16, 24, true, true, 0.3f, 0.9f}};

TEST(StateSpace, EveryVariantEqualsItsDefinition) {
  for (const Variant* variant : runnable())
    for (const Case& c : kCases) {
      Data data(c);
      const StateSpace fresh = data.call(0, c.tokens, nullptr);
      state_space(*variant, data.weights(), {&fresh, 1});
      expect_results(variant->name, data, expected(data, std::vector<float>(data.state.size(), 0.0f)), nullptr);
      std::vector<float> state = data.state;
      const StateSpace call = data.call(0, c.tokens, state.data());
      state_space(*variant, data.weights(), {&call, 1});
      expect_results(variant->name, data, expected(data, data.state), &state);
      if (HasFatalFailure()) return;
    }
}

TEST(StateSpace, PiecesWithAStateAreTheWhole) {
  for (const Variant* variant : runnable()) {
    Data data({150, 6, 2, 24, 40, true, true, 0.1f, 2.0f});
    std::vector<float> state = data.state;
    std::size_t first = 0;
    for (const std::size_t count : {1u, 1u, 90u, 2u, 1u, 5u, 49u, 1u}) {
      const StateSpace call = data.call(first, count, state.data());
      state_space(*variant, data.weights(), {&call, 1});
      first += count;
    }
    ASSERT_EQ(first, data.c.tokens);
    expect_results(variant->name, data, expected(data, data.state), &state);
  }
}

TEST(StateSpace, ABatchEqualsItsSequencesAloneAtAnyThreadCount) {
  Data a({90, 20, 2, 16, 24}), b({2, 20, 2, 16, 24});
  std::vector<float> state_a = a.state, state_b = b.state;
  const StateSpace calls[] = {a.call(0, 90, state_a.data()), b.call(0, 2, state_b.data())};
  state_space(a.weights(), {calls, 1});
  state_space(a.weights(), {calls + 1, 1});
  const std::vector<float> alone_a = a.out, alone_b = b.out, after_a = state_a;
  for (const std::size_t threads : {1, 2, 5}) {
    state_a = a.state;
    state_b = b.state;
    std::fill(a.out.begin(), a.out.end(), 77.0f);
    std::fill(b.out.begin(), b.out.end(), 77.0f);
    set_thread_count(threads);
    state_space(a.weights(), calls);
    EXPECT_EQ(a.out, alone_a) << threads;
    EXPECT_EQ(b.out, alone_b) << threads;
    EXPECT_EQ(state_a, after_a) << threads;
  }
  set_thread_count(0);
}

TEST(StateSpace, Gradient) {
  for (const Case& c : {Case{1, 1, 1, 4, 5}, Case{20, 4, 2, 3, 5, true, true, 0.3f, 1.5f}, Case{20, 2, 1, 3, 5, false},
                        Case{150, 10, 1, 3, 4}}) {
    Data data(c);
    const StateSpaceWeights weights = data.weights();
    // No step within a difference of its limits, where it has no slope.
    for (std::size_t i = 0; i < data.dt.size(); ++i) {
      const std::size_t head = i % data.dt_stride;
      const double raw = static_cast<double>(data.dt[i]) + (c.bias && head < c.heads ? data.bias[head] : 0.0f);
      const double step = std::log1p(std::exp(raw));
      if (std::abs(step - c.least) < 0.03 || std::abs(step - c.most) < 0.03) data.dt[i] += 0.2f;
    }
    std::vector<float> dxbc(data.xbc.size(), 0.0f), ddt(data.dt.size(), 0.0f);
    const std::vector<float> dout = random_values(c.tokens * data.x_size, 7);
    const StateSpace forward = data.call(0, c.tokens, nullptr);
    float *const dx = dxbc.data(), *const db = dx + data.x_size, *const dc = db + data.b_size;
    const StateSpaceGradient call{forward.x,   forward.b, forward.c, data.stride, data.dt.data(), data.dt_stride,
                                  dout.data(), dx,        db,        dc,          ddt.data(),     c.tokens};
    state_space_gradient(weights, {&call, 1});
    const auto loss = [&] {
      state_space(weights, {&forward, 1});
      double sum = 0;
      for (std::size_t i = 0; i < dout.size(); ++i)
        sum += static_cast<double>(dout[i]) *
               static_cast<double>(data.out[i / data.x_size * data.out_stride + i % data.x_size]);
      return sum;
    };
    expect_gradient(data.xbc, dxbc, loss, "x, b and c", c.tokens > 100 ? 37 : 1);
    expect_gradient(data.dt, ddt, loss, "dt", c.tokens > 100 ? 11 : 1);
  }
}

}  // namespace state_space_test
}  // namespace strata::kernel
