// From what a user asks for (a budget, a preset, pins) to a plan.
// Costs come from scores; the arithmetic is src/allocate.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "model/model.h"
#include "pipeline/plan.h"
#include "pipeline/target.h"

namespace strata::pipeline {

/// What planning needs to know of a model's sensitivity.
struct Costs {
  std::string signal;                                          ///< what the costs are, for the plan file
  std::vector<std::map<const codec::Codec*, double>> linears;  ///< by index; a codec without a cost is not a choice
  std::map<std::string, std::vector<double>> blocks;           ///< block signals, higher = more important
};

struct PlanRequest {
  std::string preset = "best";  ///< best, uniform:CODEC, lwq, three-tier
  std::optional<double> bits;
  std::optional<std::uint64_t> size_bytes;
  std::optional<double> max_kl;     ///< instead of a budget: the smallest plan under it (max_kl.h)
  std::vector<std::string> codecs;  ///< empty: all that the target allows
  std::vector<std::string> keep;    ///< regular expressions over module names
  std::vector<std::pair<std::string, std::string>> assign;  ///< regular expression, codec
  std::string signal = "lim";                               ///< lwq, three-tier: the blocks' order
  std::string high = "int4_g64", low = "int2_g32";          ///< lwq
  std::optional<std::size_t> n_high;                        ///< lwq; without it, as many as the budget allows
  std::string like;                                         ///< GGUF: the budget is the bytes of this stock mix
  std::string embed_codec;                                  ///< GGUF: of the embedding; empty: a choice like any other
  std::uint64_t shard_bytes = 0;                            ///< the size of the output depends on it a little

  json to_json() const;
};

struct PlanResult {
  Plan plan;
  std::vector<LeftOut> left_out;   ///< codecs that were not considered, and why
  std::vector<std::string> notes;  ///< what a user should know
  std::uint64_t output_bytes = 0;  ///< exact size of the whole output
};

/// True when the request's preset needs costs per linear and codec, or block signals.
bool needs_linear_costs(const PlanRequest& request);
bool needs_block_signals(const PlanRequest& request);

/// Throws Error for a budget that cannot be met (saying the smallest that can, and which target could), a regular
/// expression that is malformed or matches nothing, contradictory pins; UsageError for contradictory options.
PlanResult make_plan(const model::Model& model, const Target& target, const PlanRequest& request, const Costs& costs);

/// Throws what make_plan would throw for the request, whatever the costs turn out to be: to be called before scoring.
void check_request(const model::Model& model, const Target& target, const PlanRequest& request);

}  // namespace strata::pipeline
