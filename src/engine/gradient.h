// A block with weights that are being learned: its forward pass, kept, and the gradients of a loss by its linears.
// Hand-written for what engine.cpp runs; tests compare the two, and the gradients with finite differences.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/block_embedding.h"
#include "engine/block_products.h"
#include "engine/engine.h"
#include "engine/part_gradient.h"
#include "engine/stream_norms.h"

namespace strata::engine {

/// Why BlockGradient cannot run this block; empty when it can.
std::string why_no_gradient(const model::Architecture& architecture, std::size_t block);

class BlockGradient {
 public:
  /// Norms, biases and what else is not a linear are read from the engine's model; the block's linears come with every
  /// call. The engine must outlive this.
  BlockGradient(const Engine& engine, std::size_t block, kernel::Precision precision);

  /// What the block's norms over the hidden size (model::kStreamNorms) multiply by, (hidden) each, and then as many
  /// biases where norms have any.
  using Norms = StreamNorms::Weights;
  const Norms& norms() const { return norms_->weights(); }
  /// Uses these instead of the model's, by the same places.
  void set_norms(Norms norms) { norms_->set(std::move(norms)); }

  /// Weights of the block's linears; they must outlive the backward pass.
  using Linears = LinearViews;

  /// Called by backward for every linear but the experts to which no token is routed.
  void watch(LinearWatch watch) { products_.watch(std::move(watch)); }

  /// h: (batch.tokens, hidden), the block's input, of which a copy is kept until the backward pass. The batch must have
  /// no caches, but the ids and the keys of earlier blocks that the block reads. Returns the block's output (tokens,
  /// hidden), valid until the next call.
  const float* forward(const Batch& batch, const float* h, const Linears& linears);

  /// Must follow forward with the same batch, h and linears. dout: (tokens, hidden), the gradient of a loss by the
  /// block's output; the experts that tokens go to are held. gradients[i] becomes the gradient by linear i, (rows,
  /// cols), where wanted[i], and empty elsewhere and for an expert to which no token is routed. dh, unless nullptr,
  /// becomes the gradient by the block's input. norms, unless nullptr, become the gradients by what the norms multiply
  /// by; dh must not be nullptr then. All are gradients of the block alone: keys and values of an earlier block are
  /// what they are, and what later blocks make of those that this one leaves to them counts only as far as
  /// Batch::shared_gradient tells.
  void backward(const Batch& batch, const float* dout, const Linears& linears, const std::vector<bool>& wanted,
                std::vector<std::vector<float>>& gradients, float* dh, Norms* norms = nullptr);

 private:
  /// out = h + the half's output after its norm and factor. made: what o or the feed-forward part put out.
  void add_half(Half half, const std::vector<float>& made, const std::vector<float>& h, std::vector<float>& out) const;
  /// The gradient by `made` of add_half, from that by the sum.
  std::vector<float> made_gradient(Half half, const std::vector<float>& made, const std::vector<float>& dsum) const;
  /// The backward pass of the halves; each makes of d, the gradient by what it puts out, that by what the residual
  /// stream was before it. beside: of parallel halves, the gradient that the feed-forward part adds to that of the
  /// block's input, or of its norm where both halves read the same.
  void feed_forward_backward(const Batch& batch, std::vector<float>& d, std::vector<float>& beside);
  void mixer_backward(const Batch& batch, std::vector<float>& d, const std::vector<float>& beside, bool wants_input);

  const model::Architecture& architecture_;
  BlockProducts products_;
  std::unique_ptr<StreamNorms> norms_;                  ///< which the feed-forward part may hold on to
  float scale_ = 1.0f;                                  ///< of what the block puts out
  std::unique_ptr<PartGradient> mixer_, feed_forward_;  ///< null where the block has none
  std::optional<BlockEmbeddingGradient> embedding_;
  bool reads_stream_ = false;  ///< the feed-forward part does, and norms it itself
  bool shares_norm_ = false;   ///< both halves read the same norm of the block's input

  // What the last forward pass made, (tokens, size) each: what the halves read and put out, what o reads, and middle_,
  // the residual stream between the halves.
  std::vector<float> h_, attn_in_, mixed_, o_out_, middle_, mlp_in_, fed_, out_;
};

}  // namespace strata::engine
