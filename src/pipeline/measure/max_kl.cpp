// Bisection over bits. Divergence falls as bits rise except for noise, so both ends keep what was measured there.
// The first guess is the plan whose estimated cost is the limit.
#include "pipeline/measure/max_kl.h"

#include "core/progress.h"
#include "pipeline/choose/limits.h"
#include "pipeline/choose/presets.h"

namespace strata::pipeline {
namespace {

constexpr double kCloseEnough = 0.01;
constexpr double kStep = 0x1p-10;  ///< of the fewest bits, which are rounded up to it

struct Tried {
  PlanResult plan;
  PlanMeter::Measured measured;
};

class SmallestUnderLimit {
 public:
  SmallestUnderLimit(const Problem& problem, PlanMeter& meter) : problem_(problem), meter_(meter) {}

  PlanResult run(double limit) {
    Tried best = tried(most_bits_);
    if (!under(best, limit))
      fail("--max-kl {}: the plan of most bits for {} has a KL divergence of {:.6f} +- {:.6f} already", limit,
           problem_.target().name, best.measured.kl, best.measured.kl_standard_error);
    double low = least_bits(), high = most_bits_, next = bits_of_cost(low, high, limit);
    for (std::size_t round = 1; round < kMaxKlPlans && high / low > 1.0 + kCloseEnough; ++round) {
      Tried candidate = tried(next);
      const double bits = candidate.plan.plan.bits();
      if (under(candidate, limit)) {
        high = std::min(next, bits);
        best = std::move(candidate);
      } else {
        low = next;
      }
      next = 0.5 * (low + high);
    }
    best.plan.notes.push_back(
        fmt::format("KL divergence at most {}: {:.5f} +- {:.5f} on {} tokens of calibration text, "
                    "rounded to nearest ({} plans measured)",
                    limit, best.measured.kl, best.measured.kl_standard_error, meter_.tokens(), count_));
    return std::move(best.plan);
  }

 private:
  static bool under(const Tried& t, double limit) { return t.measured.kl + t.measured.kl_standard_error <= limit; }

  PlanResult plan(double bits) const { return make_plan(problem_.with(BitsBudget{bits})); }
  Tried tried(double bits) {
    progress_.note(fmt::format("{:.2f} bits", bits));
    Tried result{plan(bits), {}};
    result.measured = meter_.measure(assignment_of(result.plan.plan));
    ++count_;
    progress_.advance();
    return result;
  }
  /// The fewest bits that can be planned.
  double least_bits() const {
    const Assignment least = preset_named(problem_.request().preset).smallest(problem_);
    return bits_for(problem_.architecture(), needed_limit(problem_, least, Count::blocks), kStep);
  }
  double bits_of_cost(double low, double high, double cost) const {
    for (int round = 0; round < 12; ++round) {
      const double middle = 0.5 * (low + high);
      (plan(middle).plan.cost() > cost ? low : high) = middle;
    }
    return high;
  }

  const Problem& problem_;
  PlanMeter& meter_;
  const double most_bits_ = codec::by_name("keep").code_bits;
  int count_ = 0;
  Progress progress_{"plans", kMaxKlPlans};
};

}  // namespace

PlanResult plan_under_kl(const Problem& problem, PlanMeter& meter) {
  const auto* limit = std::get_if<KlBudget>(&problem.request().budget);
  STRATA_CHECK(limit != nullptr);
  return SmallestUnderLimit(problem, meter).run(limit->nats);
}

}  // namespace strata::pipeline
