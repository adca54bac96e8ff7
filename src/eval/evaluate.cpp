// The forward passes run in batches of sequences. Logits are made for the scored rows only, a stretch of rows at a
// time, and each row is compared by one thread. The figures of every position are stored, and summed in order at the
// end.
#include "eval/evaluate.h"

#include <algorithm>
#include <cmath>

#include "core/progress.h"
#include "core/ranks.h"
#include "core/threads.h"
#include "engine/modes.h"
#include "kernel/softmax.h"
#include "model/damage.h"
#include "model/token_rows.h"

namespace strata::eval {
namespace {

using engine::Engine;
using engine::Token;

constexpr std::size_t kBatchBytes = 256u << 20;  // activations of one model
constexpr std::size_t kBatchTokens = 4096;       // larger batches make products no faster
constexpr std::size_t kLogitBytes = 64u << 20;   // logits of one model

/// Floats that the engine holds for each token of a batch.
std::size_t floats_per_token(const model::Architecture& a) { return a.activations_per_token(); }

std::size_t sequences_per_batch(const Engine& model, const Engine* original, std::size_t length) {
  std::size_t floats = floats_per_token(model.architecture());
  if (original != nullptr) floats = std::max(floats, floats_per_token(original->architecture()));
  const std::size_t tokens = std::min(kBatchTokens, kBatchBytes / (floats * sizeof(float)));
  return std::max<std::size_t>(1, tokens / length);
}

/// The last block's output at the scored positions of some sequences, (sequences * scored_count, hidden).
std::vector<float> scored_rows(Engine& model, std::span<const std::vector<Token>> sequences) {
  const std::size_t length = sequences[0].size(), hidden = model.architecture().hidden;
  std::vector<Token> tokens;
  for (const auto& sequence : sequences) tokens.insert(tokens.end(), sequence.begin(), sequence.end());
  const std::vector<engine::Sequence> lengths(sequences.size(), engine::Sequence{length});
  const std::vector<float> h = model.forward(tokens, lengths);
  std::vector<float> rows;
  rows.reserve(sequences.size() * scored_count(length) * hidden);
  for (std::size_t i = 0; i < sequences.size(); ++i) {
    const auto first = h.begin() + static_cast<std::ptrdiff_t>((i * length + first_scored(length)) * hidden);
    rows.insert(rows.end(), first, first + static_cast<std::ptrdiff_t>(scored_count(length) * hidden));
  }
  return rows;
}

using Rounding = std::vector<codec::ActivationRounding>;

/// A model, how it rounds what its linears read and what it caches, and its last block's output at the scored positions
/// of the batch that runs.
struct Side {
  Engine* engine = nullptr;
  Rounding rounding = {};
  std::optional<engine::CacheUse> cache = {};
  std::vector<float> rows = {};

  void forward(std::span<const std::vector<Token>> sequences) {
    const engine::AlikeInBatches alike(*engine);
    const engine::RoundingInputs inputs(*engine, rounding);
    std::optional<engine::HoldingCache> holding;
    if (cache) holding.emplace(*engine, *cache);
    rows = scored_rows(*engine, sequences);
  }
  void read_logits(std::size_t first, std::size_t count, std::vector<float>& logits) {
    const engine::RoundingInputs inputs(*engine, rounding);
    logits.resize(count * engine->architecture().vocab);
    engine->logits(rows.data() + first * engine->architecture().hidden, count, logits.data());
  }
};

class Evaluator {
 public:
  Evaluator(std::vector<Side> models, Engine* original, std::span<const std::vector<Token>> sequences)
      : sequences_(sequences),
        length_(sequences[0].size()),
        vocab_(models[0].engine->architecture().vocab),
        models_(std::move(models)),
        scores_(models_.size()) {
    original_.engine = original;
    const std::size_t positions = sequences.size() * scored_count(length_);
    for (std::size_t m = 0; m < models_.size(); ++m) {
      scores_[m].nll.resize(positions);
      if (original == nullptr) continue;
      scores_[m].kl.resize(positions);
      scores_[m].agree.resize(positions);
    }
    if (original != nullptr) scores_[0].ref_nll.resize(positions);
  }

  /// One result for each model.
  std::vector<PositionScores> run() {
    // Products of few rows are others: a sequence must have more, to give the same bits whoever has it.
    const Ranks ranks = scored_count(length_) > kernel::kFewTokens ? ranks_at_work() : Ranks();
    const std::size_t begin = ranks.first_of(sequences_.size()), end = ranks.end_of(sequences_.size());
    Progress progress("eval", end - begin);
    std::size_t together = sequences_.size();
    for (const Side& model : models_)
      together = std::min(together, sequences_per_batch(*model.engine, original_.engine, length_));
    for (std::size_t first = begin; first < end; first += together) {
      const std::size_t count = std::min(together, end - first);
      run_batch(first, count);
      progress.advance(count);
    }
    for (PositionScores& scores : scores_)
      for (std::vector<double>* of_position : {&scores.nll, &scores.ref_nll, &scores.kl, &scores.agree})
        ranks.share_all(std::span(*of_position), scored_count(length_));
    for (PositionScores& scores : scores_) scores.ref_nll = scores_[0].ref_nll;
    return std::move(scores_);
  }

