// One chunk of tokens of one head under the scan of Mamba-2 (state_space.h), as matrix products: what its forward pass
// and its gradient share.
#pragma once
#include <cstddef>
#include <span>
#include <vector>

#include "kernel/scan.h"
#include "kernel/small_products.h"
#include "kernel/state_space.h"
#include "kernel/variant.h"

namespace strata::kernel {

/// Neighbouring heads of one group, which share the products of b and c.
struct HeadRun {
  std::size_t group, first, count;
};
/// Runs of up to 8 heads: together they use a product of b and c often enough.
std::vector<HeadRun> head_runs(const StateSpaceWeights& w);
/// Stops at sizes that make no sense.
void check_sizes(const StateSpaceWeights& w, std::size_t stride, std::size_t dt_stride);

/// clamp(softplus(dt + bias), least, most), and its slope by dt.
struct Step {
  float size, slope;
};
Step step_of(const StateSpaceWeights& w, std::size_t head, float dt);

/// What a head makes of a chunk of n tokens. The memory is the thread's: a thread has one chunk at a time.
class StateChunk {
 public:
  StateChunk(const Variant& variant, const StateSpaceWeights& weights) : variant_(variant), weights_(weights) {}

  /// similar (n, n) = c b^T, for all heads of a group; b and c: rows of the chunk's first token, `stride` apart.
  void load_group(const float* b, const float* c, std::size_t stride, std::size_t tokens);
  /// After load_group: what follows, of head `head`. x and dt: of the chunk's first token and that head.
  void load_head(std::size_t head, const float* x, std::size_t stride, const float* dt, std::size_t dt_stride);

  std::size_t count = 0;
  Step steps[kChunkTokens];
  ChunkDecays decays;        ///< of a step
  float* similar = nullptr;  ///< (n, n)
  float* mixing = nullptr;   ///< (n, n): decays.pairs similar for j <= i, else 0
  float* taken = nullptr;    ///< (n, head_dim): step x

  void multiply(const Operand& a, const Operand& b, std::size_t m, std::size_t n, std::size_t k, float* to,
                std::size_t to_stride, Update update) const {
    multiply_small(variant_.f32, a, b, m, n, k, to, to_stride, update);
  }
  const RowKernel& rows() const { return variant_.rows; }

  /// out = exp(c[i]) S c + mixing taken + skip x; rows of c, x and out `stride` and out_stride apart.
  void put_out(std::size_t head, const float* c, const float* x, std::size_t stride, const float* state, float* out,
               std::size_t out_stride) const;
  /// S of the next chunk. Uses `taken` up.
  void carry(const float* b, std::size_t stride, float* state);

 private:
  const Variant& variant_;
  const StateSpaceWeights& weights_;
};

}  // namespace strata::kernel
