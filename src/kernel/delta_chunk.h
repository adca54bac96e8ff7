// One chunk of tokens of one head under the gated delta rule (delta_rule.h), as matrix products: what its forward pass
// and its gradient share. Names of rows: keys and queries lie stacked, so that one product serves both.
#pragma once
#include <cstddef>

#include "kernel/scan.h"
#include "kernel/small_products.h"
#include "kernel/variant.h"

namespace strata::kernel {

inline constexpr float kDeltaNormEpsilon = 1e-6f;

/// One head of values of a sequence, with its keys and queries: pointers to what belongs to token 0.
struct DeltaHead {
  const float *q, *k, *v;
  std::size_t stride;  ///< between tokens of the three
  const float *decay, *beta;
  std::size_t heads;  ///< between tokens of decay and beta
  std::size_t k_dim, v_dim;
};
/// Head `head` of the values of a DeltaRule or DeltaRuleGradient.
template <class Sequence>
DeltaHead delta_head(const Sequence& s, std::size_t head) {
  const std::size_t k_head = s.k_head_of(head);
  return {s.q + k_head * s.k_dim,
          s.k + k_head * s.k_dim,
          s.v + head * s.v_dim,
          s.stride,
          s.decay + head,
          s.beta + head,
          s.v_heads,
          s.k_dim,
          s.v_dim};
}

/// x / sqrt(|x|^2 + epsilon) * scale; returns the factor of x.
float normalize(const RowKernel& rows, const float* x, std::size_t size, float scale, float* out);

/// The numbers of a chunk of n tokens whose state before it is S. Rows 0 .. n - 1 of what is stacked are those of the
/// keys, rows n .. 2 n - 1 those of the queries. c[i]: the sum of the decays of tokens 0 .. i of the chunk. The memory
/// is the thread's: a thread has one chunk at a time.
class DeltaChunk {
 public:
  explicit DeltaChunk(const Variant& variant) : rows_(variant.rows), kernel_(variant.f32) {}

  /// Tokens [first, first + count) of the head against `state` (k_dim, v_dim): fills everything below.
  void load(const DeltaHead& head, std::size_t first, std::size_t count, const float* state);
  /// out[i] = exp(c[i]) q_i S + sum over j <= i of weights (n + i, j) u_j. Rows out_stride apart.
  void put_out(float* out, std::size_t out_stride);
  /// S of the next chunk: exp(c[n - 1]) S + sum over j of exp(c[n - 1] - c[j]) k_j u_j^T. Uses the keys up.
  void carry(float* state);
  /// x (n, v_dim) -> the solution of (I - N)^T y = x, N being the keys' weights.
  void solve_turned(float* x);

  std::size_t count = 0, k_dim = 0, v_dim = 0;
  ChunkDecays decays;        ///< what is left of a state, of the sums c
  float* stacked = nullptr;  ///< (2 n, k_dim): normalized keys, normalized and scaled queries
  float* factors = nullptr;  ///< (2 n): what every row of them was multiplied by
  float* similar = nullptr;  ///< (2 n, n): rows of `stacked` by keys
  float* weights =
      nullptr;  ///< (2 n, n): -beta_i decays.pairs similar for j < i; queries: pairs similar for j <= i; else 0
  float* read = nullptr;     ///< (2 n, v_dim): rows of `stacked` by S
  float* missed = nullptr;   ///< (n, v_dim): v_i - exp(c[i]) k_i S
  float* updates = nullptr;  ///< (n, v_dim): the u_j, u_j = beta_j missed_j + sum over i < j of weights (j, i) u_i

 private:
  void carve();
  void load_rows(const DeltaHead& head, std::size_t first);
  void weigh(const DeltaHead& head, std::size_t first);
  void solve(float* x);

  const RowKernel& rows_;
  const MatmulKernel& kernel_;
};

}  // namespace strata::kernel