 private:
  void run_batch(std::size_t first_sequence, std::size_t count) {
    const auto batch = sequences_.subspan(first_sequence, count);
    for (Side& model : models_) model.forward(batch);
    if (original_.engine != nullptr) original_.forward(batch);
    const std::size_t first = first_sequence * scored_count(length_), rows = count * scored_count(length_);
    // Stretches of about the same size, so that the last one has not few rows.
    const std::size_t most = std::max<std::size_t>(1, kLogitBytes / (vocab_ * sizeof(float)));
    const std::size_t stretches = (rows + most - 1) / most;
    for (std::size_t s = 0; s < stretches; ++s) {
      const std::size_t row = s * rows / stretches, here = (s + 1) * rows / stretches - row;
      if (original_.engine != nullptr) read_original(first + row, row, here);
      for (std::size_t m = 0; m < models_.size(); ++m) {
        models_[m].read_logits(row, here, logits_);
        parallel_for(here, [&](std::size_t i) { score(m, first + row + i, i); });
      }
    }
  }

  void read_original(std::size_t first_index, std::size_t row, std::size_t count) {
    original_.read_logits(row, count, ref_logits_);
    ref_rows_.resize(count);
    parallel_for(count, [&](std::size_t i) {
      const float* p = ref_logits_.data() + i * vocab_;
      ref_rows_[i] = kernel::softmax_row(p, vocab_);
      const double nll = ref_rows_[i].log_sum_exp - static_cast<double>(p[next_token(first_index + i)]);
      if (!std::isfinite(nll)) fail_at(*original_.engine, first_index + i);
      scores_[0].ref_nll[first_index + i] = nll;
    });
  }

  /// Fills in what is known of the scored position `index`, whose logits are row `row` of the stretch.
  void score(std::size_t model, std::size_t index, std::size_t row) {
    PositionScores& scores = scores_[model];
    const float* q = logits_.data() + row * vocab_;
    const kernel::SoftmaxRow q_row = kernel::softmax_row(q, vocab_);
    scores.nll[index] = q_row.log_sum_exp - static_cast<double>(q[next_token(index)]);
    if (!std::isfinite(scores.nll[index])) fail_at(*models_[model].engine, index);
    if (original_.engine == nullptr) return;
    const kernel::SoftmaxRow& p_row = ref_rows_[row];
    scores.kl[index] = kernel::kl_divergence(ref_logits_.data() + row * vocab_, p_row, q, q_row, vocab_);
    if (!std::isfinite(scores.kl[index])) fail_at(*models_[model].engine, index);
    scores.agree[index] = p_row.argmax == q_row.argmax ? 1.0 : 0.0;
  }

  std::size_t sequence_of(std::size_t index) const { return index / scored_count(length_); }
  std::size_t position_of(std::size_t index) const { return first_scored(length_) + index % scored_count(length_); }
  Token next_token(std::size_t index) const { return sequences_[sequence_of(index)][position_of(index) + 1]; }
  [[noreturn]] void fail_at(const Engine& engine, std::size_t index) const {
    model::fail_not_finite(
        engine.model(),
        fmt::format("the logits of token {} of sequence {} are not finite", position_of(index), sequence_of(index)),
        "the weights are damaged or beyond the range of f32");
  }

