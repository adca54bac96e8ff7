// Perplexity of models, and how far their predictions are from those of the original they were made from: KL divergence
// and top-1 agreement. All models run a batch of sequences at a time; no logits are kept.
#pragma once
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "codec/activations.h"
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

/// What a verification was measured on, told to the reader of its figures.
struct EvaluatedText {
  std::string source;  ///< name of the file; empty: the model wrote the text itself
  /// True when the file had nothing left that the calibration had not used: the figures may then be too good.
  bool used_by_calibration = false;
};

/// A model's figures while its linears read inputs, and its attention keys and values, as a runtime rounds them.
struct AsItRuns {
  std::map<std::string, std::size_t, std::less<>> linears;  ///< by name_of(kind): how many round their inputs so
  std::size_t cached_blocks = 0;                            ///< blocks whose keys and values are kept in FP8
  double perplexity = 0.0;
  std::optional<double> perplexity_standard_error;
  // With an original only.
  std::optional<KlDivergence> kl_divergence;
  std::optional<double> top1_agreement;
  std::optional<Estimate> kl_change;  ///< the divergence minus that of the weights alone, position by position

  /// linears, cached_blocks, perplexity, perplexity_stderr, kl_divergence, top1_agreement, kl_change, as in Evaluation.
  json to_json() const;
  /// "fp8 by token in 210 linears, fp8 cache in 30 blocks".
  std::string describe() const;
};

/// The figures of the weights: activations are those of the forward pass, in f32 or bf16.
struct Evaluation {
  std::size_t tokens = 0;  ///< scored positions
  /// Absent where nothing is known of a calibration, as in `strata eval`.
  std::optional<EvaluatedText> text;
  double perplexity = 0.0;
  /// Delta method, as llama.cpp: perplexity times the standard error of the mean negative log-likelihood.
  std::optional<double> perplexity_standard_error;

  // The members below are there with an original only.
  std::optional<double> ref_perplexity, ref_perplexity_standard_error;
  std::optional<KlDivergence> kl_divergence;
  std::optional<double> top1_agreement;  ///< share of the positions where both have the same most likely token
  /// The divergence of this model minus that of the first of several models: the mean of the differences position by
  /// position, whose standard error is far below those of the two divergences.
  std::optional<Estimate> kl_change;
  /// Where inputs of linears are rounded while the model runs.
  std::optional<AsItRuns> as_it_runs;

  /// perplexity, perplexity_stderr, ref_perplexity, ref_perplexity_stderr, kl_divergence {mean, stderr, median, p99,
  /// max}, top1_agreement, tokens; what was not measured is null. text {source, used_by_calibration} and kl_change
  /// {mean, stderr} where they are known, as_it_runs where it was measured.
  json to_json() const;
  /// The text for people, with its number of tokens: "1016 tokens of wiki.txt that the calibration did not use".
  std::string measured_on() const;
};

/// Positions of a sequence that are scored: each predicts the token after it, with at least half the sequence as
/// context. They are length / 2 up to length - 2: 256..510 of 512.
inline std::size_t first_scored(std::size_t length) { return length / 2; }
inline std::size_t scored_count(std::size_t length) { return length - 1 - length / 2; }

/// A model that is judged. Where anything is rounded, it is run a second time so, for Evaluation::as_it_runs. rounding:
/// by index into Architecture::linears, as engine::RoundingInputs has it; cache: by block, or empty.
struct Judged {
  engine::Engine* engine;
  const std::vector<codec::ActivationRounding>* rounding = nullptr;
  const std::vector<model::CacheScales>* cache = nullptr;
};

/// models: at least one, each judged; the original runs once for all of them. sequences: at least one, all of the same
/// length >= 4 (text.h). original: the model to compare with, or nullptr. Ranks at work (core/ranks.h) share the
/// sequences, and all have the result. It does not depend on the number of threads and ranks. Memory: a batch of hidden
/// states for each model and two stretches of logits, however many sequences there are. Throws Error when the
/// vocabularies differ, a token is outside them, or logits are not finite (naming model, sequence and position), and
/// Interrupted after Ctrl-C.
std::vector<Evaluation> evaluate(std::span<const Judged> models, engine::Engine* original,
                                 std::span<const std::vector<engine::Token>> sequences);
/// Evaluates the weights of several models, or of one, as the function above does.
std::vector<Evaluation> evaluate(std::span<engine::Engine* const> models, engine::Engine* original,
                                 std::span<const std::vector<engine::Token>> sequences);
Evaluation evaluate(engine::Engine& model, engine::Engine* original,
                    std::span<const std::vector<engine::Token>> sequences);

/// What is known of every scored position; without an original, the last three vectors are empty.
struct PositionScores {
  std::vector<double> nll;      ///< -log p(next token)
  std::vector<double> ref_nll;  ///< -log p(next token) by the original
  std::vector<double> kl;       ///< D(original || model), nats
  std::vector<double> agree;    ///< 1 where the most likely tokens are the same, else 0
};
/// Means, standard errors and quantiles over the positions.
Evaluation summarize(const PositionScores& positions);

}  // namespace strata::eval
