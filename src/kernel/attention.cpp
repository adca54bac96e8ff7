// Attention by blocks of keys with a running maximum and sum (FlashAttention, arXiv 2205.14135), on the f32 matrix
// product kernels: scores = Q K^T and out += P V are register tiles; the heads of a group share the packed keys.
// A piece of work is a stretch of tokens of one key-value head. A single token is multiplied with keys in bf16 where
// they lie. Within a panel of tile_tokens tokens the keys of later ones carry probability exactly 0, so a value that is
// not finite reaches the (at most tile_tokens - 1) tokens before it.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "core/checked.h"
#include "core/error.h"
#include "core/threads.h"
#include "kernel/dispatch.h"
#include "kernel/scratch.h"

namespace strata::kernel {
namespace {

constexpr std::size_t kKeys = 128;       // keys of a block
constexpr std::size_t kPanels = 16;      // panels of queries (over heads and tokens) that share packed keys
constexpr std::size_t kMostTokens = 16;  // tile_tokens of any f32 kernel at most
constexpr std::size_t kSmallWork = 1 << 16;
constexpr std::size_t kSharedKeys = 1024;  // keys that a single token meets in one piece of work; a multiple of kKeys

struct Piece {
  const Attention* sequence;
  std::size_t kv_head, first, count;  // tokens [first, first + count)
  std::size_t first_key = 0, end_key = std::numeric_limits<std::size_t>::max();
  float* partial = nullptr;  // where a share of the keys leaves what it makes of them: see Shares
};

/// Everything of one piece of work that the steps below share; the buffers are carved out of the thread's scratch.
/// A panel is up to tile_tokens rows: neighbouring tokens of one head, or, for a single token, the heads of the group.
struct State {
  const Variant& variant;
  const MatmulKernel& kernel;
  const Attention& a;
  Piece piece;
  std::size_t group, panels_per_head, panels, width;  // width: value_dim padded to tile_rows
  float *queries, *keys, *values, *scores, *probabilities, *sums, *most, *total;

