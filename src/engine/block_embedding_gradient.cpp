// The backward pass of what a block makes of its rows, down to the embeddings that the rows are projected from. The
// table of rows is no linear and gets no gradient.
#include <cmath>

#include "engine/activation.h"
#include "engine/block_embedding.h"
#include "kernel/ops.h"

namespace strata::engine {

using model::Norm;
using model::Role;

BlockEmbeddingGradient::BlockEmbeddingGradient(const Engine& engine, std::size_t block)
    : engine_(engine), weights_(block_embedding_weights(engine.model())), block_(block) {}

void BlockEmbeddingGradient::forward(const Batch& batch, BlockProducts& products, const StreamNorms& norms,
                                     std::vector<float>& h) {
  h_ = h;
  rows_ = block_rows(engine_, weights_, block_, batch);
  gate_ = products.multiply(Role::embed_gate, h_);
  acted_ = gate_;
  activate(engine_.architecture(), {}, acted_.data(), rows_.data(), acted_.size());
  out_ = products.multiply(Role::embed_out, acted_);
  const std::vector<float> added = norms.made(Norm::after_embedding, out_);
  kernel::add(h.data(), added.data(), h.size());
}

void BlockEmbeddingGradient::backward(const Batch& batch, BlockProducts& products, StreamNorms& norms,
                                      std::vector<float>& d) {
  std::vector<float> dout = d, dacted(acted_.size(), 0.0f);
  norms.backward(Norm::after_embedding, out_, dout);
  products.gradient(Role::embed_out, dout, acted_, dacted.data());
  activate_gradient(engine_.architecture(), {}, gate_.data(), rows_.data(), dacted.data(), gate_.size());
  products.gradient(Role::embed_gate, gate_, h_, d.data());
  if (batch.embedded_gradient != nullptr) add_embedded_gradient(engine_, weights_, block_, batch, rows_, products);
}

}  // namespace strata::engine
