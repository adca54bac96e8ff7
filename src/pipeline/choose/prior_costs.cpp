// The squared error of a grid falls fourfold with every bit, whatever the grid. Nothing else is known without scores.
#include "pipeline/choose/prior_costs.h"

#include <cmath>

namespace strata::pipeline {

importance::Prior prior_of(const PlanRequest& request) {
  return request.prior.is_null() ? importance::Prior::literature()
                                 : importance::Prior::from_json(request.prior, "--prior");
}

Costs prior_costs(const importance::Prior& prior, const model::Model& model) {
  const model::Architecture& a = model.architecture();
  Costs costs;
  costs.signal = "prior";
  const std::vector<double> rules = prior.of_linears(a);
  for (std::size_t l = 0; l < a.linears.size(); ++l) {
    const model::Linear& linear = a.linears[l];
    const double weights = static_cast<double>(linear.rows) * static_cast<double>(linear.cols);
    std::map<const codec::Codec*, double>& row = costs.linears.emplace_back();
    for (const codec::Codec& codec : codec::all()) {
      if (!codec::why_not(codec, linear.rows, linear.cols).empty()) continue;
      const double bits = 8.0 * static_cast<double>(codec::stored_bytes(codec, linear.rows, linear.cols)) / weights;
      const bool exact = !codec.has_codes() || model.source_codec(l) == &codec;
      row[&codec] = exact ? 0.0 : weights * rules[l] * std::exp2(-2.0 * bits);
    }
  }
  return costs;
}

}  // namespace strata::pipeline
