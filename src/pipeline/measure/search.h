// Local search on the measured KL divergence of the whole plan: what single changes of a plan really cost is measured
// within the plan, and the knapsack is solved again with those costs. docs/allocation.md describes the method.
#pragma once
#include <cstddef>
#include <optional>

#include "core/options.h"
#include "importance/calibration.h"
#include "pipeline/choose/planner.h"
#include "pipeline/measure/meter.h"

namespace strata::pipeline {

struct SearchOptions {
  std::size_t steps = 0;          ///< measurements; the result is the same on every machine
  std::optional<double> seconds;  ///< ends the search early: then the result depends on the machine
  std::size_t tokens = 1024;      ///< that changes are measured on; whole plans are judged on as many others
};

/// What a user asks a search to be.
struct SearchRequest {
  bool search = false;               ///< as many measurements as take about a minute
  std::optional<std::size_t> steps;  ///< that many
  std::optional<double> seconds;     ///< as many as this time allows
  bool wanted() const { return search || steps.value_or(0) > 0 || seconds.has_value(); }
};
void visit(SearchRequest& request, OptionVisitor& visitor);
/// Throws UsageError when the plan's request leaves nothing to search.
void check_options(const SearchRequest& request, const PlanRequest& plan);
/// Without steps when no search was asked for, or the model is too large for one.
SearchOptions search_of(const SearchRequest& request, const model::Architecture& architecture);

/// Measurements that take about a minute on a laptop (a nominal 150 GFLOPS), as a number that depends on the model
/// only; 0 (no search) for models so large that these would be too few to find anything.
std::size_t default_search_steps(const model::Architecture& architecture, std::size_t tokens);

/// The best plan found, which is never worse on either text than the one that the problem's costs give. `changes`
/// measures single changes of the plan. `whole`, on another text, must agree before a plan is taken, so that noise is
/// not. The result's plan says what was done (Plan::search), and its costs are what was measured. Throws Error as
/// make_plan.
PlanResult search_plan(const Problem& problem, PlanMeter& changes, PlanMeter& whole, const SearchOptions& options);

/// search_plan on a calibration set with its mean square inputs. Its first half is for single changes, its second for
/// whole plans. Ranks share the sequences that are measured on: the first one searches, and the others help with the
/// same set and inputs, and the options' tokens.
PlanResult search_on_set(const Problem& problem, const importance::CalibrationSet& set,
                         const importance::InputMeanSquare& inputs, const SearchOptions& options,
                         const Ranks& ranks = {});
void help_to_search(const model::Model& model, const Target& target, const importance::CalibrationSet& set,
                    const importance::InputMeanSquare& inputs, std::size_t tokens, const Ranks& ranks);

}  // namespace strata::pipeline
