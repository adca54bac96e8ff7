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
    for (const char* name : {"act_mse", "alpha"}) needed.signals.push_back(&importance::signal_by_name(name));
    needed.codecs = allowed_codecs(target, request.codecs).codecs;
  }
  if (needs_block_signals(request)) needed.signals.push_back(&importance::signal_by_name(request.signal));
  return needed;
}

Costs costs_of(const importance::Scores& scores, const model::Architecture& architecture) {
  Costs costs;
  if (const auto it = scores.linears.find("act_mse"); it != scores.linears.end()) {
    const auto alpha = scores.groups.find("alpha");
    costs.signal = alpha == scores.groups.end() ? "act_mse" : "alpha x act_mse";
    costs.linears.resize(architecture.linears.size());
    for (std::size_t l = 0; l < it->second.size(); ++l) {
      const double weight = alpha == scores.groups.end() ? 1.0 : alpha->second.values[architecture.linears[l].group];
      for (const importance::CodecScore& score : it->second[l].codecs)
        costs.linears[l][score.codec] = weight * it->second[l].relative(score);
    }
  }
  for (const auto& [name, block_scores] : scores.blocks) costs.blocks[name] = scores.importance(name);
  return costs;
}

}  // namespace strata::pipeline
