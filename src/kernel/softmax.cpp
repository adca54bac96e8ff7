// D(p || q) = sum_i e_i (p_i - q_i) / sum_i e_i - log_sum_exp(p) + log_sum_exp(q) with e_i = exp(p_i - max p): one
// exponential an entry, and no difference of logarithms that cancels.
#include "kernel/softmax.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/error.h"
#include "kernel/dispatch.h"

namespace strata::kernel {
namespace {

constexpr std::size_t kStretch = 2048;  // logits whose exponentials are held at a time
constexpr std::size_t kLanes = 8;       // independent sums, which the compiler turns into vectors

/// sum_i e[i] (p[i] - q[i]).
double weighted_difference(const float* e, const float* p, const float* q, std::size_t count) {
  double sums[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (std::size_t j = 0; j < kLanes; ++j)
      sums[j] += static_cast<double>(e[i + j]) * (static_cast<double>(p[i + j]) - static_cast<double>(q[i + j]));
  for (; i < count; ++i) sums[0] += static_cast<double>(e[i]) * (static_cast<double>(p[i]) - static_cast<double>(q[i]));
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

/// sum_i e[i] x[i].
double weighted_sum(const float* e, const float* x, std::size_t count) {
  double sums[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes)
    for (std::size_t j = 0; j < kLanes; ++j) sums[j] += static_cast<double>(e[i + j]) * static_cast<double>(x[i + j]);
  for (; i < count; ++i) sums[0] += static_cast<double>(e[i]) * static_cast<double>(x[i]);
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

/// exp(d) - 1 - d; count <= kStretch.
void exponential_rests(const Variant& variant, const float* d, std::size_t count, float* rest) {
  int large = 0;
  for (std::size_t i = 0; i < count; ++i) large |= std::fabs(d[i]) <= 0.25f ? 0 : 1;
  if (large == 0) {
    // The series to d^6: the first term left out is 4e-7 of the whole at most.
    for (std::size_t i = 0; i < count; ++i) {
      const float x = d[i];
      rest[i] = x * x * (0.5f + x * (1.0f / 6 + x * (1.0f / 24 + x * (1.0f / 120 + x * (1.0f / 720)))));
    }
    return;
  }
  std::copy_n(d, count, rest);
  variant.rows.exp_scaled(rest, count, 1.0f, 0.0f);
  for (std::size_t i = 0; i < count; ++i) {
    const float x = d[i];
    rest[i] = std::fabs(x) <= 0.25f ? x * x * (0.5f + x * (1.0f / 6 + x * (1.0f / 24 + x * (1.0f / 120))))
                                    : rest[i] - 1.0f - x;
  }
}

double changed_log_sum_exp(const Variant& variant, const float* p, const float* change, std::size_t size) {
  std::vector<float> q(p, p + size);
  for (std::size_t i = 0; i < size; ++i) q[i] += change[i];
  return log_sum_exp(variant, q.data(), size);
}

/// The lowest index with x[i] == value; 0 when there is none (NaN).
std::size_t index_of(const float* x, std::size_t size, float value) {
  constexpr std::size_t stretch = 64;
  for (std::size_t i = 0; i < size; i += stretch) {
    const std::size_t end = std::min(size, i + stretch);
    int found = 0;
    for (std::size_t j = i; j < end; ++j) found |= x[j] == value ? 1 : 0;
    if (found == 0) continue;
    for (std::size_t j = i; j < end; ++j)
      if (x[j] == value) return j;
  }
  return 0;
}

}  // namespace

SoftmaxRow softmax_row(const float* x, std::size_t size) {
  STRATA_CHECK(size > 0);
  const Variant& variant = selected_variant();
  SoftmaxRow row;
  row.max = variant.rows.max(x, size);
  row.log_sum_exp = log_sum_exp(variant, x, size);
  row.argmax = index_of(x, size, row.max);
  return row;
}

double kl_divergence(const float* p, const SoftmaxRow& p_row, const float* q, const SoftmaxRow& q_row,
                     std::size_t size) {
  const Variant& variant = selected_variant();
  double sum = 0.0;
  float e[kStretch];
  for (std::size_t i = 0; i < size; i += kStretch) {
    const std::size_t count = std::min(kStretch, size - i);
    std::copy_n(p + i, count, e);
    variant.rows.exp_scaled(e, count, 1.0f, p_row.max);
    sum += weighted_difference(e, p + i, q + i, count);
  }
  const double normalizer = std::exp(p_row.log_sum_exp - static_cast<double>(p_row.max));
  return sum / normalizer - (p_row.log_sum_exp - q_row.log_sum_exp);
}

void kl_divergence_gradient(const float* p, const SoftmaxRow& p_row, float* q, const SoftmaxRow& q_row,
                            std::size_t size) {
  const Variant& variant = selected_variant();
  const auto share = [](const SoftmaxRow& row) {
    return static_cast<float>(std::exp(static_cast<double>(row.max) - row.log_sum_exp));
  };
  const float p_share = share(p_row), q_share = share(q_row);
  float e[kStretch];
  for (std::size_t i = 0; i < size; i += kStretch) {
    const std::size_t count = std::min(kStretch, size - i);
    std::copy_n(p + i, count, e);
    variant.rows.exp_scaled(e, count, 1.0f, p_row.max);
    variant.rows.exp_scaled(q + i, count, 1.0f, q_row.max);
    for (std::size_t j = 0; j < count; ++j) q[i + j] = q_share * q[i + j] - p_share * e[j];
  }
}

RowChange kl_divergence_of_change(const float* p, const SoftmaxRow& p_row, const float* change, std::size_t size) {
  // With d = q - p: log_ratio = log E_p[exp d] and D = log_ratio - E_p[d]. exp d is split into 1 + d + rest(d), since D
  // is made of the rests.
  const Variant& variant = selected_variant();
  double rests = 0.0, changes = 0.0;
  float e[kStretch], rest[kStretch];
  for (std::size_t i = 0; i < size; i += kStretch) {
    const std::size_t count = std::min(kStretch, size - i);
    const float* const d = change + i;
    std::copy_n(p + i, count, e);
    variant.rows.exp_scaled(e, count, 1.0f, p_row.max);
    exponential_rests(variant, d, count, rest);
    rests += weighted_sum(e, rest, count);
    changes += weighted_sum(e, d, count);
  }
  const double normalizer = std::exp(p_row.log_sum_exp - static_cast<double>(p_row.max));
  const double growth = (rests + changes) / normalizer;
  RowChange result;
  // The split has no digits left for a change that takes nearly all probability away or overflows, which need none.
  result.log_ratio = growth > -0.5 && std::isfinite(growth)
                         ? std::log1p(growth)
                         : changed_log_sum_exp(variant, p, change, size) - p_row.log_sum_exp;
  result.kl_divergence = result.log_ratio - changes / normalizer;
  return result;
}

}  // namespace strata::kernel
