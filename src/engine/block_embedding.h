// The rows that every token has for every block beside its embedding: where they come from, what a block makes of them,
// and the gradients. transformers: Gemma4TextModel and Gemma4TextDecoderLayer of modeling_gemma4.py.
#pragma once
#include <cstddef>
#include <vector>

#include "engine/block_products.h"
#include "engine/engine.h"
#include "engine/stream_norms.h"

namespace strata::engine {

BlockEmbeddingWeights block_embedding_weights(const model::Model& model);

/// The rows of a batch's tokens for a block, (tokens, size): half of each from the table, half from the projection of
/// the token's embedding. Throws Error for a token without a row.
std::vector<float> block_rows(const Engine& engine, const BlockEmbeddingWeights& weights, std::size_t block,
                              const Batch& batch);

/// Adds to Batch::embedded_gradient what comes through a block's rows; drows: the gradient by them.
void add_embedded_gradient(const Engine& engine, const BlockEmbeddingWeights& weights, std::size_t block,
                           const Batch& batch, std::vector<float> drows, BlockProducts& products);

/// What a block adds of its rows, with a backward pass: the counterpart of Engine::finish_block.
class BlockEmbeddingGradient {
 public:
  /// The engine must outlive this.
  BlockEmbeddingGradient(const Engine& engine, std::size_t block);
  /// Adds to h (tokens, hidden) what the block makes of h and the rows. The batch must have ids.
  void forward(const Batch& batch, BlockProducts& products, const StreamNorms& norms, std::vector<float>& h);
  /// Must follow forward. d, the gradient by what forward made of h, becomes that by h. What goes to the tokens'
  /// embeddings is added to Batch::embedded_gradient, unless that is null.
  void backward(const Batch& batch, BlockProducts& products, StreamNorms& norms, std::vector<float>& d);

 private:
  const Engine& engine_;
  BlockEmbeddingWeights weights_;
  std::size_t block_;
  /// What embed_gate reads and puts out and the rows that it is multiplied by; what embed_out reads and puts out.
  std::vector<float> h_, gate_, rows_, acted_, out_;
};

}  // namespace strata::engine
