// The chunk's tokens correct the state one after the other. With N strictly lower triangular, their corrections u solve
// (I - N) u = beta (v - what the state before the chunk gives): by substitution, in blocks whose effect on later ones
// is a product.
#include "kernel/delta_chunk.h"

#include <algorithm>
#include <cmath>

#include "core/checked.h"
#include "kernel/scratch.h"

namespace strata::kernel {
namespace {

constexpr std::size_t kBlock = 16;  // rows that are substituted one by one

}  // namespace

float normalize(const RowKernel& rows, const float* x, std::size_t size, float scale, float* out) {
  const float factor = scale / std::sqrt(rows.dot(x, x, size) + kDeltaNormEpsilon);
  std::copy_n(x, size, out);
  rows.scale(out, size, factor);
  return factor;
}

void DeltaChunk::carve() {
  const std::size_t n = count;
  struct Part {
    float** place;
    std::size_t size;
  };
  const Part parts[] = {{&stacked, 2 * n * k_dim}, {&factors, 2 * n},    {&similar, 2 * n * n}, {&weights, 2 * n * n},
                        {&read, 2 * n * v_dim},    {&missed, n * v_dim}, {&updates, n * v_dim}};
  std::size_t all = 0;
  for (const Part& part : parts) all += round_up(part.size, 16);
  thread_local Scratch scratch;
  float* next = scratch.floats(all);
  for (const Part& part : parts) {
    *part.place = next;
    next += round_up(part.size, 16);
  }
}

void DeltaChunk::load_rows(const DeltaHead& head, std::size_t first) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(k_dim));
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t at = (first + i) * head.stride;
    factors[i] = normalize(rows_, head.k + at, k_dim, 1.0f, stacked + i * k_dim);
    factors[count + i] = normalize(rows_, head.q + at, k_dim, scale, stacked + (count + i) * k_dim);
  }
  decays.fill(rows_, head.decay + first * head.heads, head.heads, count);
}

void DeltaChunk::weigh(const DeltaHead& head, std::size_t first) {
  std::fill_n(weights, 2 * count * count, 0.0f);
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t key = i * count, query = (count + i) * count;
    rows_.multiply(similar + key, decays.pairs + key, i, weights + key);
    rows_.scale(weights + key, i, -head.beta[(first + i) * head.heads]);
    rows_.multiply(similar + query, decays.pairs + key, i + 1, weights + query);
  }
}

void DeltaChunk::load(const DeltaHead& head, std::size_t first, std::size_t tokens, const float* state) {
  count = tokens, k_dim = head.k_dim, v_dim = head.v_dim;
  carve();
  load_rows(head, first);
  multiply_small(kernel_, {stacked, k_dim}, {stacked, k_dim, true}, 2 * count, count, k_dim, similar, count,
                 Update::store);
  multiply_small(kernel_, {stacked, k_dim}, {state, v_dim}, 2 * count, v_dim, k_dim, read, v_dim, Update::store);
  weigh(head, first);
  for (std::size_t i = 0; i < count; ++i) {
    float* const row = missed + i * v_dim;
    std::copy_n(head.v + (first + i) * head.stride, v_dim, row);
    rows_.add_scaled(row, read + i * v_dim, v_dim, -decays.from_start[i]);
    std::copy_n(row, v_dim, updates + i * v_dim);
    rows_.scale(updates + i * v_dim, v_dim, head.beta[(first + i) * head.heads]);
  }
  solve(updates);
}

void DeltaChunk::solve(float* x) {
  for (std::size_t begin = 0; begin < count; begin += kBlock) {
    const std::size_t end = std::min(count, begin + kBlock);
    if (begin > 0)
      multiply_small(kernel_, {weights + begin * count, count}, {x, v_dim}, end - begin, v_dim, begin,
                     x + begin * v_dim, v_dim, Update::add);
    for (std::size_t i = begin + 1; i < end; ++i)
      for (std::size_t j = begin; j < i; ++j)
        rows_.add_scaled(x + i * v_dim, x + j * v_dim, v_dim, weights[i * count + j]);
  }
}

void DeltaChunk::solve_turned(float* x) {
  for (std::size_t end = count; end > 0;) {
    const std::size_t begin = (end - 1) / kBlock * kBlock;
    if (end < count)
      multiply_small(kernel_, {weights + end * count + begin, count, true}, {x + end * v_dim, v_dim}, end - begin,
                     v_dim, count - end, x + begin * v_dim, v_dim, Update::add);
    for (std::size_t i = end - 1; i > begin; --i)
      for (std::size_t j = begin; j < i; ++j)
        rows_.add_scaled(x + j * v_dim, x + i * v_dim, v_dim, weights[i * count + j]);
    end = begin;
  }
}

void DeltaChunk::put_out(float* out, std::size_t out_stride) {
  for (std::size_t i = 0; i < count; ++i) {
    std::copy_n(read + (count + i) * v_dim, v_dim, out + i * out_stride);
    rows_.scale(out + i * out_stride, v_dim, decays.from_start[i]);
  }
  multiply_small(kernel_, {weights + count * count, count}, {updates, v_dim}, count, v_dim, count, out, out_stride,
                 Update::add);
}

void DeltaChunk::carry(float* state) {
  rows_.scale(state, k_dim * v_dim, decays.from_start[count - 1]);
  for (std::size_t i = 0; i < count; ++i) rows_.scale(stacked + i * k_dim, k_dim, decays.to_end[i]);
  multiply_small(kernel_, {stacked, k_dim, true}, {updates, v_dim}, k_dim, v_dim, count, state, v_dim, Update::add);
}

}  // namespace strata::kernel
