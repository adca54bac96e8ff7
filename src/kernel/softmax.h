// What is read from rows of logits: the normalizer of their softmax, the most likely token, and the KL divergence
// between two rows. Exponentials in f32, everything that is summed over the vocabulary in double.
#pragma once
#include <cstddef>

namespace strata::kernel {

/// What describes the softmax of one row of logits x: softmax(x)[i] = exp(x[i] - log_sum_exp).
struct SoftmaxRow {
  float max = 0.0f;
  double log_sum_exp = 0.0;  ///< NaN or infinite when a logit is NaN or +infinity
  std::size_t argmax = 0;    ///< the lowest index of the maximum
};
SoftmaxRow softmax_row(const float* x, std::size_t size);

/// D(softmax(p) || softmax(q)) in nats = sum_i softmax(p)[i] (log softmax(p)[i] - log softmax(q)[i]); exactly 0 for
/// equal rows. p_row, q_row: softmax_row of p and q, `size` logits each. Error below 1e-6 for finite logits; not finite
/// when a logit is not. Runs on the calling thread.
double kl_divergence(const float* p, const SoftmaxRow& p_row, const float* q, const SoftmaxRow& q_row,
                     std::size_t size);

/// The gradient of kl_divergence by q: q becomes softmax(q) - softmax(p).
void kl_divergence_gradient(const float* p, const SoftmaxRow& p_row, float* q, const SoftmaxRow& q_row,
                            std::size_t size);

/// How far q = p + change is from p.
struct RowChange {
  double kl_divergence = 0.0;  ///< D(softmax(p) || softmax(q)); relative error about 1e-5, however small it is
  double log_ratio = 0.0;      ///< log_sum_exp(q) - log_sum_exp(p)
};
/// kl_divergence of p and p + change without the rounding of the sum, for changes however small.
RowChange kl_divergence_of_change(const float* p, const SoftmaxRow& p_row, const float* change, std::size_t size);

}  // namespace strata::kernel
