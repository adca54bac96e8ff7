// The linear as stretches of rows: round to nearest, with feedback, keep the better of the two row by row, refine,
// pack. Stretches are cut by rows alone, and their sums added in order, so that the thread count changes nothing.
#include "quantize/gptq.h"

#include <algorithm>

#include "core/error.h"
#include "core/threads.h"
#include "quantize/activation_order.h"
#include "quantize/rounding_rows.h"
#include "quantize/rtn.h"

namespace strata::quantize {
namespace {

struct Sums {
  double error = 0.0, nearest = 0.0, energy = 0.0;
};

/// Damping that had to be raised that far would drown the errors in the factors.
bool factors_are_precise(const RoundingProblem& problem) { return problem.feedback.damping <= 1.0; }

/// dw H dw^T by row.
std::vector<double> errors_of(const RoundingProblem& problem, std::span<const float> differences, std::size_t rows) {
  return factors_are_precise(problem) ? factored_errors(problem.feedback, differences, rows)
                                      : hessian_errors(problem.hessian, differences, rows);
}

/// Of rows after feedback, whose costs hold the same with damping.
std::vector<double> errors_after_feedback(const RoundingProblem& problem, const RoundingRows& rows) {
  if (!factors_are_precise(problem)) return hessian_errors(problem.hessian, rows.errors, rows.count);
  std::vector<double> errors = rows.costs;
  for (std::size_t r = 0; r < rows.count; ++r) {
    double square = 0.0;
    for (const float e : std::span(rows.errors).subspan(r * rows.cols, rows.cols))
      square += static_cast<double>(e) * static_cast<double>(e);
    errors[r] = std::max(0.0, errors[r] - problem.feedback.added * square);
  }
  return errors;
}

double total(std::span<const double> values) {
  double sum = 0.0;
  for (const double v : values) sum += v;
  return sum;
}

/// Rows of a choice that was sized for all of them.
void keep_choice(const RoundingRows& rows, Choice& choice) {
  const auto at = [&](std::size_t width) { return static_cast<std::ptrdiff_t>(rows.first * width); };
  std::copy(rows.codes.begin(), rows.codes.end(), choice.codes.begin() + at(rows.cols));
  std::copy(rows.wanted.begin(), rows.wanted.end(), choice.wanted.begin() + at(rows.cols));
  std::copy(rows.groups.begin(), rows.groups.end(), choice.groups.begin() + at(rows.groups_per_row));
}

Sums round_stretch(const RoundingProblem& problem, std::size_t first, std::size_t count, const GptqOptions& options,
                   GptqResult& out) {
  RoundingRows rows(problem, first, count), nearest(problem, first, count);
  round_nearest(problem, nearest);
  round_with_feedback(problem, rows);
  const std::vector<double> plain = errors_of(problem, nearest.errors, count);
  std::vector<double> error = errors_after_feedback(problem, rows);
  Sums sums{0.0, total(plain), total(errors_of(problem, rows.weights, count))};
  for (std::size_t r = 0; r < count; ++r) {
    if (error[r] <= plain[r]) continue;
    rows.take(nearest, r);
    error[r] = plain[r];
  }
  for (std::size_t pass = 0; pass < options.refine; ++pass) refine(problem, rows);
  sums.error = options.refine == 0 ? total(error) : total(errors_of(problem, rows.errors, count));
  problem.codec.pack(problem.codec, out.stored, first, count, rows.codes.data(), rows.groups.data(),
                     problem.tensor_scale);
  if (options.choice) keep_choice(rows, out.choice);
  return sums;
}

}  // namespace

GptqResult quantize_gptq(const codec::Codec& codec, const MatrixView& weights, const Hessian& hessian,
                         const GptqOptions& options, float tensor_scale) {
  Feedback feedback;
  if (codec.has_codes())
    feedback = factorize(
        hessian, options.damping,
        options.activation_order ? activation_order(codec, hessian.diagonal()) : std::vector<std::uint32_t>());
  return quantize_gptq(codec, weights, hessian, feedback, options, tensor_scale);
}

GptqResult quantize_gptq(const codec::Codec& codec, const MatrixView& weights, const Hessian& hessian,
                         const Feedback& feedback, const GptqOptions& options, float tensor_scale) {
  STRATA_CHECK(hessian.size() == weights.cols, "a Hessian of {} for {} columns", hessian.size(), weights.cols);
  GptqResult result;
  if (!codec.has_codes()) {
    result.stored = quantize_rtn(codec, weights, {}, options.fit, tensor_scale);
    return result;
  }
  const std::string why = codec::why_not(codec, weights.rows, weights.cols);
  STRATA_CHECK(why.empty(), "{}: {}", codec.name, why);
  const RoundingProblem problem{codec, weights, hessian, feedback, hessian.diagonal(), options.fit, tensor_scale};
  result.stored = codec::allocate(codec, weights.rows, weights.cols);
  if (options.choice)
    result.choice = {std::vector<std::uint8_t>(weights.weights()),
                     std::vector<codec::GroupParams>(weights.rows * problem.groups()),
                     std::vector<float>(weights.weights())};
  // Packing the factors costs a product as much as 15 rows do; small linears need pieces for all threads.
  const std::size_t stretch = weights.rows >= 1024 ? 128 : 32;
  std::vector<Sums> sums((weights.rows + stretch - 1) / stretch);
  parallel_for(sums.size(), [&](std::size_t s) {
    const std::size_t first = s * stretch;
    sums[s] = round_stretch(problem, first, std::min(stretch, weights.rows - first), options, result);
  });
  for (const Sums& s : sums) {
    result.error += s.error;
    result.nearest_error += s.nearest;
    result.energy += s.energy;
  }
  result.damping = feedback.damping;
  return result;
}

}  // namespace strata::quantize
