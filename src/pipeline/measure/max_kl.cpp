// Bisection over bits. Divergence falls as bits rise but for noise, so the two ends are kept as they were measured.
// The first guess is the plan whose estimated cost is the limit.
#include "pipeline/measure/max_kl.h"

#include <cmath>

#include "core/progress.h"

namespace strata::pipeline {
namespace {

constexpr double kMostBits = 16.0, kCloseEnough = 0.01;
constexpr int kMeasurements = 12;

struct Tried {
  PlanResult plan;
  PlanMeter::Measured measured;
};

class Search {
 public:
  Search(const model::Model& model, const Target& target, const PlanRequest& request, const Costs& costs,
         PlanMeter& meter)
      : model_(model), target_(target), request_(request), costs_(costs), meter_(meter) {
    request_.max_kl.reset();
  }

  PlanResult run(double limit) {
    Tried best = tried(kMostBits);
    if (!under(best, limit))
      fail("--max-kl {}: the plan of most bits for {} has a KL divergence of {:.6f} +- {:.6f} already", limit,
           target_.name, best.measured.kl, best.measured.kl_standard_error);
    double low = least_bits(), high = kMostBits, next = bits_of_cost(low, high, limit);
    for (int round = 1; round < kMeasurements && high / low > 1.0 + kCloseEnough; ++round) {
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

  PlanResult plan(double bits) const {
    PlanRequest request = request_;
    request.bits = bits;
    return make_plan(model_, target_, request, costs_);
  }
  Tried tried(double bits) {
    progress_.note(fmt::format("{:.2f} bits", bits));
    Tried result{plan(bits), {}};
    PlanMeter::Assignment assignment;
    for (const PlannedGroup& group : result.plan.plan.groups) assignment.push_back(group.codec);
    result.measured = meter_.measure(assignment);
    ++count_;
    progress_.advance();
    return result;
  }
  /// The fewest bits that can be planned, found where planning begins to be refused.
  double least_bits() const {
    double refused = 0.0, possible = kMostBits;
    while (possible - refused > 1e-3) {
      const double middle = 0.5 * (refused + possible);
      try {
        plan(middle);
        possible = middle;
      } catch (const UsageError&) {
        throw;
      } catch (const Error&) {
        refused = middle;
      }
    }
    return possible;
  }
  double bits_of_cost(double low, double high, double cost) const {
    for (int round = 0; round < 12; ++round) {
      const double middle = 0.5 * (low + high);
      (plan(middle).plan.cost() > cost ? low : high) = middle;
    }
    return high;
  }

  const model::Model& model_;
  const Target& target_;
  PlanRequest request_;
  const Costs& costs_;
  PlanMeter& meter_;
  int count_ = 0;
  Progress progress_{"plans", kMeasurements};
};

}  // namespace

PlanResult plan_under_kl(const model::Model& model, const Target& target, const PlanRequest& request,
                         const Costs& costs, PlanMeter& meter) {
  STRATA_CHECK(request.max_kl.has_value());
  return Search(model, target, request, costs, meter).run(*request.max_kl);
}

}  // namespace strata::pipeline