  bool by_heads() const { return piece.count == 1; }
  bool is_short() const { return a.short_k != nullptr; }
  /// Whether queries are prepared for dot products with the keys' rows, not packed for tiles.
  bool by_rows() const { return by_heads() && is_short(); }
  std::size_t query_width() const { return by_rows() ? round_up(a.head_dim, kernel.lanes) : a.head_dim; }
  float* panel_queries(std::size_t p) const { return queries + p * kernel.tile_tokens * query_width(); }
  std::size_t first_row(std::size_t p) const { return p % panels_per_head * kernel.tile_tokens; }
  std::size_t panel_rows(std::size_t p) const {
    return std::min(kernel.tile_tokens, (by_heads() ? group : piece.count) - first_row(p));
  }
  std::size_t token(std::size_t p, std::size_t row) const {
    return piece.first + (by_heads() ? 0 : first_row(p) + row);
  }
  std::size_t head(std::size_t p, std::size_t row) const {
    return piece.kv_head * group + (by_heads() ? first_row(p) + row : p / panels_per_head);
  }
  std::size_t position(std::size_t p, std::size_t row) const { return a.first_position + token(p, row); }
  float* panel_sums(std::size_t p) const { return sums + p * kernel.tile_tokens * width; }
  std::size_t first_key(std::size_t position) const { return strata::kernel::first_key(position, a.window, a.chunk); }
};

/// Before any key: no sums, and of the softmax only the sink of the row's head, which counts with the first keys.
void start_sums(const State& s) {
  constexpr float none = -std::numeric_limits<float>::infinity();
  const float* const sinks = s.piece.first_key == 0 ? s.a.sinks : nullptr;
  std::fill_n(s.sums, s.panels * s.kernel.tile_tokens * s.width, 0.0f);
  for (std::size_t p = 0; p < s.panels; ++p)
    for (std::size_t t = 0; t < s.panel_rows(p); ++t) {
      const std::size_t row = p * s.kernel.tile_tokens + t;
      s.most[row] = sinks == nullptr ? none : sinks[s.head(p, t)];
      s.total[row] = s.most[row] == none ? 0.0f : 1.0f;
    }
}

State prepare(const Variant& variant, const Piece& piece, Scratch& scratch) {
  const MatmulKernel& kernel = variant.f32;
  const Attention& a = *piece.sequence;
  const std::size_t group = a.heads / a.kv_heads, width = round_up(a.value_dim(), kernel.tile_rows);
  const std::size_t per_head = ceil_div(piece.count == 1 ? group : piece.count, kernel.tile_tokens);
  const std::size_t panels = piece.count == 1 ? per_head : group * per_head;
  State s{variant, kernel, a, piece, group, per_head, panels, width, {}, {}, {}, {}, {}, {}, {}, {}};
  const std::size_t rows = panels * kernel.tile_tokens, spill = 16;
  const std::size_t sizes[] = {
      rows * s.query_width() + spill,     kKeys * a.head_dim, kKeys * width, kernel.tile_tokens * kKeys,
      kernel.tile_tokens * kKeys + spill, rows * width,       rows,          rows};
  float** const places[] = {&s.queries, &s.keys, &s.values, &s.scores, &s.probabilities, &s.sums, &s.most, &s.total};
  std::size_t all = 0;
  for (const std::size_t size : sizes) all += round_up(size, 16);
  float* next = scratch.floats(all);
  for (std::size_t i = 0; i < std::size(sizes); ++i) {
    *places[i] = next;
    next += round_up(sizes[i], 16);
  }
  for (std::size_t p = 0; p < panels; ++p) {
    const float* const q = a.q + s.token(p, 0) * a.q_stride + s.head(p, 0) * a.head_dim;
    if (s.by_rows())
      for (std::size_t r = 0; r < s.panel_rows(p); ++r)
        kernel.prepare_x(q + r * a.head_dim, a.head_dim, s.panel_queries(p) + r * s.query_width());
    else
      kernel.pack_x(q, s.by_heads() ? a.head_dim : a.q_stride, s.panel_rows(p), a.head_dim, s.panel_queries(p));
  }
  start_sums(s);
  return s;
}

/// Rows of keys or values, `stride` bytes apart.
struct Rows {
  const std::byte* data;
  std::size_t stride;
  DType type;
};

/// Columns from `column` on of the piece's head, from position `key` on: of keys or values with `dim` columns a head,
/// in f32 with rows `stride` elements apart, or in bf16.
Rows rows_at(const State& s, const float* wide, std::size_t stride, const bf16* narrow, std::size_t dim,
             std::size_t key, std::size_t column) {
  const std::size_t head = s.piece.kv_head;
  if (narrow == nullptr)
    return {reinterpret_cast<const std::byte*>(wide + key * stride + head * dim + column), stride * sizeof(float),
            DType::f32};
  const bf16* const first = narrow + (head * s.a.short_capacity + key) * dim + column;
  return {reinterpret_cast<const std::byte*>(first), dim * sizeof(bf16), DType::bf16};
}

Rows keys_at(const State& s, std::size_t key) {
  return rows_at(s, s.a.k, s.a.kv_stride, s.a.short_k, s.a.head_dim, key, 0);
}

void pack_keys(const State& s, std::size_t key, std::size_t count) {
  const std::size_t step = s.kernel.tile_rows;
  const Rows k = keys_at(s, key);
  for (std::size_t i = 0; i < count; i += step)
    s.kernel.pack_w(k.data + i * k.stride, k.stride, k.type, std::min(step, count - i), s.a.head_dim,
                    s.keys + i * s.a.head_dim);
}

/// One panel uses a value once: it is read where it lies, unless a tile would reach into the next head.
bool values_in_place(const State& s) { return s.panels == 1 && s.a.value_dim() == s.width && !s.is_short(); }

/// Stripes of tile_rows columns, each (kKeys, tile_rows).
void pack_values(const State& s, std::size_t key, std::size_t count) {
  const std::size_t dim = s.a.value_dim(), step = s.kernel.tile_rows;
  for (std::size_t d = 0; d < dim; d += step) {
    const std::size_t n = std::min(step, dim - d);
    float* const out = s.values + d * kKeys;
    const Rows v = rows_at(s, s.a.v, s.a.value_stride(), s.a.short_v, dim, key, d);
    if (s.is_short()) s.kernel.widen_rows(v.data, v.stride, count, n, out, step);
    for (std::size_t i = 0; i < count; ++i) {
      if (!s.is_short()) std::memcpy(out + i * step, v.data + i * v.stride, n * sizeof(float));
      std::fill(out + i * step + n, out + (i + 1) * step, 0.0f);
    }
  }
}

/// Takes from raw scores of keys [key, key + count) what they lose by their distance to the reader at `position`.
void lower_by_distance(const Attention& a, std::size_t head, std::size_t position, std::size_t key, std::size_t count,
                       float* scores) {
  const float slope = a.slopes[head] / a.scale;
  for (std::size_t i = 0; i < count; ++i) scores[i] -= slope * static_cast<float>(position - (key + i));
}

/// Scores of a panel against keys [key, key + count) become probabilities relative to the running maximum; the sums and
/// totals so far are rescaled to it.
void soften(const State& s, std::size_t p, std::size_t key, std::size_t count) {
  const std::size_t n = s.panel_rows(p);
  float* most = s.most + p * s.kernel.tile_tokens;
  float* total = s.total + p * s.kernel.tile_tokens;
  float factors[kMostTokens], added[kMostTokens];
  const float scale = s.a.softcap > 0.0f ? 1.0f : s.a.scale;  // of what a cap left
  for (std::size_t t = 0; t < n; ++t) {
    const std::size_t position = s.position(p, t);
    const std::size_t begin = std::clamp(s.first_key(position), key, key + count) - key;
    const std::size_t end = std::clamp(position + 1, key + begin, key + count) - key;
    float* row = s.scores + t * kKeys;
    factors[t] = added[t] = 0;
    if (begin < end) {
      if (s.a.slopes != nullptr) lower_by_distance(s.a, s.head(p, t), position, key + begin, end - begin, row + begin);
      if (s.a.softcap > 0.0f) s.variant.rows.soft_cap(row + begin, end - begin, s.a.scale, s.a.softcap);
      const float highest = std::max(most[t], s.variant.rows.max(row + begin, end - begin) * scale);
      factors[t] = most[t] - highest;
      most[t] = highest;
      added[t] = s.variant.rows.exp_scaled(row + begin, end - begin, scale, highest);
    }
    std::fill(row, row + begin, 0.0f);
    std::fill(row + end, row + count, 0.0f);
  }
  s.variant.rows.exp_scaled(factors, n, 1.0f, 0.0f);
  for (std::size_t t = 0; t < n; ++t) {
    total[t] = total[t] * factors[t] + added[t];
    if (factors[t] != 1.0f) s.variant.rows.scale(s.panel_sums(p) + t * s.width, s.width, factors[t]);
  }
}

/// The scores of a panel against `count` keys from `key` on.
void multiply_keys(const State& s, std::size_t p, std::size_t key, std::size_t count) {
  const MatmulKernel& kernel = s.kernel;
  const std::size_t n = s.panel_rows(p);
  if (s.by_rows()) {
    const Rows k = keys_at(s, key);
    return kernel.dot(s.panel_queries(p), s.query_width(), n, k.data, k.stride, k.type, count, s.a.head_dim, s.scores,
                      kKeys, Update::store);
  }
  for (std::size_t i = 0; i < count; i += kernel.tile_rows)
    kernel.tile(s.panel_queries(p), s.keys + i * s.a.head_dim, kernel.tile_rows, s.a.head_dim, n,
                std::min(kernel.tile_rows, count - i), s.scores + i, kKeys, Update::store);
}

/// One panel of queries against the block of keys from `key` on.
void attend(const State& s, std::size_t p, std::size_t key, std::size_t count) {
  const MatmulKernel& kernel = s.kernel;
  const std::size_t n = s.panel_rows(p), end = std::min(key + count, s.position(p, n - 1) + 1);
  if (end <= key || s.first_key(s.position(p, 0)) >= key + count) return;
  const std::size_t seen = end - key;
  multiply_keys(s, p, key, seen);
  soften(s, p, key, seen);
  kernel.pack_x(s.scores, kKeys, n, seen, s.probabilities);
  const bool in_place = values_in_place(s);
  const std::size_t v_stride = s.a.value_stride(), v_dim = s.a.value_dim();
  const float* v = in_place ? s.a.v + key * v_stride + s.piece.kv_head * v_dim : s.values;
  for (std::size_t d = 0; d < v_dim; d += kernel.tile_rows)
    kernel.tile(s.probabilities, in_place ? v + d : v + d * kKeys, in_place ? v_stride : kernel.tile_rows, seen, n,
                kernel.tile_rows, s.panel_sums(p) + d, s.width, Update::add);
}

/// Of a single token: the sums of each head before they are divided, then the largest score and the total of each.
void leave_partial(const State& s) {
  const std::size_t dim = s.a.value_dim();
  float* const most = s.piece.partial + s.group * dim;
  for (std::size_t p = 0; p < s.panels; ++p)
    for (std::size_t t = 0; t < s.panel_rows(p); ++t) {
      const std::size_t head = s.first_row(p) + t, row = p * s.kernel.tile_tokens + t;
      std::copy_n(s.panel_sums(p) + t * s.width, dim, s.piece.partial + head * dim);
      most[head] = s.most[row];
      most[s.group + head] = s.total[row];
    }
}

void attend_all(const Variant& variant, const Piece& piece) {
  thread_local Scratch scratch;
  const State s = prepare(variant, piece, scratch);
  const std::size_t last = std::min(s.a.first_position + piece.first + piece.count, piece.end_key);
  const std::size_t first = std::max(s.first_key(s.a.first_position + piece.first), piece.first_key);
  for (std::size_t key = first; key < last; key += kKeys) {
    const std::size_t count = std::min(kKeys, last - key);
    if (!s.by_rows()) pack_keys(s, key, count);
    if (!values_in_place(s)) pack_values(s, key, count);
    for (std::size_t p = 0; p < s.panels; ++p) attend(s, p, key, count);
  }
  if (piece.partial != nullptr) return leave_partial(s);
  for (std::size_t p = 0; p < s.panels; ++p)
    for (std::size_t t = 0; t < s.panel_rows(p); ++t) {
      float* out = s.a.out + s.token(p, t) * s.a.out_stride + s.head(p, t) * s.a.value_dim();
      std::copy_n(s.panel_sums(p) + t * s.width, s.a.value_dim(), out);
      variant.rows.scale(out, s.a.value_dim(), 1.0f / s.total[p * s.kernel.tile_tokens + t]);
    }
}

/// The keys in bf16 that a single token sees, cut into shares of kSharedKeys, whatever the threads are: a long text
/// would otherwise be read by as many threads as there are key-value heads.
class Shares {
 public:
  static std::size_t count(const Attention& a) {
    return a.tokens == 1 && a.short_k != nullptr ? ceil_div(a.first_position + 1, kSharedKeys) : 1;
  }
  explicit Shares(const Attention& a)
      : a_(a),
        group_(a.heads / a.kv_heads),
        floats_(group_ * (a.value_dim() + 2)),
        partial_(a.kv_heads * count(a) * floats_) {}