  std::span<const std::vector<Token>> sequences_;
  std::size_t length_, vocab_;
  std::vector<Side> models_;
  Side original_;
  std::vector<float> logits_, ref_logits_;    // one stretch of rows of the model that is judged, and of the original
  std::vector<kernel::SoftmaxRow> ref_rows_;  // the softmax of every row of ref_logits_
  std::vector<PositionScores> scores_;        // one for each model; only the first holds ref_nll until the end
};

/// Throws Error unless `model` has as many tokens as `other`.
void check_vocabularies(const Engine& model, const Engine& other, const char* advice) {
  const std::size_t vocab = model.architecture().vocab, others = other.architecture().vocab;
  if (vocab != others)
    fail("{} has a vocabulary of {} tokens and {} one of {}; {}", model.model().path().string(), vocab,
         other.model().path().string(), others, advice);
}

Estimate difference(std::span<const double> values, std::span<const double> from) {
  std::vector<double> differences(values.size());
  for (std::size_t i = 0; i < values.size(); ++i) differences[i] = values[i] - from[i];
  return estimate(differences);
}

bool rounds(const Judged& model) {
  return (model.rounding != nullptr && std::ranges::any_of(*model.rounding, &codec::ActivationRounding::rounds)) ||
         (model.cache != nullptr && std::ranges::any_of(*model.cache, &model::CacheScales::rounds));
}

/// The model as it runs.
Side rounded_side(const Judged& model) {
  Side side{model.engine};
  if (model.rounding != nullptr) side.rounding = *model.rounding;
  if (model.cache != nullptr && !model.cache->empty()) side.cache = engine::CacheUse{*model.cache};
  return side;
}

/// What a run of the weights as they are, and one with rounded inputs, say together.
AsItRuns as_it_runs(const Judged& model, const PositionScores& rounded, const PositionScores& weights) {
  const Evaluation figures = summarize(rounded);
  const Side side = rounded_side(model);
  AsItRuns result{{},
                  0,
                  figures.perplexity,
                  figures.perplexity_standard_error,
                  figures.kl_divergence,
                  figures.top1_agreement,
                  std::nullopt};
  if (side.cache)
    result.cached_blocks =
        static_cast<std::size_t>(std::ranges::count_if(side.cache->scales, &model::CacheScales::rounds));
  for (const codec::ActivationRounding& linear : side.rounding)
    if (linear.rounds()) ++result.linears[std::string(codec::name_of(linear.kind))];
  if (!rounded.kl.empty()) result.kl_change = difference(rounded.kl, weights.kl);
  return result;
}

void check_judged(std::span<const Judged> models, const Engine* original,
                  std::span<const std::vector<Token>> sequences) {
  STRATA_CHECK(!models.empty() && !sequences.empty() && sequences[0].size() >= 4, "{} sequences", sequences.size());
  const Engine& model = *models[0].engine;
  for (const Judged& other : models) check_vocabularies(model, *other.engine, "judge them one by one");
  if (original != nullptr) check_vocabularies(model, *original, "compare a model with the one it was made from");
  for (const auto& sequence : sequences) {
    STRATA_CHECK(sequence.size() == sequences[0].size(), "sequences of {} and {} tokens", sequences[0].size(),
                 sequence.size());
    for (const Token token : sequence)
      if (token >= model.architecture().vocab) model::fail_without_row(model.model(), token);
  }
}

}  // namespace

std::vector<Evaluation> evaluate(std::span<const Judged> models, Engine* original,
                                 std::span<const std::vector<Token>> sequences) {
  check_judged(models, original, sequences);
  std::vector<Side> sides;
  for (const Judged& model : models) sides.push_back({model.engine});
  for (const Judged& model : models)
    if (rounds(model)) sides.push_back(rounded_side(model));
  const std::vector<PositionScores> scores = Evaluator(std::move(sides), original, sequences).run();
  std::vector<Evaluation> result;
  std::size_t rounded = models.size();
  for (std::size_t m = 0; m < models.size(); ++m) {
    result.push_back(summarize(scores[m]));
    if (original != nullptr && m != 0) result.back().kl_change = difference(scores[m].kl, scores[0].kl);
    if (rounds(models[m])) result.back().as_it_runs = as_it_runs(models[m], scores[rounded++], scores[m]);
  }
  return result;
}

std::vector<Evaluation> evaluate(std::span<Engine* const> models, Engine* original,
                                 std::span<const std::vector<Token>> sequences) {
  std::vector<Judged> judged;
  for (Engine* const model : models) judged.push_back({model});
  return evaluate(judged, original, sequences);
}

Evaluation evaluate(Engine& model, Engine* original, std::span<const std::vector<Token>> sequences) {
  Engine* const models[] = {&model};
  return evaluate(models, original, sequences).front();
}

Evaluation summarize(const PositionScores& positions) {
  const auto perplexity = [](std::span<const double> nll, std::optional<double>& standard_error) {
    const Estimate mean = estimate(nll);
    if (mean.standard_error) standard_error = std::exp(mean.mean) * *mean.standard_error;
    return std::exp(mean.mean);
  };
  Evaluation result;
  result.tokens = positions.nll.size();
  result.perplexity = perplexity(positions.nll, result.perplexity_standard_error);
  if (positions.kl.empty()) return result;
  result.ref_perplexity = perplexity(positions.ref_nll, result.ref_perplexity_standard_error);
  const Estimate kl = estimate(positions.kl);
  result.kl_divergence =
      KlDivergence{kl.mean, kl.standard_error, quantile(positions.kl, 0.5), quantile(positions.kl, 0.99),
                   *std::max_element(positions.kl.begin(), positions.kl.end())};
  result.top1_agreement = estimate(positions.agree).mean;
  return result;
}

}  // namespace strata::eval
