// Attention between its linears with a backward pass: from what q, k and v put out to what o reads, and the gradients
// back. It is the counterpart of attention.cpp for whole sequences without caches.
#pragma once
#include <cstddef>
#include <vector>

#include "engine/batch.h"
#include "engine/mixers/heads.h"
#include "kernel/matmul.h"
#include "model/model.h"

namespace strata::engine {

/// What q, k and v of a block put out, or the gradients by that: (tokens, q_size), and (tokens, kv_size) twice.
struct QueryKeyValue {
  std::vector<float> q, k, v;
};

class AttentionGradient {
 public:
  /// Norms of q and k and the sinks are read from the model, whose architecture must outlive this.
  AttentionGradient(const model::Model& model, std::size_t block);

  /// What o reads, (tokens, q_size). What the backward pass needs is kept. The batch must have no caches.
  std::vector<float> forward(const Batch& batch, QueryKeyValue heads);
  /// Must follow forward with the same batch. dattended: (tokens, q_size), the gradient of a loss by what forward
  /// returned. Returns the gradients by the heads that forward was given.
  QueryKeyValue backward(const Batch& batch, const std::vector<float>& dattended, kernel::Precision precision) const;

 private:
  /// q or k from its linear to the products, where it is `ready`, (tokens, heads * head_dim).
  struct Heads {
    model::Norm norm = model::Norm::q;
    std::size_t heads = 0;
    std::vector<float> norm_weights = {}, ready = {};
    HeadSteps steps = {};
  };
  void prepare(const Batch& batch, Heads& of, std::vector<float> rows) const;
  /// d, the gradient by what is ready, becomes the gradient by what the linear puts out.
  void prepare_backward(const Batch& batch, const Heads& of, std::vector<float>& d) const;

  const model::Architecture& a_;
  model::BlockAttention attention_;
  std::vector<float> sinks_;
  Heads q_, k_;
  std::vector<float> v_, v_before_clip_;
};

}  // namespace strata::engine
