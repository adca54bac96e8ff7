// The end of a block whose tokens have a row of their own for it: the row is made of the token and of its embedding,
// gated by the hidden state, and added. transformers: Gemma4TextModel and Gemma4TextDecoderLayer of modeling_gemma4.py.
#include <cmath>
#include <numbers>

#include "core/threads.h"
#include "engine/activation.h"
#include "engine/engine.h"
#include "engine/norms.h"
#include "engine/scale.h"
#include "kernel/ops.h"

namespace strata::engine {

using model::Role;

namespace {

/// out (count) = values [first, first + count) of a row, dense or stored.
void read_part(const kernel::Weights& table, std::size_t row, std::size_t first, std::size_t count, float* out) {
  if (table.stored == nullptr) return read_row(table.dense, row, first, count, out);
  std::vector<float> whole(table.cols());
  kernel::read_row(table, row, whole.data());
  std::copy_n(whole.data() + first, count, out);
}

/// Rows [first, first + count) of a dense matrix.
MatrixView rows_of(MatrixView matrix, std::size_t first, std::size_t count) {
  matrix.data = matrix.row(first);
  matrix.rows = count;
  return matrix;
}

/// The rows of a batch's tokens for a block, (tokens, size).
std::vector<float> block_rows(const Engine& engine, const BlockEmbeddingWeights& weights, std::size_t block,
                              const Batch& batch) {
  const model::Architecture& a = engine.architecture();
  const std::size_t size = a.block_embedding.size, tokens = batch.tokens;
  STRATA_CHECK(batch.ids.size() == tokens, "{} tokens, but {} ids", tokens, batch.ids.size());
  for (const Token id : batch.ids)
    if (id >= a.block_embedding.tokens)
      fail("{}: token {} has no row in {}, which has {}", engine.model().path().string(), id,
           model::block_table_name(a), a.block_embedding.tokens);
  std::vector<float> embedded(tokens * a.hidden), rows(tokens * size);
  engine.embed(batch.ids, embedded.data());
  const MatrixView projection = rows_of(weights.projection.view().dense, block * size, size);
  kernel::matmul(embedded.data(), a.hidden, tokens, {projection, nullptr}, rows.data(), size, engine.precision());
  scale(rows.data(), rows.size(), 1.0f / std::sqrt(static_cast<float>(a.hidden)));
  kernel::rms_norm(rows.data(), weights.norm.data(), tokens, size, a.norm_epsilon, rows.data());
  const kernel::Weights table = weights.table.view();
  const float of_table = std::sqrt(static_cast<float>(size)), of_both = std::numbers::sqrt2_v<float> / 2;
  parallel_for(tokens, [&](std::size_t t) {
    std::vector<float> own(size);
    read_part(table, batch.ids[t], block * size, size, own.data());
    for (std::size_t i = 0; i < size; ++i) rows[t * size + i] = (rows[t * size + i] + of_table * own[i]) * of_both;
  });
  return rows;
}

}  // namespace

void Engine::finish_block(BlockWeights& w, std::size_t block, const Batch& batch, float* h, const Observer* observer,
                          Site last) {
  const model::Architecture& a = architecture_;
  const std::size_t size = a.block_embedding.size, tokens = batch.tokens;
  if (size != 0) {
    observe(observer, Site::embed_gate_in, block, h, tokens, a.hidden);
    if (last == Site::embed_gate_in) return;
    const std::vector<float> rows = block_rows(*this, *block_embedding_, block, batch);
    float* const gate = sized(gate_, tokens * size);
    multiply(w, a.index(block, Role::embed_gate), h, tokens, gate);
    activate(a, gate, rows.data(), tokens * size);
    observe(observer, Site::embed_out_in, block, gate, tokens, size);
    if (last == Site::embed_out_in) return;
    float* const out = sized(projected_, tokens * a.hidden);
    multiply(w, a.index(block, Role::embed_out), gate, tokens, out);
    norm_rows(a, out, w.norms.at(model::Norm::after_embedding).data(), tokens, out);
    kernel::add(h, out, tokens * a.hidden);
  }
  scale(h, tokens * a.hidden, w.scale);
}

}  // namespace strata::engine
