// A part of a block with its backward pass: a mixer, or a feed-forward part. Each kind is a file of its own.
#pragma once
#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "engine/batch.h"
#include "engine/block_products.h"
#include "engine/stream_norms.h"
#include "model/model.h"

namespace strata::engine {

class PartGradient {
 public:
  virtual ~PartGradient() = default;
  /// What the part makes of its normed input x, (tokens, hidden): of a mixer what o reads, (tokens, mixed_size), of a
  /// feed-forward part what is added, (tokens, hidden). Whole sequences: the batch has no caches. What the backward
  /// pass needs is kept, but for x.
  virtual std::vector<float> forward(const Batch& batch, BlockProducts& products, std::span<const float> x) = 0;
  /// Must follow forward with the same arguments. dy: the gradient of a loss by what forward returned. dx (tokens,
  /// hidden) += the gradient by x; null where nobody wants it. Gradients of linears are those that `products` makes.
  virtual void backward(const Batch& batch, BlockProducts& products, std::span<const float> x, std::vector<float> dy,
                        float* dx) = 0;
};

using PartMaker = std::unique_ptr<PartGradient> (*)(const model::Model& model, std::size_t block);

// The kinds of mixers, in mixers/. What they hold beside their linears is read from the model, whose architecture must
// outlive the part.
std::unique_ptr<PartGradient> make_attention_gradient(const model::Model& model, std::size_t block);
std::unique_ptr<PartGradient> make_latent_attention_gradient(const model::Model& model, std::size_t block);
std::unique_ptr<PartGradient> make_delta_net_gradient(const model::Model& model, std::size_t block);
std::unique_ptr<PartGradient> make_short_convolution_gradient(const model::Model& model, std::size_t block);
std::unique_ptr<PartGradient> make_mamba_gradient(const model::Model& model, std::size_t block);
std::unique_ptr<PartGradient> make_selective_space_gradient(const model::Model& model, std::size_t block);

// The kinds of feed-forward parts: gate, where there is one, up and down; or a mixture of such.
std::unique_ptr<PartGradient> make_gated_gradient(const model::Model& model, std::size_t block);
std::unique_ptr<PartGradient> make_experts_gradient(const model::Model& model, std::size_t block);
/// A dense part beside experts, which reads the residual stream: it has norms of its own, which must outlive it.
std::unique_ptr<PartGradient> make_dense_beside_gradient(const model::Model& model, std::size_t block,
                                                         StreamNorms& norms);

}  // namespace strata::engine
