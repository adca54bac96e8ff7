// The backward pass of the selective scan. A run of channels is scanned again with its states kept, then back from the
// last token. b and c are read by all channels, so that every run has its own share of their gradients.
#include <algorithm>
#include <vector>

#include "core/error.h"
#include "core/threads.h"
#include "kernel/dispatch.h"
#include "kernel/scratch.h"
#include "kernel/selective_scan.h"

namespace strata::kernel {
namespace {

constexpr std::size_t kRun = 128;  // channels of a piece of work

/// What a run works with: the rows of its thread, (kRun) each.
struct Rows {
  float *states, *decays;  ///< (tokens, state_dim, kRun): S after every token, and what it forgot by
  float* carried;          ///< (state_dim, kRun): the gradient by S
  float *taken, *dtaken, *product;
};

/// Channels [first, first + count) of one sequence.
class Run {
 public:
  Run(const RowKernel& rows, const SelectiveScanWeights& w, const SelectiveScanGradient& s, std::size_t first,
      std::size_t count)
      : rows_(rows), w_(w), s_(s), first_(first), count_(count) {
    thread_local Scratch scratch;
    const std::size_t states = s.tokens * w.state_dim * kRun;
    at_.states = scratch.floats(2 * states + (w.state_dim + 3) * kRun);
    at_.decays = at_.states + states;
    at_.carried = at_.decays + states;
    at_.taken = at_.carried + w.state_dim * kRun;
    at_.dtaken = at_.taken + kRun;
    at_.product = at_.dtaken + kRun;
  }

  void scan() const {
    for (std::size_t t = 0; t < s_.tokens; ++t) {
      const std::size_t at = t * w_.channels + first_;
      rows_.multiply(s_.x + at, s_.dt + at, count_, at_.taken);
      for (std::size_t n = 0; n < w_.state_dim; ++n) {
        float *const decay = at_.decays + row(t, n), *const state = at_.states + row(t, n);
        rows_.multiply(s_.dt + at, w_.a + n * w_.channels + first_, count_, decay);
        rows_.exp_scaled(decay, count_, 1.0f, 0.0f);
        if (t == 0)
          std::fill_n(state, count_, 0.0f);
        else
          rows_.multiply(at_.states + row(t - 1, n), decay, count_, state);
        rows_.add_scaled(state, at_.taken, count_, s_.b[t * s_.stride + n]);
      }
    }
  }

  /// db, dc: (tokens, state_dim), the run's share.
  void scan_back(float* db, float* dc) const {
    std::fill_n(at_.carried, w_.state_dim * kRun, 0.0f);
    for (std::size_t t = s_.tokens; t-- > 0;) token(t, db + t * w_.state_dim, dc + t * w_.state_dim);
  }

 private:
  std::size_t row(std::size_t t, std::size_t n) const { return (t * w_.state_dim + n) * kRun; }

  void token(std::size_t t, float* db, float* dc) const {
    const std::size_t at = t * w_.channels + first_;
    const float *const x = s_.x + at, *const dt = s_.dt + at, *const dout = s_.dout + at;
    float *const dx = s_.dx + at, *const ddt = s_.ddt + at;
    rows_.multiply(x, dt, count_, at_.taken);
    std::fill_n(at_.dtaken, count_, 0.0f);
    std::fill_n(ddt, count_, 0.0f);
    for (std::size_t n = 0; n < w_.state_dim; ++n) {
      float* const carried = at_.carried + n * kRun;
      const float* const decay = at_.decays + row(t, n);
      dc[n] = rows_.dot(dout, at_.states + row(t, n), count_);
      rows_.add_scaled(carried, dout, count_, s_.c[t * s_.stride + n]);
      db[n] = rows_.dot(carried, at_.taken, count_);
      rows_.add_scaled(at_.dtaken, carried, count_, s_.b[t * s_.stride + n]);
      rows_.multiply(carried, decay, count_, carried);
      if (t == 0) continue;
      rows_.multiply(carried, at_.states + row(t - 1, n), count_, at_.product);
      rows_.add_product(ddt, at_.product, w_.a + n * w_.channels + first_, count_);
    }
    rows_.multiply(dout, w_.skip + first_, count_, dx);
    rows_.add_product(dx, at_.dtaken, dt, count_);
    rows_.add_product(ddt, at_.dtaken, x, count_);
  }

  const RowKernel& rows_;
  const SelectiveScanWeights& w_;
  const SelectiveScanGradient& s_;
  std::size_t first_, count_;
  Rows at_{};
};

/// db and dc as the sums of the shares of all runs, (runs, 2, tokens, state_dim).
void add_shares(const std::vector<float>& shares, std::size_t runs, std::size_t size, const SelectiveScanGradient& s) {
  const std::size_t share = s.tokens * size;
  for (std::size_t t = 0; t < s.tokens; ++t)
    for (std::size_t n = 0; n < size; ++n) {
      float db = 0.0f, dc = 0.0f;
      for (std::size_t r = 0; r < runs; ++r) {
        db += shares[2 * r * share + t * size + n];
        dc += shares[(2 * r + 1) * share + t * size + n];
      }
      s.db[t * s.stride + n] = db;
      s.dc[t * s.stride + n] = dc;
    }
}

}  // namespace

void selective_scan_gradient(const SelectiveScanWeights& w, std::span<const SelectiveScanGradient> sequences) {
  STRATA_CHECK(w.channels > 0 && w.state_dim > 0, "channels {} state {}", w.channels, w.state_dim);
  const RowKernel& rows = selected_variant().rows;
  const std::size_t runs = (w.channels + kRun - 1) / kRun;
  std::vector<std::vector<float>> shares(sequences.size());
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    STRATA_CHECK(sequences[i].stride >= w.state_dim, "stride {} state {}", sequences[i].stride, w.state_dim);
    shares[i].resize(2 * runs * sequences[i].tokens * w.state_dim);
  }
  parallel_for(sequences.size() * runs, [&](std::size_t i) {
    const SelectiveScanGradient& s = sequences[i / runs];
    const std::size_t r = i % runs, first = r * kRun, share = s.tokens * w.state_dim;
    const Run run(rows, w, s, first, std::min(kRun, w.channels - first));
    float* const to = shares[i / runs].data() + 2 * r * share;
    run.scan();
    run.scan_back(to, to + share);
  });
  for (std::size_t i = 0; i < sequences.size(); ++i) add_shares(shares[i], runs, w.state_dim, sequences[i]);
}

}  // namespace strata::kernel
