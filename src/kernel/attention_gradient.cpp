// Gradient of grouped-query attention: for every key-value head, over the query heads that share it and stretches of
// queries, the probabilities again, and from them dv, dq and dk as products.
#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "core/threads.h"
#include "kernel/dispatch.h"
#include "kernel/gradients.h"

namespace strata::kernel {
namespace {

constexpr std::size_t kQueries = 128;  // of a stretch

/// One key-value head of one sequence, and what its stretches share.
struct Head {
  const AttentionGradient& a;
  const RowKernel& rows;
  Precision precision;
  std::size_t kv_head;
  std::vector<float> keys;  ///< (head_dim, tokens): K^T
  std::vector<float> scores, dscores, turned, product, queries;
  std::vector<float> slopes;  ///< of the cap at every score; none without a cap

  std::size_t first_key(std::size_t token) const { return strata::kernel::first_key(token, a.window, a.chunk); }
};

/// y (tokens, rows of w) = x w^T.
void multiply(const Head& h, const float* x, std::size_t x_stride, std::size_t tokens, const MatrixView& w, float* y,
              std::size_t y_stride) {
  matmul(x, x_stride, tokens, {w, nullptr}, y, y_stride, h.precision);
}

/// Scores -> scores under the cap, and its slopes there: 1 - tanh^2.
void soft_cap(const Head& h, float* row, float* slopes, std::size_t count) {
  h.rows.soft_cap(row, count, h.a.scale, h.a.softcap);
  for (std::size_t i = 0; i < count; ++i) {
    const float tanh = row[i] / h.a.softcap;
    slopes[i] = 1.0f - tanh * tanh;
  }
}

/// Scores of row t of a stretch of query head `head` -> probabilities; what the token does not see is 0. The token
/// itself is the last that it sees.
void soften(Head& h, std::size_t head, std::size_t t, std::size_t begin, std::size_t end, std::size_t count) {
  float* const row = h.scores.data() + t * count;
  if (h.a.slopes != nullptr)
    for (std::size_t i = begin; i < end; ++i) row[i] -= h.a.slopes[head] / h.a.scale * static_cast<float>(end - 1 - i);
  const bool capped = !h.slopes.empty();
  if (capped) soft_cap(h, row + begin, h.slopes.data() + t * count + begin, end - begin);
  const float scale = capped ? 1.0f : h.a.scale;
  float highest = h.rows.max(row + begin, end - begin) * scale;
  if (h.a.sinks != nullptr) highest = std::max(highest, h.a.sinks[head]);
  float total = h.rows.exp_scaled(row + begin, end - begin, scale, highest);
  if (h.a.sinks != nullptr) total += std::exp(h.a.sinks[head] - highest);
  h.rows.scale(row + begin, end - begin, 1.0f / total);
  std::fill(row, row + begin, 0.0f);
  std::fill(row + end, row + count, 0.0f);
}

/// to (keys, dim), rows of all key-value heads apart, += left^T right with left (queries, keys), right (queries, dim),
/// rows of all heads apart.
void add_product(Head& h, const float* left, std::size_t queries, std::size_t keys, const float* right, float* to,
                 std::size_t dim) {
  transpose(left, keys, queries, keys, h.turned.data());
  transpose(right, h.a.heads * dim, queries, dim, h.queries.data());
  multiply(h, h.turned.data(), queries, keys, MatrixView::strided(h.queries.data(), dim, queries, queries),
           h.product.data(), dim);
  for (std::size_t i = 0; i < keys; ++i) h.rows.add(to + i * h.a.kv_heads * dim, h.product.data() + i * dim, dim);
}

/// Queries [first, first + count) of one query head.
void stretch(Head& h, std::size_t head, std::size_t first, std::size_t count) {
  const AttentionGradient& a = h.a;
  const std::size_t begin = h.first_key(first), keys = first + count - begin;
  const std::size_t d = a.head_dim, q_stride = a.heads * d, k_stride = a.kv_heads * d;
  const std::size_t v_dim = a.value_dim(), out_stride = a.heads * v_dim, v_stride = a.kv_heads * v_dim;
  const std::size_t q_at = first * q_stride + head * d, k_at = begin * k_stride + h.kv_head * d;
  const std::size_t out_at = first * out_stride + head * v_dim, v_at = begin * v_stride + h.kv_head * v_dim;
  float* const p = h.scores.data();
  float* const dp = h.dscores.data();
  multiply(h, a.q + q_at, q_stride, count, MatrixView::strided(a.k + k_at, keys, d, k_stride), p, keys);
  multiply(h, a.dout + out_at, out_stride, count, MatrixView::strided(a.v + v_at, keys, v_dim, v_stride), dp, keys);
  for (std::size_t t = 0; t < count; ++t)
    soften(h, head, t, h.first_key(first + t) - begin, first + t + 1 - begin, keys);
  add_product(h, p, count, keys, a.dout + out_at, a.dv + v_at, v_dim);
  // Through the softmax: ds = p (dp - sum p dp), and the scale of the scores. A sink has no value, so no term in the
  // sum.
  for (std::size_t t = 0; t < count; ++t) {
    double sum = 0.0;
    for (std::size_t i = t * keys; i < (t + 1) * keys; ++i) sum += static_cast<double>(p[i] * dp[i]);
    const auto mean = static_cast<float>(sum);
    for (std::size_t i = t * keys; i < (t + 1) * keys; ++i) dp[i] = a.scale * p[i] * (dp[i] - mean);
  }
  for (std::size_t i = 0; i < (h.slopes.empty() ? 0 : count * keys); ++i) dp[i] *= h.slopes[i];
  multiply(h, dp, keys, count, MatrixView::strided(h.keys.data() + begin, d, keys, a.tokens), a.dq + q_at, q_stride);
  add_product(h, dp, count, keys, a.q + q_at, a.dk + k_at, d);
}

void one_head(const AttentionGradient& a, std::size_t kv_head, Precision precision) {
  Head h{a, selected_variant().rows, precision, kv_head, {}, {}, {}, {}, {}, {}, {}};
  const std::size_t most = std::min(kQueries, a.tokens);
  h.keys.resize(a.head_dim * a.tokens);
  for (std::vector<float>* buffer : {&h.scores, &h.dscores, &h.turned}) buffer->resize(most * a.tokens);
  if (a.softcap > 0.0f) h.slopes.resize(most * a.tokens);
  const std::size_t v_dim = a.value_dim(), widest = std::max(a.head_dim, v_dim);
  h.product.resize(a.tokens * widest);
  h.queries.resize(most * widest);
  transpose(a.k + kv_head * a.head_dim, a.kv_heads * a.head_dim, a.tokens, a.head_dim, h.keys.data());
  for (std::size_t t = 0; t < a.tokens; ++t) {
    std::fill_n(a.dk + (t * a.kv_heads + kv_head) * a.head_dim, a.head_dim, 0.0f);
    std::fill_n(a.dv + (t * a.kv_heads + kv_head) * v_dim, v_dim, 0.0f);
  }
  const std::size_t shared = a.heads / a.kv_heads;
  for (std::size_t head = kv_head * shared; head < (kv_head + 1) * shared; ++head)
    for (std::size_t first = 0; first < a.tokens; first += kQueries)
      stretch(h, head, first, std::min(kQueries, a.tokens - first));
}

}  // namespace

void attention_gradient(std::span<const AttentionGradient> sequences, Precision precision) {
  struct Item {
    const AttentionGradient* sequence;
    std::size_t kv_head;
  };
  std::vector<Item> items;
  for (const AttentionGradient& a : sequences) {
    STRATA_CHECK(a.kv_heads > 0 && a.heads % a.kv_heads == 0 && a.head_dim > 0, "heads {} kv_heads {} head_dim {}",
                 a.heads, a.kv_heads, a.head_dim);
    STRATA_CHECK(a.softcap >= 0.0f && (a.softcap == 0.0f || a.slopes == nullptr), "softcap {}", a.softcap);
    for (std::size_t h = 0; h < a.kv_heads; ++h) items.push_back({&a, h});
  }
  parallel_for(items.size(), [&](std::size_t i) { one_head(*items[i].sequence, items[i].kv_head, precision); });
}

}  // namespace strata::kernel
