// Compares the gated delta rule of every variant with its definition, token by token in double: whole sequences, pieces
// with a state, batches; and its gradient with central differences.
#include "kernel/delta_rule.h"

#include <cmath>

#include "core/threads.h"
#include "kernel/differences.h"
#include "kernel/fixtures.h"

namespace strata::kernel {
namespace delta_rule_test {

struct Case {
  std::size_t tokens, k_heads, v_heads, k_dim, v_dim;
  float least_decay = -0.5f;
  bool tiled = false;
};

struct Data {
  Case c;
  std::size_t key_size = c.k_heads * c.k_dim, value_size = c.v_heads * c.v_dim, stride = 2 * key_size + value_size + 3;
  std::vector<float> qkv = normal(c.tokens * stride, 1), decay = normal(c.tokens * c.v_heads, 2),
                     beta = normal(c.tokens * c.v_heads, 3),
                     out = std::vector<float>(c.tokens * (value_size + 2), 77.0f),
                     state = normal(c.v_heads * c.k_dim * c.v_dim, 4);

  explicit Data(const Case& given) : c(given) {
    for (float& v : decay) v = c.least_decay * (0.5f + 0.5f * std::sin(v));
    for (float& v : beta) v = 1.0f / (1.0f + std::exp(-v));
  }
  DeltaRule call(std::size_t first, std::size_t count, float* with) {
    const float* const row = qkv.data() + first * stride;
    return {row,
            row + key_size,
            row + 2 * key_size,
            stride,
            decay.data() + first * c.v_heads,
            beta.data() + first * c.v_heads,
            with,
            out.data() + first * (value_size + 2),
            value_size + 2,
            count,
            c.k_heads,
            c.v_heads,
            c.k_dim,
            c.v_dim,
            c.tiled};
  }
};

std::vector<double> unit(const float* x, std::size_t size) {
  double squares = 1e-6;
  for (std::size_t i = 0; i < size; ++i) squares += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  std::vector<double> y(x, x + size);
  for (double& v : y) v /= std::sqrt(squares);
  return y;
}

struct Expected {
  std::vector<double> out, state;  // (tokens, v_heads * v_dim), (v_heads, k_dim, v_dim)
};
Expected expected(const Data& data, const std::vector<float>& begin) {
  const Case& c = data.c;
  Expected e{std::vector<double>(c.tokens * data.value_size), {begin.begin(), begin.end()}};
  for (std::size_t h = 0; h < c.v_heads; ++h) {
    double* const s = e.state.data() + h * c.k_dim * c.v_dim;
    const std::size_t kh = c.tiled ? h % c.k_heads : h / (c.v_heads / c.k_heads);
    for (std::size_t t = 0; t < c.tokens; ++t) {
      const float* const row = data.qkv.data() + t * data.stride;
      const std::vector<double> q = unit(row + kh * c.k_dim, c.k_dim),
                                k = unit(row + data.key_size + kh * c.k_dim, c.k_dim);
      for (std::size_t i = 0; i < c.k_dim * c.v_dim; ++i)
        s[i] *= std::exp(static_cast<double>(data.decay[t * c.v_heads + h]));
      for (std::size_t j = 0; j < c.v_dim; ++j) {
        double held = 0, out = 0;
        for (std::size_t i = 0; i < c.k_dim; ++i) held += k[i] * s[i * c.v_dim + j];
        const double update = static_cast<double>(data.beta[t * c.v_heads + h]) *
                              (static_cast<double>(row[2 * data.key_size + h * c.v_dim + j]) - held);
        for (std::size_t i = 0; i < c.k_dim; ++i) {
          s[i * c.v_dim + j] += k[i] * update;
          out += q[i] * s[i * c.v_dim + j] / std::sqrt(static_cast<double>(c.k_dim));
        }
        e.out[t * data.value_size + h * c.v_dim + j] = out;
      }
    }
  }
  return e;
}

void expect_results(const char* name, const Data& data, const Expected& want, const std::vector<float>* state) {
  const std::size_t stride = data.value_size + 2;
  for (std::size_t t = 0; t < data.c.tokens; ++t) {
    for (std::size_t i = 0; i < data.value_size; ++i)
      ASSERT_NEAR(data.out[t * stride + i], want.out[t * data.value_size + i], 2e-5)
          << name << " token " << t << " of " << data.c.tokens << " value " << i;
    ASSERT_EQ(data.out[t * stride + data.value_size], 77.0f) << name;
  }
  for (std::size_t i = 0; state != nullptr && i < state->size(); ++i)
    ASSERT_NEAR((*state)[i], want.state[i], 5e-5) << name << " " << i;
}

const Case kCases[] = {{1, 1, 1, 16, 16},           {3, 2, 4, 16, 8},          {5, 1, 1, 1, 1},
                       {64, 1, 2, 20, 33},          {65, 2, 2, 128, 128},      {150, 2, 4, 24, 40},
                       {130, 1, 1, 64, 32, -30.0f}, {200, 1, 1, 32, 16, 0.0f}, {70, 2, 6, 16, 8, -0.5f, true}};

TEST(DeltaRule, EveryVariantEqualsItsDefinition) {
  for (const Variant* variant : runnable())
    for (const Case& c : kCases) {
      Data data(c);
      const DeltaRule fresh = data.call(0, c.tokens, nullptr);
      delta_rule(*variant, {&fresh, 1});
      expect_results(variant->name, data, expected(data, std::vector<float>(data.state.size(), 0.0f)), nullptr);
      std::vector<float> state = data.state;
      const DeltaRule call = data.call(0, c.tokens, state.data());
      delta_rule(*variant, {&call, 1});
      expect_results(variant->name, data, expected(data, data.state), &state);
      if (HasFatalFailure()) return;
    }
}

TEST(DeltaRule, PiecesWithAStateAreTheWhole) {
  for (const Variant* variant : runnable()) {
    Data data({150, 2, 4, 24, 40});
    std::vector<float> state = data.state;
    std::size_t first = 0;
    for (const std::size_t count : {1u, 1u, 90u, 2u, 1u, 5u, 49u, 1u}) {
      const DeltaRule call = data.call(first, count, state.data());
      delta_rule(*variant, {&call, 1});
      first += count;
    }
    ASSERT_EQ(first, data.c.tokens);
    expect_results(variant->name, data, expected(data, data.state), &state);
  }
}

TEST(DeltaRule, ABatchEqualsItsSequencesAloneAtAnyThreadCount) {
  Data a({90, 2, 4, 16, 24}), b({2, 2, 4, 16, 24});
  std::vector<float> state_a = a.state, state_b = b.state;
  const DeltaRule calls[] = {a.call(0, 90, state_a.data()), b.call(0, 2, state_b.data())};
  delta_rule({calls, 1});
  delta_rule({calls + 1, 1});
  const std::vector<float> alone_a = a.out, alone_b = b.out, after_a = state_a;
  for (const std::size_t threads : {1, 2, 5}) {
    state_a = a.state;
    state_b = b.state;
    std::fill(a.out.begin(), a.out.end(), 77.0f);
    std::fill(b.out.begin(), b.out.end(), 77.0f);
    set_thread_count(threads);
    delta_rule(calls);
    EXPECT_EQ(a.out, alone_a) << threads;
    EXPECT_EQ(b.out, alone_b) << threads;
    EXPECT_EQ(state_a, after_a) << threads;
  }
  set_thread_count(0);
}

TEST(DeltaRule, Gradient) {
  for (const Case& c :
       {Case{1, 1, 1, 6, 5}, Case{20, 1, 2, 6, 5}, Case{150, 2, 2, 8, 4}, Case{20, 2, 4, 6, 5, -0.5f, true}}) {
    Data data(c);
    std::vector<float> dqkv(data.qkv.size(), 9.0f), ddecay(data.decay.size(), 9.0f), dbeta(data.beta.size(), 9.0f);
    const std::vector<float> dout = random_values(c.tokens * data.value_size, 5);
    for (std::size_t t = 0; t < c.tokens; ++t)  // no gradient between the rows
      for (std::size_t i = 2 * data.key_size + data.value_size; i < data.stride; ++i) dqkv[t * data.stride + i] = 0.0f;
    const float *const q = data.qkv.data(), *const k = q + data.key_size, *const v = k + data.key_size;
    float *const dq = dqkv.data(), *const dk = dq + data.key_size, *const dv = dk + data.key_size;
    const DeltaRuleGradient call{q,           k,         v,         data.stride, data.decay.data(), data.beta.data(),
                                 dout.data(), dq,        dk,        dv,          ddecay.data(),     dbeta.data(),
                                 c.tokens,    c.k_heads, c.v_heads, c.k_dim,     c.v_dim,           c.tiled};
    delta_rule_gradient({&call, 1});
    const auto loss = [&] {
      const DeltaRule forward = data.call(0, c.tokens, nullptr);
      delta_rule({&forward, 1});
      double sum = 0;
      for (std::size_t i = 0; i < dout.size(); ++i)
        sum += static_cast<double>(dout[i]) *
               static_cast<double>(data.out[i / data.value_size * (data.value_size + 2) + i % data.value_size]);
      return sum;
    };
    const std::size_t each = c.tokens > 100 ? 37 : 1;
    expect_gradient(data.qkv, dqkv, loss, "q, k and v", each);
    expect_gradient(data.decay, ddecay, loss, "decay", c.tokens > 100 ? 7 : 1);
    expect_gradient(data.beta, dbeta, loss, "beta", c.tokens > 100 ? 7 : 1);
  }
}

}  // namespace delta_rule_test
}  // namespace strata::kernel
