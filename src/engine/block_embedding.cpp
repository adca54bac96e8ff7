// The end of a block whose tokens have a row of their own for it: the row is made of the token and of its embedding,
// gated by the hidden state, and added.
#include "engine/block_embedding.h"

#include <cmath>
#include <numbers>

#include "core/threads.h"
#include "engine/activation.h"
#include "engine/norms.h"
#include "engine/scale.h"
#include "kernel/gradients.h"
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

/// What projects the embedding to the rows of a block.
kernel::Weights projection_of(const Engine& engine, const BlockEmbeddingWeights& weights, std::size_t block) {
  const std::size_t size = engine.architecture().block_embedding.size;
  return {rows_of(weights.projection.view().dense, block * size, size), nullptr};
}

/// The factors of the projection before its norm, and of the sum of both parts of a row.
float projection_factor(const model::Architecture& a) { return 1.0f / std::sqrt(static_cast<float>(a.hidden)); }
constexpr float kOfBoth = std::numbers::sqrt2_v<float> / 2;

/// The projection of the tokens' embeddings before its norm, (tokens, size).
std::vector<float> projected(const Engine& engine, const BlockEmbeddingWeights& weights, std::size_t block,
                             const Batch& batch) {
  const model::Architecture& a = engine.architecture();
  const std::size_t size = a.block_embedding.size, tokens = batch.tokens;
  std::vector<float> embedded(tokens * a.hidden), rows(tokens * size);
  engine.embed(batch.ids, embedded.data());
  kernel::matmul(embedded.data(), a.hidden, tokens, projection_of(engine, weights, block), rows.data(), size,
                 engine.precision());
  scale(rows.data(), rows.size(), projection_factor(a));
  return rows;
}

}  // namespace

BlockEmbeddingWeights block_embedding_weights(const model::Model& model) {
  const model::Architecture& a = model.architecture();
  const std::size_t width = a.blocks * a.block_embedding.size;
  return {model.packed(model::block_table_name(a), a.block_embedding.tokens, width),
          model.matrix(model::block_projection_name(a), width, a.hidden),
          model.vector(model::block_projection_norm_name(a), a.block_embedding.size)};
}

std::vector<float> block_rows(const Engine& engine, const BlockEmbeddingWeights& weights, std::size_t block,
                              const Batch& batch) {
  const model::Architecture& a = engine.architecture();
  const std::size_t size = a.block_embedding.size, tokens = batch.tokens;
  STRATA_CHECK(batch.ids.size() == tokens, "{} tokens, but {} ids", tokens, batch.ids.size());
  for (const Token id : batch.ids)
    if (id >= a.block_embedding.tokens)
      fail("{}: token {} has no row in {}, which has {}", engine.model().path().string(), id,
           model::block_table_name(a), a.block_embedding.tokens);
  std::vector<float> rows = projected(engine, weights, block, batch);
  kernel::rms_norm(rows.data(), weights.norm.data(), tokens, size, a.norm_epsilon, rows.data());
  const kernel::Weights table = weights.table.view();
  const float of_table = std::sqrt(static_cast<float>(size));
  parallel_for(tokens, [&](std::size_t t) {
    std::vector<float> own(size);
    read_part(table, batch.ids[t], block * size, size, own.data());
    for (std::size_t i = 0; i < size; ++i) rows[t * size + i] = (rows[t * size + i] + of_table * own[i]) * kOfBoth;
  });
  return rows;
}

void add_embedded_gradient(const Engine& engine, const BlockEmbeddingWeights& weights, std::size_t block,
                           const Batch& batch, std::vector<float> drows, BlockProducts& products) {
  const model::Architecture& a = engine.architecture();
  scale(drows.data(), drows.size(), kOfBoth);
  const std::vector<float> before_norm = projected(engine, weights, block, batch);
  kernel::rms_norm_gradient(before_norm.data(), weights.norm.data(), drows.data(), batch.tokens, a.block_embedding.size,
                            a.norm_epsilon, drows.data());
  scale(drows.data(), drows.size(), projection_factor(a));
  products.add_turned_product(projection_of(engine, weights, block), drows, products.precision(),
                              batch.embedded_gradient);
}

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
    activate(a, {}, gate, rows.data(), tokens * size);
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