  void add_pieces(std::vector<Piece>& pieces) {
    for (std::size_t s = 0; s < count(a_); ++s)
      for (std::size_t h = 0; h < a_.kv_heads; ++h)
        pieces.push_back({&a_, h, 0, 1, s * kSharedKeys, (s + 1) * kSharedKeys, at(h, s)});
  }
  /// Puts together what the pieces have left.
  void finish(const Variant& variant) {
    for (std::size_t head = 0; head < a_.heads; ++head) {
      const std::size_t h = head / group_, g = head % group_, dim = a_.value_dim();
      const auto most = [&](std::size_t s) { return at(h, s)[group_ * dim + g]; };
      float highest = most(0), total = 0.0f;
      for (std::size_t s = 1; s < count(a_); ++s) highest = std::max(highest, most(s));
      float* const out = a_.out + head * dim;
      std::fill_n(out, dim, 0.0f);
      for (std::size_t s = 0; s < count(a_); ++s) {
        const float factor = std::exp(most(s) - highest);
        total += factor * at(h, s)[group_ * dim + group_ + g];
        variant.rows.add_scaled(out, at(h, s) + g * dim, dim, factor);
      }
      variant.rows.scale(out, dim, 1.0f / total);
    }
  }

 private:
  float* at(std::size_t kv_head, std::size_t share) {
    return partial_.data() + (kv_head * count(a_) + share) * floats_;
  }
  const Attention& a_;
  std::size_t group_, floats_;
  std::vector<float> partial_;
};

}  // namespace

void attention(const Variant& variant, std::span<const Attention> sequences) {
  std::vector<Shares> shares;
  shares.reserve(sequences.size());
  std::vector<Piece> pieces;
  std::size_t work = 0;
  for (const Attention& a : sequences) {
    STRATA_CHECK(a.kv_heads > 0 && a.heads % a.kv_heads == 0 && a.head_dim > 0, "heads {} kv_heads {} head_dim {}",
                 a.heads, a.kv_heads, a.head_dim);
    STRATA_CHECK(a.softcap >= 0.0f && (a.softcap == 0.0f || a.slopes == nullptr), "softcap {}", a.softcap);
    STRATA_CHECK((a.short_k == nullptr) == (a.short_v == nullptr));
    STRATA_CHECK(a.q_stride >= a.heads * a.head_dim && a.out_stride >= a.heads * a.value_dim());
    if (a.short_k != nullptr)
      STRATA_CHECK(a.short_capacity >= a.first_position + a.tokens);
    else
      STRATA_CHECK(a.kv_stride >= a.kv_heads * a.head_dim && a.value_stride() >= a.kv_heads * a.value_dim());
    work += a.tokens * (a.first_position + a.tokens) * a.heads * a.head_dim;
    if (Shares::count(a) > 1) {
      shares.emplace_back(a).add_pieces(pieces);
      continue;
    }
    const std::size_t step = variant.f32.tile_tokens * std::max<std::size_t>(1, kPanels / (a.heads / a.kv_heads));
    for (std::size_t i = 0; i < ceil_div(a.tokens, step); ++i)
      for (std::size_t h = 0; h < a.kv_heads; ++h)
        pieces.push_back({&a, h, i * step, std::min(step, a.tokens - i * step)});
  }
  // Later tokens see more keys: the longest pieces go first, so that threads end at about the same time.
  std::reverse(pieces.begin(), pieces.end());
  if (work < kSmallWork)
    for (const Piece& piece : pieces) attend_all(variant, piece);
  else
    parallel_for(pieces.size(), [&](std::size_t i) { attend_all(variant, pieces[i]); });
  for (Shares& share : shares) share.finish(variant);
}

void attention(std::span<const Attention> sequences) { attention(selected_variant(), sequences); }

}  // namespace strata::kernel
