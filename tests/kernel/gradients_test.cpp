// Compares gradients of the operations with central differences of the operations themselves.
// The loss is a fixed random weighting of the outputs.
#include "kernel/gradients.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "kernel/differences.h"
#include "kernel/ops.h"

namespace strata::kernel {
namespace gradients_test {

TEST(Gradients, TransposeIsExact) {
  const std::size_t rows = 70, cols = 131, stride = 140;
  const std::vector<float> in = random_values(rows * stride, 1);
  std::vector<float> out(cols * rows);
  transpose(in.data(), stride, rows, cols, out.data());
  for (std::size_t r = 0; r < rows; ++r)
    for (std::size_t c = 0; c < cols; ++c) ASSERT_EQ(out[c * rows + r], in[r * stride + c]);
}

TEST(Gradients, RmsNorm) {
  const std::size_t tokens = 3, size = 10;
  std::vector<float> x = random_values(tokens * size, 1), y(x.size()), dx(x.size());
  std::vector<float> weight = random_values(size, 2);
  const std::vector<float> dy = random_values(x.size(), 3);
  const auto loss = [&] {
    rms_norm(x.data(), weight.data(), tokens, size, 1e-5f, y.data());
    return dot(y, dy);
  };
  rms_norm_gradient(x.data(), weight.data(), dy.data(), tokens, size, 1e-5f, dx.data());
  expect_gradient(x, dx, loss, "x");
  std::vector<float> dweight(size, 0.0f);
  rms_norm_weight_gradient(x.data(), dy.data(), tokens, size, 1e-5f, dweight.data());
  expect_gradient(weight, dweight, loss, "weight");
}

TEST(Gradients, L2Norm) {
  const std::size_t rows = 3, size = 10;
  std::vector<float> x = random_values(rows * size, 1), y(x.size()), dx(x.size());
  const std::vector<float> dy = random_values(x.size(), 3);
  l2_norm_gradient(x.data(), dy.data(), rows, size, 1e-3f, dx.data());
  expect_gradient(
      x, dx,
      [&] {
        l2_norm(x.data(), rows, size, 1e-3f, y.data());
        return dot(y, dy);
      },
      "x");
}

TEST(Gradients, LayerNorm) {
  const std::size_t tokens = 3, size = 70;  // more than a tile of sums over tokens
  std::vector<float> x = random_values(tokens * size, 1), y(x.size()), dx(x.size());
  std::vector<float> weight = random_values(size, 2);
  const std::vector<float> dy = random_values(x.size(), 3);
  for (float& v : x) v += 2.0f;
  const auto loss = [&] {
    layer_norm(x.data(), weight.data(), tokens, size, 1e-5f, y.data());
    return dot(y, dy);
  };
  layer_norm_gradient(x.data(), weight.data(), dy.data(), tokens, size, 1e-5f, dx.data());
  expect_gradient(x, dx, loss, "x");
  std::vector<float> dweight(size, 0.0f);
  layer_norm_weight_gradient(x.data(), dy.data(), tokens, size, 1e-5f, dweight.data());
  expect_gradient(weight, dweight, loss, "weight");
}

/// A rotation's gradient against finite differences of the rotation.
void expect_rope_gradient(decltype(&rope) turn, decltype(&rope_gradient) turn_back) {
  const std::size_t tokens = 3, heads = 2, head_dim = 10, half = 4;  // the last two of a head are not rotated
  std::vector<float> x = random_values(tokens * heads * head_dim, 1), y, cos, sin;
  for (const float angle : random_values(tokens * half, 2)) {
    cos.push_back(std::cos(angle));
    sin.push_back(std::sin(angle));
  }
  const std::vector<float> dy = random_values(x.size(), 3);
  std::vector<float> dx = dy;
  turn_back(dx.data(), tokens, heads, head_dim, cos.data(), sin.data(), half);
  expect_gradient(
      x, dx,
      [&] {
        y = x;
        turn(y.data(), heads * head_dim, tokens, heads, head_dim, cos.data(), sin.data(), half);
        return dot(y, dy);
      },
      "x");
}

TEST(Gradients, InterleavedRope) { expect_rope_gradient(&rope_interleaved, &rope_interleaved_gradient); }

TEST(Gradients, Rope) { expect_rope_gradient(&rope, &rope_gradient); }

TEST(Gradients, GatedActivations) {
  for (const bool silu : {true, false}) {
    std::vector<float> gate = random_values(300, 1), up = random_values(300, 2), y;
    const std::vector<float> dy = random_values(300, 3);
    gate[0] = 0.0f;
    gate[1] = 30.0f;
    gate[2] = -30.0f;
    std::vector<float> dgate = gate, dup = up;
    (silu ? silu_multiply_gradient : gelu_multiply_gradient)(dgate.data(), dup.data(), dy.data(), 300);
    const auto loss = [&] {
      y = gate;
      (silu ? silu_multiply : gelu_multiply)(y.data(), up.data(), 300);
      return dot(y, dy);
    };
    expect_gradient(gate, dgate, loss, silu ? "silu gate" : "gelu gate");
    expect_gradient(up, dup, loss, silu ? "silu up" : "gelu up");
  }
}

TEST(Gradients, ExactGelu) {
  std::vector<float> gate = random_values(300, 1), up = random_values(300, 2), y;
  const std::vector<float> dy = random_values(300, 3);
  gate[0] = 0.0f;
  gate[1] = 30.0f;
  gate[2] = -30.0f;
  std::vector<float> dgate = gate, dup = up;
  gelu_erf_multiply_gradient(dgate.data(), dup.data(), dy.data(), 300);
  const auto loss = [&] {
    y = gate;
    gelu_erf_multiply(y.data(), up.data(), 300);
    return dot(y, dy);
  };
  expect_gradient(gate, dgate, loss, "gate");
  expect_gradient(up, dup, loss, "up");
}

/// Random values, none within a step of the differences of a bound at +-limit.
std::vector<float> values_off(float limit, std::size_t count, std::uint64_t seed) {
  std::vector<float> values = random_values(count, seed);
  for (float& v : values)
    if (std::abs(std::abs(v) - limit) < 0.03f) v *= 1.2f;
  return values;
}

TEST(Gradients, ClampedSwiglu) {
  constexpr float limit = 0.8f, alpha = 1.702f;
  std::vector<float> gate = values_off(limit, 300, 1), up = values_off(limit, 300, 2), y;
  const std::vector<float> dy = random_values(300, 3);
  gate[0] = 30.0f;
  gate[1] = -30.0f;
  std::vector<float> dgate = gate, dup = up;
  clamped_swiglu_multiply_gradient(dgate.data(), dup.data(), dy.data(), 300, limit, alpha);
  const auto loss = [&] {
    y = gate;
    clamped_swiglu_multiply(y.data(), up.data(), 300, limit, alpha);
    return dot(y, dy);
  };
  expect_gradient(gate, dgate, loss, "gate");
  expect_gradient(up, dup, loss, "up");
}

TEST(Gradients, Clamp) {
  std::vector<float> x = values_off(0.8f, 50, 1), y;
  const std::vector<float> dy = random_values(50, 3);
  std::vector<float> dx = dy;
  clamp_gradient(x.data(), x.size(), 0.8f, dx.data());
  expect_gradient(
      x, dx,
      [&] {
        y = x;
        clamp(y.data(), y.size(), 0.8f);
        return dot(y, dy);
      },
      "x");
}

/// A naive forward pass would hide nothing here: attention itself is tested against one in attention_test.cpp.
TEST(Gradients, AttentionWithSharedHeadsWindowsChunksCapsAndSinks) {
  struct Masks {
    std::size_t window, chunk;
    float softcap;
    bool sinks;
    std::size_t v_dim = 6;
  };
  const std::size_t heads = 4, kv_heads = 2, head_dim = 6;
  const std::vector<float> sinks = random_values(heads, 5);
  for (const std::size_t tokens : {1u, 9u, 150u})  // 150: more than a stretch of queries
    for (const Masks& masks : {Masks{0, 0, 0.0f, false}, Masks{5, 0, 0.0f, false}, Masks{0, 4, 0.0f, false},
                               Masks{0, 140, 0.0f, false}, Masks{0, 0, 1.5f, false}, Masks{0, 0, 0.0f, true},
                               Masks{3, 7, 1.5f, true}, Masks{0, 0, 0.0f, false, 4}, Masks{5, 0, 1.5f, true, 9}}) {
      const std::size_t v_dim = masks.v_dim;
      const float* const sink = masks.sinks ? sinks.data() : nullptr;
      std::vector<float> q = random_values(tokens * heads * head_dim, 1),
                         k = random_values(tokens * kv_heads * head_dim, 2),
                         v = random_values(tokens * kv_heads * v_dim, 3), out(tokens * heads * v_dim);
      const std::vector<float> dout = random_values(out.size(), 4);
      std::vector<float> dq(q.size(), 9.0f), dk(k.size(), 9.0f), dv(v.size(), 9.0f);
      const AttentionGradient call{q.data(),  k.data(),      v.data(), dout.data(), dq.data(), dk.data(),
                                   dv.data(), tokens,        heads,    kv_heads,    head_dim,  masks.window,
                                   0.4f,      masks.softcap, sink,     masks.chunk, v_dim};
      attention_gradient({&call, 1}, Precision::f32);
      const auto loss = [&] {
        const Attention forward{q.data(),
                                heads * head_dim,
                                k.data(),
                                v.data(),
                                kv_heads * head_dim,
                                out.data(),
                                heads * v_dim,
                                tokens,
                                0,
                                heads,
                                kv_heads,
                                head_dim,
                                masks.window,
                                0.4f,
                                masks.softcap,
                                sink,
                                masks.chunk,
                                v_dim,
                                kv_heads * v_dim};
        attention({&forward, 1});
        return dot(out, dout);
      };
      const std::size_t each = tokens > 100 ? 97 : 1;
      expect_gradient(q, dq, loss, "q", each);
      expect_gradient(k, dk, loss, "k", each);
      expect_gradient(v, dv, loss, "v", each);
    }
}

}  // namespace gradients_test
}  // namespace strata::kernel
