// Mamba-1 with a backward pass: the counterpart of selective_space.cpp for whole sequences.
#include <algorithm>

#include "core/error.h"
#include "engine/mixers/selective_space.h"
#include "engine/part_gradient.h"
#include "engine/scale.h"
#include "kernel/gates.h"
#include "kernel/gradients.h"
#include "kernel/ops.h"

namespace strata::engine {
namespace {

using model::Role;

/// What dt reads, b and c, or the gradients by them.
struct Parts {
  std::vector<float> steps, b, c;

  void resize(std::size_t tokens, const model::SelectiveSpace& s) {
    steps.assign(tokens * s.rank, 0.0f);
    b.assign(tokens * s.state, 0.0f);
    c.assign(tokens * s.state, 0.0f);
  }
  SelectiveParts views() { return {steps.data(), b.data(), c.data()}; }
};

class SelectiveSpaceGradient final : public PartGradient {
 public:
  SelectiveSpaceGradient(const model::Model& model, std::size_t block)
      : block_(block), sizes_(model.architecture().selective), weights_(read_selective(model, block)) {}
  std::vector<float> forward(const Batch& batch, BlockProducts& products, std::span<const float> x) override;
  void backward(const Batch& batch, BlockProducts& products, std::span<const float> x, std::vector<float> dy,
                float* dx) override;

 private:
  void scan(const Batch& batch);
  /// The gradients by what the scan read of dout, that by what it put out: into dconvolved, ddt and dparts.
  void scan_back(const Batch& batch, const float* dout, float* dconvolved, float* ddt, Parts& dparts);
  /// The gradient by dtbc's rows of that by their parts, (tokens, rows).
  std::vector<float> join_parts(std::size_t tokens, Parts& dparts) const;

  std::size_t block_;
  const model::SelectiveSpace& sizes_;
  SelectiveWeights weights_;
  std::vector<float> both_;       ///< (tokens, 2 inner): what in_xz puts out
  Parts plain_, parts_;           ///< before their norms and after; the same where there are none
  std::vector<float> plain_dt_;   ///< (tokens, inner): what softplus reads
  std::vector<float> dt_, gate_;  ///< (tokens, inner) each, as are the next two
  std::vector<float> convolved_, scanned_;
};

std::vector<float> SelectiveSpaceGradient::forward(const Batch& batch, BlockProducts& products,
                                                   std::span<const float> x) {
  const std::size_t tokens = batch.tokens, inner = sizes_.inner, size = tokens * inner;
  both_ = products.multiply(Role::in_xz, x);
  gate_.resize(size);
  convolved_.resize(size);
  scanned_.resize(size);
  take_columns(both_.data(), tokens, 2 * inner, inner, inner, gate_.data());
  convolve(batch, convolution_of(weights_, sizes_, block_), both_.data(), 2 * inner, convolved_.data(), inner);
  const std::vector<float> dtbc = products.multiply(Role::dtbc, convolved_);
  plain_.resize(tokens, sizes_);
  take_parts(dtbc.data(), tokens, sizes_, plain_.views());
  parts_ = plain_;
  norm_parts(parts_.views(), tokens, sizes_);
  plain_dt_ = products.multiply(Role::dt, parts_.steps);
  dt_ = plain_dt_;
  kernel::softplus(dt_.data(), size);
  scan(batch);
  std::vector<float> mixed = gate_;
  kernel::silu_multiply(mixed.data(), scanned_.data(), size);
  return mixed;
}

void SelectiveSpaceGradient::scan(const Batch& batch) {
  std::vector<kernel::SelectiveScan> calls;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    STRATA_CHECK(s.cache == nullptr);
    const std::size_t at = row * sizes_.inner, narrow = row * sizes_.state;
    calls.push_back({.x = convolved_.data() + at,
                     .dt = dt_.data() + at,
                     .b = parts_.b.data() + narrow,
                     .c = parts_.c.data() + narrow,
                     .stride = sizes_.state,
                     .state = nullptr,
                     .out = scanned_.data() + at,
                     .tokens = s.tokens});
    row += s.tokens;
  }
  kernel::selective_scan(scan_of(weights_, sizes_), calls);
}

void SelectiveSpaceGradient::scan_back(const Batch& batch, const float* dout, float* dconvolved, float* ddt,
                                       Parts& dparts) {
  std::vector<kernel::SelectiveScanGradient> calls;
  std::size_t row = 0;
  for (const Sequence& s : batch.sequences) {
    const std::size_t at = row * sizes_.inner, narrow = row * sizes_.state;
    calls.push_back({.x = convolved_.data() + at,
                     .dt = dt_.data() + at,
                     .b = parts_.b.data() + narrow,
                     .c = parts_.c.data() + narrow,
                     .stride = sizes_.state,
                     .dout = dout + at,
                     .dx = dconvolved + at,
                     .ddt = ddt + at,
                     .db = dparts.b.data() + narrow,
                     .dc = dparts.c.data() + narrow,
                     .tokens = s.tokens});
    row += s.tokens;
  }
  kernel::selective_scan_gradient(scan_of(weights_, sizes_), calls);
}

std::vector<float> SelectiveSpaceGradient::join_parts(std::size_t tokens, Parts& dparts) const {
  const model::SelectiveSpace& s = sizes_;
  const auto through_norm = [&](const std::vector<float>& read, std::vector<float>& d, std::size_t size) {
    if (s.norm_epsilon != 0.0f) kernel::l2_norm_gradient(read.data(), d.data(), tokens, size, s.norm_epsilon, d.data());
  };
  through_norm(plain_.steps, dparts.steps, s.rank);
  through_norm(plain_.b, dparts.b, s.state);
  through_norm(plain_.c, dparts.c, s.state);
  std::vector<float> rows(tokens * s.rows());
  put_columns(dparts.steps.data(), tokens, s.rows(), 0, s.rank, rows.data());
  put_columns(dparts.b.data(), tokens, s.rows(), s.rank, s.state, rows.data());
  put_columns(dparts.c.data(), tokens, s.rows(), s.rank + s.state, s.state, rows.data());
  return rows;
}

void SelectiveSpaceGradient::backward(const Batch& batch, BlockProducts& products, std::span<const float> x,
                                      std::vector<float> dy, float* dx) {
  const std::size_t tokens = batch.tokens, inner = sizes_.inner, size = tokens * inner;
  kernel::silu_multiply_gradient(gate_.data(), scanned_.data(), dy.data(), size);  // both are gradients from here on
  std::vector<float> dconvolved(size), ddt(size), dboth(2 * size);
  Parts dparts;
  dparts.resize(tokens, sizes_);
  scan_back(batch, scanned_.data(), dconvolved.data(), ddt.data(), dparts);
  kernel::softplus_gradient(plain_dt_.data(), size, ddt.data());
  products.gradient(Role::dt, ddt, parts_.steps, dparts.steps.data());
  products.gradient(Role::dtbc, join_parts(tokens, dparts), convolved_, dconvolved.data());
  convolve_gradient(batch, convolution_of(weights_, sizes_, block_), both_.data(), 2 * inner, dconvolved.data(), inner,
                    dboth.data(), 2 * inner);
  put_columns(gate_.data(), tokens, 2 * inner, inner, inner, dboth.data());
  products.gradient(Role::in_xz, dboth, x, dx);
}

}  // namespace

std::unique_ptr<PartGradient> make_selective_space_gradient(const model::Model& model, std::size_t block) {
  return std::make_unique<SelectiveSpaceGradient>(model, block);
}

}  // namespace strata::engine
