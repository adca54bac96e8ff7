// Presets: the ways of turning a limit in bytes into a plan. Each is a row of the table and a file in presets/.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "pipeline/choose/problem.h"
#include "pipeline/plan/plan.h"

namespace strata::pipeline {

/// What a preset cannot do without.
enum class Needs {
  nothing,
  budget,         ///< any that says bytes
  stock_mix,      ///< what --like names, which is the budget too
  block_signals,  ///< the request's signal, by block
  linear_costs,   ///< a cost of every linear under every codec, and a budget
};

struct Made {
  Plan plan;                       ///< codecs, bytes, costs, cost_signal and lower_bound are filled in
  std::vector<std::string> notes;  ///< what could not be done as asked
};

struct Preset {
  std::string_view name;
  std::string_view usage;    ///< as a user types it: the name, and ":CODEC" where it takes a codec
  std::string_view meaning;  ///< one line for help
  Needs needs;
  double default_bits;  ///< the budget of blocks when the user gives none; 0: no limit
  bool follows_rules;   ///< costs, and what stays in bf16, are those of the prior's rules (importance/signals/prior.h)
  /// The plan of fewest bytes that the preset can make, whatever the costs turn out to be. Throws what `make` would
  /// throw for the request's options.
  Assignment (*smallest)(const Problem&);
  /// Throws Error when the plan would take more than the limit, or needs what the costs do not hold.
  Made (*make)(const Problem&, ByteLimit);

  /// True when it reads scores of the model.
  bool reads_scores() const { return needs == Needs::linear_costs || needs == Needs::block_signals; }
  /// True when it spends a budget as well as it can, so that it needs one.
  bool spends() const { return needs == Needs::budget || needs == Needs::linear_costs; }
};

std::span<const Preset> presets();
/// The preset that a name such as "best" or "uniform:int4_g64" asks for. Throws UsageError, listing the known, for any
/// other, for a missing codec, and for a codec where the preset takes none.
const Preset& preset_named(std::string_view name);
/// "best, uniform:CODEC, lwq ...".
std::string preset_usages();

/// The plan in which every group has what it is given when the preset wants the codec of `wanted` (Problem::given).
/// Costs are those of the problem; notes say which groups have another codec than the user's pin or the preset asked
/// for. Throws Error when experts cannot be loaded so (check_experts).
Made filled(const Problem& problem, const Assignment& wanted);

/// Throws the Error of a plan that takes more than the limit (refusal.h). What counts is said at needed_limit
/// (limits.h).
void check_within(const Problem& problem, ByteLimit limit, const Assignment& given);

/// Throws Error, opening with `where`, when experts have a codec that the target cannot load in experts, or several
/// where it loads one for all.
void check_experts(const Plan& plan, const model::Architecture& architecture, const Target& target,
                   const std::string& where);

/// Throws Error, opening with `where`, when the target cannot load the plan: a codec that it has no kernel for, a shape
/// that one of `parts` GPUs cannot hold, or experts as check_experts says.
void check_plan(const Plan& plan, const model::Architecture& architecture, const Target& target, std::size_t parts,
                const std::string& where);

/// The codec of lm_head, or of the embedding of a GGUF file, in presets that have no costs.
const codec::Codec& outside_blocks(const Problem& problem);

}  // namespace strata::pipeline
