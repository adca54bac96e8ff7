// Compares attention of every variant with softmax(q k^T scale) v in double, with and without window, chunk, group,
// offset, cap of the scores and sinks.
// Unread memory is filled with NaN: rows beyond the last visible key and the gaps between rows.
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/threads.h"
#include "kernel/fixtures.h"

namespace strata::kernel {
namespace attention_test {

struct Case {
  std::size_t tokens, first_position, heads, kv_heads, head_dim, window;
  std::size_t chunk = 0;
  float softcap = 0.0f;
  bool sinks = false;
  std::size_t v_dim = 0;
  bool slopes = false;

  std::size_t value_dim() const { return v_dim == 0 ? head_dim : v_dim; }
};

struct Data {
  Case c;
  std::size_t q_stride, kv_stride, out_stride, v_stride;
  std::vector<float> q, k, v, out, sinks, slopes;

  explicit Data(const Case& given) : c(given) {
    q_stride = c.heads * c.head_dim + 3;
    kv_stride = c.kv_heads * c.head_dim + 5;
    out_stride = c.heads * c.value_dim() + 3;
    v_stride = c.kv_heads * c.value_dim() + 5;
    const std::size_t keys = c.first_position + c.tokens;
    q = normal(c.tokens * q_stride, 1);
    k = normal(keys * kv_stride, 2);
    v = normal(keys * v_stride, 3);
    for (std::size_t i = 0; i < keys; ++i)
      for (std::size_t j = 1; j <= 5; ++j)
        k[(i + 1) * kv_stride - j] = v[(i + 1) * v_stride - j] = std::numeric_limits<float>::quiet_NaN();
    out.assign(c.tokens * out_stride, 77.0f);
    sinks = normal(c.heads, 4);
    for (std::size_t h = 0; h < c.heads; ++h) slopes.push_back(0.5f / static_cast<float>(1 + h));
  }
  Attention call() {
    return {q.data(),
            q_stride,
            k.data(),
            v.data(),
            kv_stride,
            out.data(),
            out_stride,
            c.tokens,
            c.first_position,
            c.heads,
            c.kv_heads,
            c.head_dim,
            c.window,
            0.3f,
            c.softcap,
            c.sinks ? sinks.data() : nullptr,
            c.chunk,
            c.v_dim,
            c.v_dim == 0 ? 0 : v_stride,
            c.slopes ? slopes.data() : nullptr};
  }
  /// The output of one head of one token.
  std::vector<double> expected(std::size_t t, std::size_t head) const {
    const std::size_t p = c.first_position + t, kv = head / (c.heads / c.kv_heads);
    std::size_t begin = c.window == 0 || p < c.window ? 0 : p - c.window + 1;
    while (c.chunk != 0 && begin / c.chunk != p / c.chunk) ++begin;
    double most = c.sinks ? static_cast<double>(sinks[head]) : -1e300, total = 0;
    std::vector<double> scores, sums(c.value_dim());
    for (std::size_t j = begin; j <= p; ++j) {
      double s = 0;
      for (std::size_t i = 0; i < c.head_dim; ++i)
        s += static_cast<double>(q[t * q_stride + head * c.head_dim + i]) * k[j * kv_stride + kv * c.head_dim + i];
      s *= static_cast<double>(0.3f);
      if (c.slopes) s -= static_cast<double>(slopes[head]) * static_cast<double>(p - j);
      if (c.softcap != 0.0f) s = c.softcap * std::tanh(s / c.softcap);
      scores.push_back(s);
      most = std::max(most, scores.back());
    }
    if (c.sinks) total = std::exp(static_cast<double>(sinks[head]) - most);
    for (std::size_t j = begin; j <= p; ++j) {
      const double e = std::exp(scores[j - begin] - most);
      total += e;
      for (std::size_t d = 0; d < sums.size(); ++d) sums[d] += e * v[j * v_stride + kv * sums.size() + d];
    }
    for (double& sum : sums) sum /= total;
    return sums;
  }
};

/// Some tokens of long sequences, every token of short ones; all dimensions.
void expect_attention(const Variant& variant, const Data& data) {
  const Case& c = data.c;
  for (std::size_t t = 0; t<c.tokens; t += c.tokens> 40 ? 19 : 1) {
    for (std::size_t h = 0; h < c.heads; ++h) {
      const std::vector<double> want = data.expected(t, h);
      for (std::size_t d = 0; d < want.size(); ++d)
        ASSERT_NEAR(data.out[t * data.out_stride + h * want.size() + d], want[d], 2e-5)
            << variant.name << " token " << t << " head " << h << " dim " << d << " of tokens " << c.tokens << " after "
            << c.first_position << " heads " << c.heads << "/" << c.kv_heads << " x " << c.head_dim << " window "
            << c.window << " chunk " << c.chunk << " softcap " << c.softcap << " sinks " << c.sinks << " values of "
            << want.size();
    }
    for (std::size_t i = c.heads * c.value_dim(); i < data.out_stride; ++i)
      ASSERT_EQ(data.out[t * data.out_stride + i], 77.0f) << variant.name;
  }
}

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {
      Case{1, 0, 1, 1, 64, 0}, Case{5, 0, 4, 2, 8, 0}, Case{33, 0, 9, 3, 64, 0}, Case{1, 300, 9, 3, 64, 0},
      Case{20, 131, 2, 1, 100, 0}, Case{150, 0, 3, 1, 33, 0}, Case{150, 20, 4, 4, 16, 40}, Case{1, 400, 8, 2, 128, 50},
      Case{300, 0, 2, 1, 24, 1}, Case{2, 127, 12, 1, 1, 0}, Case{270, 0, 16, 1, 64, 200},
      // With a cap of the scores, chunks and sinks.
      Case{33, 0, 9, 3, 64, 0, 0, 2.0f}, Case{1, 300, 9, 3, 64, 0, 0, 2.0f}, Case{150, 20, 4, 4, 17, 40, 0, 0.5f},
      Case{300, 0, 2, 1, 24, 0, 64}, Case{150, 77, 4, 2, 33, 0, 100}, Case{1, 192, 8, 2, 64, 0, 64},
      Case{1, 191, 8, 2, 64, 0, 64}, Case{9, 250, 2, 1, 16, 40, 32}, Case{40, 10, 2, 1, 16, 7, 32},
      Case{5, 0, 4, 2, 8, 0, 1}, Case{33, 0, 9, 3, 64, 0, 0, 0.0f, true}, Case{1, 300, 9, 3, 64, 0, 0, 0.0f, true},
      Case{150, 20, 16, 2, 16, 1, 0, 0.0f, true}, Case{150, 131, 4, 2, 20, 90, 64, 3.0f, true},
      // With scores that fall with the distance.
      Case{33, 0, 9, 3, 64, 0, 0, 0.0f, false, 0, true}, Case{1, 300, 9, 3, 64, 0, 0, 0.0f, false, 0, true},
      Case{150, 20, 4, 2, 16, 40, 0, 0.0f, true, 0, true},
      // With values of another size than the keys.
      Case{40, 0, 3, 3, 192, 0, 0, 0.0f, false, 128}, Case{1, 300, 3, 3, 192, 0, 0, 0.0f, false, 128},
      Case{150, 20, 4, 2, 24, 40, 0, 0.5f, true, 17}, Case{33, 3, 4, 1, 16, 0, 0, 0.0f, false, 70}};
  return all;
}

TEST(Attention, EveryVariantEqualsSoftmaxInDouble) {
  for (const Variant* variant : runnable())
    for (const Case& c : cases()) {
      Data data(c);
      const Attention call = data.call();
      attention(*variant, {&call, 1});
      expect_attention(*variant, data);
      if (HasFatalFailure()) return;
    }
}

constexpr std::size_t kRoom = 3;  // positions after the last key

/// Rounds rows of keys or values to bf16, and returns them by heads; what is no key is NaN.
std::vector<bf16> rounded_by_heads(std::vector<float>& rows, std::size_t stride, const Case& c, std::size_t dim) {
  const std::size_t keys = c.first_position + c.tokens, capacity = keys + kRoom;
  std::vector<bf16> result(c.kv_heads * capacity * dim, to_bf16(std::numeric_limits<float>::quiet_NaN()));
  for (std::size_t h = 0; h < c.kv_heads; ++h)
    for (std::size_t key = 0; key < keys; ++key)
      for (std::size_t i = 0; i < dim; ++i) {
        float& value = rows[key * stride + h * dim + i];
        value = to_float(result[(h * capacity + key) * dim + i] = to_bf16(value));
      }
  return result;
}

/// With keys and values rounded to bf16 and handed over as such.
void expect_short(const Variant& variant, const Case& c) {
  Data data(c);
  const std::vector<bf16> k = rounded_by_heads(data.k, data.kv_stride, c, c.head_dim),
                          v = rounded_by_heads(data.v, data.v_stride, c, c.value_dim());
  Attention call = data.call();
  call.k = call.v = nullptr;
  call.short_k = k.data();
  call.short_v = v.data();
  call.short_capacity = c.first_position + c.tokens + kRoom;
  attention(variant, {&call, 1});
  expect_attention(variant, data);
}

TEST(Attention, KeysAndValuesInBf16AreMultipliedAsTheyAre) {
  for (const Variant* variant : runnable())
    for (const Case& c : cases()) ASSERT_NO_FATAL_FAILURE(expect_short(*variant, c));
}

TEST(Attention, ManyKeysInBf16AreMetInShares) {
  for (const Variant* variant : runnable())
    for (const Case& c : {Case{1, 1023, 6, 2, 32, 0}, Case{1, 1024, 6, 2, 32, 0}, Case{1, 3000, 9, 3, 64, 0},
                          Case{1, 2500, 4, 2, 16, 300, 0, 0.5f, true}, Case{1, 2500, 4, 2, 16, 0, 0, 0.0f, true},
                          Case{1, 2100, 40, 2, 20, 0, 0, 0.0f, false, 17}})
      ASSERT_NO_FATAL_FAILURE(expect_short(*variant, c));
}

TEST(Attention, ASinkOfMinusInfinityIsNoneAndALargeOneTakesAll) {
  for (const Variant* variant : runnable()) {
    Data plain({20, 3, 4, 2, 16, 0}), with({20, 3, 4, 2, 16, 0, 0, 0.0f, true});
    with.sinks = {-std::numeric_limits<float>::infinity(), 1000.0f, -std::numeric_limits<float>::infinity(), -1000.0f};
    const Attention calls[] = {plain.call(), with.call()};
    attention(*variant, calls);
    for (std::size_t t = 0; t < 20; ++t)
      for (std::size_t i = 0; i < 64; ++i) {
        const float want = i / 16 == 1 ? 0.0f : plain.out[t * plain.q_stride + i];
        EXPECT_EQ(with.out[t * with.q_stride + i], want) << variant->name << " " << t << " " << i;
      }
  }
}

TEST(Attention, TheFirstKeyIsTheLaterOfWindowAndChunk) {
  EXPECT_EQ(first_key(100, 0, 0), 0u);
  EXPECT_EQ(first_key(100, 1, 0), 100u);
  EXPECT_EQ(first_key(100, 101, 0), 0u);
  EXPECT_EQ(first_key(100, 100, 0), 1u);
  EXPECT_EQ(first_key(100, 0, 32), 96u);
  EXPECT_EQ(first_key(127, 0, 32), 96u);
  EXPECT_EQ(first_key(128, 0, 32), 128u);
  EXPECT_EQ(first_key(100, 3, 32), 98u);
  EXPECT_EQ(first_key(100, 20, 32), 96u);
}

TEST(Attention, ABatchEqualsItsSequencesAloneAtAnyThreadCount) {
  for (const Variant* variant : runnable()) {
    Data a({70, 0, 6, 2, 32, 0}), b({9, 50, 6, 2, 32, 0});
    const Attention calls[] = {a.call(), b.call()};
    set_thread_count(1);
    attention(*variant, {calls, 1});
    attention(*variant, {calls + 1, 1});
    const std::vector<float> alone_a = a.out, alone_b = b.out;
    for (const std::size_t threads : {1, 2, 5}) {
      std::fill(a.out.begin(), a.out.end(), 77.0f);
      std::fill(b.out.begin(), b.out.end(), 77.0f);
      set_thread_count(threads);
      attention(*variant, calls);
      EXPECT_EQ(a.out, alone_a) << variant->name << " " << threads;
      EXPECT_EQ(b.out, alone_b) << variant->name << " " << threads;
    }
    set_thread_count(0);
  }
}

TEST(Attention, HugeScoresDoNotOverflow) {
  for (const Variant* variant : runnable()) {
    Data data({40, 0, 2, 1, 16, 0});
    for (float& q : data.q) q *= 1000;
    const Attention call = data.call();
    attention(*variant, {&call, 1});
    for (std::size_t t = 0; t < 40; ++t)
      for (std::size_t i = 0; i < 32; ++i) EXPECT_TRUE(std::isfinite(data.out[t * data.q_stride + i])) << variant->name;
  }
}

}  // namespace attention_test
}  // namespace strata::kernel
