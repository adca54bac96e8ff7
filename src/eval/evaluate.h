// Perplexity of models, and how far their predictions are from those of the original they were made from: KL divergence
// and top-1 agreement. All run batch of chunks by batch of chunks; no logits are kept.
#pragma once
#include <optional>
#include <span>
#include <vector>

#include "core/json.h"
#include "core/statistics.h"
#include "engine/engine.h"

namespace strata::eval {

/// D(original || model) over the scored positions, nats per token.
struct KlDivergence {
  double mean = 0.0;
  std::optional<double> standard_error;
  double median = 0.0, p99 = 0.0, max = 0.0;
};

struct Evaluation {
  std::size_t tokens = 0;  ///< scored positions
  double perplexity = 0.0;
  /// Delta method, as llama.cpp: perplexity times the standard error of the mean negative log-likelihood.
  std::optional<double> perplexity_standard_error;

  // With an original only.
  std::optional<double> ref_perplexity, ref_perplexity_standard_error;
  std::optional<KlDivergence> kl_divergence;
  std::optional<double> top1_agreement;  ///< share of the positions where both have the same most likely token
  /// KL divergence less that of the first of several models: the mean of the differences position by position, whose
  /// standard error is far below those of the two divergences.
  std::optional<Estimate> kl_change;

  /// perplexity, perplexity_stderr, ref_perplexity, ref_perplexity_stderr, kl_divergence {mean, stderr, median, p99,
  /// max}, top1_agreement, tokens; what was not measured is null. kl_change {mean, stderr} where there is one.
  json to_json() const;
};

/// Positions of a chunk that are scored: each predicts the token behind it, with at least half a chunk of context.
/// n_ctx / 2 up to n_ctx - 2: 256..510 of 512.
inline std::size_t first_scored(std::size_t n_ctx) { return n_ctx / 2; }
inline std::size_t scored_count(std::size_t n_ctx) { return n_ctx - 1 - n_ctx / 2; }

/// models: at least one, each judged; the original runs once for all of them. chunks: at least one, all of the same
/// length >= 4 (text.h). original: the model to compare with, or null. The result does not depend on the number of
/// threads. Memory: a batch of hidden states a model and two stretches of logits, independent of the number of chunks.
/// Throws Error when the vocabularies differ, a token is outside them, or logits are not finite (naming model, chunk
/// and position), and Interrupted after Ctrl-C.
std::vector<Evaluation> evaluate(std::span<engine::Engine* const> models, engine::Engine* original,
                                 std::span<const std::vector<engine::Token>> chunks);
/// The same of one model.
Evaluation evaluate(engine::Engine& model, engine::Engine* original,
                    std::span<const std::vector<engine::Token>> chunks);

/// What is known of every scored position; without an original, the last three are empty.
struct PositionScores {
  std::vector<double> nll;      ///< -log p(next token)
  std::vector<double> ref_nll;  ///< of the original
  std::vector<double> kl;
  std::vector<double> agree;  ///< 1 where the most likely tokens are the same, else 0
};
/// The figures above from positions.
Evaluation summarize(const PositionScores& positions);

}  // namespace strata::eval
