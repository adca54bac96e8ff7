// Sums of squares by column: 8 tokens in f32, sequences in double, always in the order of the calibration set.
// Threads share the columns, so that no sum is split between them.
#include "importance/input_mean_square.h"

#include <algorithm>
#include <cmath>

#include "core/checked.h"
#include "core/threads.h"
#include "kernel/ops.h"

namespace strata::importance {
namespace {

using engine::Site;

constexpr std::size_t kSites = 4;
constexpr std::size_t kStretch = 128;  // columns of a piece of work
constexpr std::size_t kTokens = 8;     // squares added in f32: relative error below 5e-7

std::size_t site_index(Site site) {
  switch (site) {
    case Site::attn_in:
      return 0;
    case Site::o_in:
      return 1;
    case Site::mlp_in:
      return 2;
    case Site::down_in:
      return 3;
    default:
      return kSites;
  }
}

/// sums[c] += sum over tokens of x[t, c]^2, c < count.
void add_squares(const float* x, std::size_t stride, std::size_t tokens, std::size_t count, double* sums) {
  float partial[kStretch];
  for (std::size_t t = 0; t < tokens; t += kTokens) {
    std::fill_n(partial, count, 0.0f);
    for (std::size_t k = t; k < std::min(tokens, t + kTokens); ++k)
      for (std::size_t c = 0; c < count; ++c) partial[c] += x[k * stride + c] * x[k * stride + c];
    for (std::size_t c = 0; c < count; ++c) sums[c] += static_cast<double>(partial[c]);
  }
}

}  // namespace

InputMeanSquare::InputMeanSquare(const model::Model& model)
    : architecture_(model.architecture()), sums_(architecture_.blocks * kSites + 1) {
  if (!architecture_.tied || architecture_.embedding() != model::kNoBlock)
    final_norm_ = model.vector("model.norm.weight", architecture_.hidden);
}

std::vector<double>& InputMeanSquare::sums(std::size_t block, Site site) {
  return sums_[block * kSites + site_index(site)];
}

void InputMeanSquare::add(std::vector<double>& sums, const SiteRows& rows) {
  sums.resize(rows.size);
  parallel_for(ceil_div(rows.size, kStretch), [&](std::size_t i) {
    const std::size_t first = i * kStretch, count = std::min(kStretch, rows.size - first);
    for (std::size_t s = 0; s < rows.sequences; ++s) {
      double of_sequence[kStretch] = {};
      add_squares(rows.of_sequence(s) + first, rows.size, rows.tokens, count, of_sequence);
      for (std::size_t c = 0; c < count; ++c) sums[first + c] += of_sequence[c];
    }
  });
}

void InputMeanSquare::observe(const SiteRows& rows) {
  if (site_index(rows.site) < kSites) add(sums(rows.block, rows.site), rows);
  if (rows.site == Site::block_in && rows.block == 0) tokens_ += rows.sequences * rows.tokens;
  if (rows.site != Site::block_out || rows.block + 1 != architecture_.blocks || final_norm_.empty()) return;
  const std::size_t tokens = rows.sequences * rows.tokens;
  normed_.resize(tokens * rows.size);
  kernel::rms_norm(rows.rows, final_norm_.data(), tokens, rows.size, architecture_.norm_epsilon, normed_.data());
  SiteRows normed = rows;
  normed.rows = normed_.data();
  add(sums_.back(), normed);
}

std::vector<float> InputMeanSquare::of(const model::Linear& linear) const {
  const bool embedding = linear.role == model::Role::embed;
  // An embedding that is no head is only looked up: every column counts alike.
  if (embedding && !architecture_.tied) return std::vector<float>(linear.cols, 1.0f);
  const bool head = embedding || linear.role == model::Role::lm_head;
  const std::vector<double>& sums =
      head ? sums_.back() : sums_[linear.block * kSites + site_index(engine::input_site(linear.role))];
  STRATA_CHECK(sums.size() == linear.cols && tokens_ > 0, "{}: {} sums", linear.module, sums.size());
  std::vector<float> result(linear.cols);
  for (std::size_t c = 0; c < linear.cols; ++c) {
    result[c] = static_cast<float>(sums[c] / static_cast<double>(tokens_));
    if (!std::isfinite(result[c]))
      fail("the mean square of input {} of {} is not finite; the model's activations are beyond the range of f32", c,
           linear.module);
  }
  return result;
}

InputMeanSquare input_mean_square(engine::Engine& engine, const CalibrationSet& set) {
  InputMeanSquare inputs(engine.model());
  const PassObserver observer = [&](const SiteRows& rows) { inputs.observe(rows); };
  run_calibration(engine, set, {&observer, 1});
  return inputs;
}

}  // namespace strata::importance
