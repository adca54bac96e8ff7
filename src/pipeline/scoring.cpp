// Calibration and scores for planning.
// A signal that the scores do not hold is simply not among the costs; the planner says when it needs one.
#include "pipeline/scoring.h"

namespace strata::pipeline {

importance::CalibrationSet make_calibration(engine::Engine& engine, const model::Tokenizer& tokenizer,
                                            const CalibrationRequest& request) {
  if (!request.files.empty())
    return importance::calibration_from_files(tokenizer, request.files, request.samples, request.seq_len);
  return importance::calibration_from_model(engine, tokenizer, request.samples, request.seq_len, request.seed);
}

importance::ScoreRequest scores_needed(const PlanRequest& request, const Target& target) {
  importance::ScoreRequest needed;
  if (needs_linear_costs(request)) {
    needed.signals.push_back(&importance::signal_by_name("act_mse"));
    needed.codecs = allowed_codecs(target, request.codecs).codecs;
  }
  if (needs_block_signals(request)) needed.signals.push_back(&importance::signal_by_name(request.signal));
  return needed;
}

Costs costs_of(const importance::Scores& scores, const model::Architecture& architecture) {
  Costs costs;
  if (const auto it = scores.linears.find("act_mse"); it != scores.linears.end()) {
    costs.signal = "act_mse";
    costs.linears.resize(architecture.linears.size());
    for (std::size_t l = 0; l < it->second.size(); ++l)
      for (const importance::CodecScore& score : it->second[l].codecs)
        costs.linears[l][score.codec] = it->second[l].relative(score);
  }
  for (const auto& [name, block_scores] : scores.blocks) costs.blocks[name] = scores.importance(name);
  return costs;
}

}  // namespace strata::pipeline
