// The linear as stretches of rows: with feedback, to nearest, keep the better of the two row by row, refine, pack.
// Stretches are cut by rows alone, and their sums added in order, so that the thread count changes nothing.
// To nearest takes much of the time and is better in no row of nearly every linear: large ones are compared on a share
// of each stretch first.
#include "quantize/gptq.h"

#include <algorithm>

#include "codec/chosen_rows.h"
#include "core/checked.h"
#include "core/error.h"
#include "core/threads.h"
#include "quantize/activation_order.h"
#include "quantize/rounding_rows.h"
#include "quantize/rtn.h"

namespace strata::quantize {
namespace {

constexpr std::size_t kLargeLinear = 1024;  // rows
constexpr std::size_t kComparedShare = 8;

struct Sums {
  double error = 0.0, energy = 0.0;            ///< of all rows
  double compared_error = 0.0, nearest = 0.0;  ///< of those that were rounded to nearest as well
  bool nearest_is_better = false;              ///< in some row

  Sums& operator+=(const Sums& other);
};

Sums& Sums::operator+=(const Sums& other) {
  error += other.error;
  energy += other.energy;
  compared_error += other.compared_error;
  nearest += other.nearest;
  nearest_is_better = nearest_is_better || other.nearest_is_better;
  return *this;
}

/// Damping that had to be raised that far would drown the errors in the factors.
bool factors_are_precise(const RoundingProblem& problem) { return problem.feedback.damping <= 1.0; }

/// dw H dw^T by row.
std::vector<double> errors_of(const RoundingProblem& problem, std::span<const float> differences, std::size_t rows) {
  return factors_are_precise(problem) ? factored_errors(problem.feedback, differences, rows)
                                      : hessian_errors(problem.hessian, differences, rows);
}

/// The errors of rows after feedback, from their costs, which hold the damping too.
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

/// The first `compared` of the rows are rounded to nearest too, and take what is better.
void compare_with_nearest(const RoundingProblem& problem, std::size_t compared, RoundingRows& rows,
                          std::vector<double>& error, Sums& sums) {
  RoundingRows nearest(problem, rows.first, compared);
  round_nearest(problem, nearest);
  const std::vector<double> plain = errors_of(problem, nearest.errors, compared);
  sums.nearest = total(plain);
  for (std::size_t r = 0; r < compared; ++r) {
    if (error[r] <= plain[r]) continue;
    sums.nearest_is_better = true;
    rows.take(nearest, r);
    error[r] = plain[r];
  }
}

Sums round_stretch(const RoundingProblem& problem, std::size_t first, std::size_t count, std::size_t compared,
                   std::size_t refinements, GptqResult& out) {
  RoundingRows rows(problem, first, count);
  round_with_feedback(problem, rows);
  std::vector<double> error = errors_after_feedback(problem, rows);
  Sums sums;
  compare_with_nearest(problem, compared, rows, error, sums);
  for (std::size_t pass = 0; pass < refinements; ++pass) refine(problem, rows);
  if (refinements > 0) error = errors_of(problem, rows.errors, count);
  sums.error = total(error);
  sums.compared_error = total(std::span(error).first(compared));
  sums.energy = total(errors_of(problem, rows.weights, count));
  codec::pack_rows(problem.codec, out.stored, first, count, rows.codes.data(), rows.groups.data(),
                   problem.tensor_scale);
  if (!out.choice.codes.empty()) keep_choice(rows, out.choice);
  return sums;
}

/// One row of `share` is compared with round to nearest.
Sums round_rows(const RoundingProblem& problem, std::size_t share, std::size_t refinements, const Ranks& ranks,
                GptqResult& out) {
  const std::size_t rows = problem.weights.rows;
  const std::size_t stretch = rows_of_a_stretch(rows);
  std::vector<Sums> sums(ceil_div(rows, stretch));
  const std::size_t begin = ranks.first_of(sums.size());
  parallel_for(ranks.end_of(sums.size()) - begin, [&](std::size_t s) {
    const std::size_t first = (begin + s) * stretch, count = std::min(stretch, rows - first);
    sums[begin + s] = round_stretch(problem, first, count, (count + share - 1) / share, refinements, out);
  });
  ranks.share_all(std::span(sums));
  Sums all;
  for (const Sums& s : sums) all += s;
  return all;
}

/// Every rank has packed its share of the rows, and gets the others. A tensor of the same shape for any number of rows
/// comes with the first ones.
void share_rows(const Ranks& ranks, codec::Stored& stored) {
  if (!ranks.many()) return;
  const std::size_t stretch = rows_of_a_stretch(stored.rows), count = ceil_div(stored.rows, stretch);
  const std::vector<codec::PartSpec> doubled = stored.codec->layout(*stored.codec, 2 * stored.rows, stored.cols);
  for (std::size_t i = 0; i < stored.parts.size(); ++i) {
    const std::span<std::byte> part = stored.parts[i];
    if (doubled[i].shape == stored.specs[i].shape) {
      ranks.broadcast(part, ranks.owner_of(count, 0));
      continue;
    }
    const std::size_t lines = stored.specs[i].shape[0], rows_of_a_line = ceil_div(stored.rows, lines);
    STRATA_CHECK(stretch % rows_of_a_line == 0 && part.size() % lines == 0, "{}: {} lines of {} rows",
                 stored.specs[i].suffix, lines, stored.rows);
    ranks.share_all(part, stretch / rows_of_a_line * (part.size() / lines));
  }
}

}  // namespace

RowShare share_of_rows(const Ranks& ranks, std::size_t rows) {
  const std::size_t stretch = rows_of_a_stretch(rows), count = ceil_div(rows, stretch);
  return {std::min(rows, ranks.first_of(count) * stretch), std::min(rows, ranks.end_of(count) * stretch)};
}

std::size_t rows_of_a_stretch(std::size_t rows) { return rows >= kLargeLinear ? 128 : 32; }

void visit(GptqOptions& options, OptionVisitor& visitor) {
  visitor.option(
      {.name = "--refine", .help = "gptq: passes of coordinate descent over the codes", .example = "3", .most = 100},
      options.refine);
  visitor.option({.name = "--damping",
                  .help = "gptq: share of the mean added to the Hessian's diagonal (default: 0.1, or 0.01 with "
                          "--no-asymmetric)",
                  .example = "0.05",
                  .least = 1e-6,
                  .most = 1e3},
                 options.damping);
  visitor.flag(
      {.name = "--act-order", .help = "gptq: round the columns with the largest inputs first, not as they stand"},
      options.activation_order);
}

GptqResult quantize_gptq(const codec::Codec& codec, const MatrixView& weights, const Hessian& hessian,
                         const GptqOptions& options, const GptqTask& task) {
  Feedback feedback;
  if (codec.has_codes())
    feedback = factorize(
        hessian, options.damping.value_or(kDamping),
        options.activation_order ? activation_order(codec, hessian.diagonal()) : std::vector<std::uint32_t>());
  return quantize_gptq(codec, weights, hessian, feedback, options, task);
}

GptqResult quantize_gptq(const codec::Codec& codec, const MatrixView& weights, const Hessian& hessian,
                         const Feedback& feedback, const GptqOptions& options, const GptqTask& task) {
  STRATA_CHECK(hessian.size() == weights.cols, "a Hessian of {} for {} columns", hessian.size(), weights.cols);
  GptqResult result;
  if (!codec.has_codes()) {
    result.stored = quantize_rtn(codec, weights, {}, task.fit, task.tensor_scale);
    return result;
  }
  const std::string why = codec::why_not(codec, weights.rows, weights.cols);
  STRATA_CHECK(why.empty(), "{}: {}", codec.name, why);
  const RoundingProblem problem{codec, weights, hessian, feedback, hessian.diagonal(), task.fit, task.tensor_scale};
  result.stored = codec::allocate(codec, weights.rows, weights.cols);
  if (task.keep_choice)
    result.choice = {std::vector<std::uint8_t>(weights.weights()),
                     std::vector<codec::GroupParams>(weights.rows * problem.groups()),
                     std::vector<float>(weights.weights())};
  const std::size_t share = weights.rows >= kLargeLinear ? kComparedShare : 1;
  Sums sums = round_rows(problem, share, options.refine, task.ranks, result);
  // Such rows come together: those of a head, or all of inputs that are hard to factorize.
  if (sums.nearest_is_better && share > 1) sums = round_rows(problem, 1, options.refine, task.ranks, result);
  share_rows(task.ranks, result.stored);
  result.error = sums.error;
  result.energy = sums.energy;
  result.nearest_error = sums.nearest;
  if (sums.compared_error > 0.0) result.nearest_error *= sums.error / sums.compared_error;
  result.damping = feedback.damping;
  return result;
}

}  // namespace strata::quantize
