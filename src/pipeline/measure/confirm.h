// Costs by gradients are confirmed where plans by them spend: a group that gradients find too cheap gets few bits in a
// plan, so the plan's own choices are where they err most.
#pragma once
#include <functional>
#include <span>

#include "importance/score.h"
#include "pipeline/plan/plan.h"

namespace strata::pipeline {

/// How many groups are measured in each round, whatever the model: the time grows with its size alone.
inline constexpr std::size_t kConfirmedGroups[] = {40, 20, 20, 20};
/// Calibration tokens that a group is measured on: whole sequences.
inline constexpr std::size_t kConfirmTokens = 128;

/// Where the measurements of a set, counted from 0, are kept: `journal` with its number behind it.
std::filesystem::path confirming_file(const std::filesystem::path& journal, std::size_t set);

/// In rounds: makes a plan by the scores as they are, measures the groups that cost it most at the codecs that it gives
/// them (`kl`, importance/single_changes.h), and puts the divergences into the scores, those of every set into its own.
/// sets: the one that was scored, or those of scores.sets, in their order. rounded_inputs: as in the scores. make_plan
/// is called once a round. Cost: for each group half a forward pass over kConfirmTokens tokens, for every set. The
/// journal makes a stopped run resume. ranks: they share the groups that are measured; the plan of the first one
/// counts, and it has the journal. Throws what measure_changes and make_plan throw.
void confirm_costs(engine::Engine& engine, std::span<const importance::CalibrationSet> sets,
                   const importance::InputMeanSquare& inputs, const codec::RoundedInputs& rounded_inputs,
                   const std::filesystem::path& journal, importance::Scores& scores,
                   const std::function<Plan()>& make_plan, const Ranks& ranks = {});

}  // namespace strata::pipeline
