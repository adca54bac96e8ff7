// Forward passes in batches of chunks; logits of the scored rows only, a stretch of rows at a time, each row compared
// by one thread. Every position's figures are stored and summed in order at the end.
#include "eval/evaluate.h"

#include <algorithm>
#include <cmath>

#include "core/progress.h"
#include "core/threads.h"
#include "kernel/softmax.h"

namespace strata::eval {
namespace {

using engine::Engine;
using engine::Token;

constexpr std::size_t kBatchBytes = 256u << 20;  // of one model's activations
constexpr std::size_t kBatchTokens = 4096;       // beyond this, products are no faster
constexpr std::size_t kLogitBytes = 64u << 20;   // of one model's logits

/// Floats that the engine holds for each token of a batch.
std::size_t floats_per_token(const model::Architecture& a) { return a.activations_per_token(); }

std::size_t chunks_per_batch(const Engine& model, const Engine* original, std::size_t n_ctx) {
  std::size_t floats = floats_per_token(model.architecture());
  if (original != nullptr) floats = std::max(floats, floats_per_token(original->architecture()));
  const std::size_t tokens = std::min(kBatchTokens, kBatchBytes / (floats * sizeof(float)));
  return std::max<std::size_t>(1, tokens / n_ctx);
}

/// The last block's output at the scored positions of some chunks, (chunks * scored_count, hidden).
std::vector<float> scored_rows(Engine& model, std::span<const std::vector<Token>> chunks) {
  const std::size_t n_ctx = chunks[0].size(), hidden = model.architecture().hidden;
  std::vector<Token> tokens;
  for (const auto& chunk : chunks) tokens.insert(tokens.end(), chunk.begin(), chunk.end());
  const std::vector<engine::Sequence> sequences(chunks.size(), engine::Sequence{n_ctx});
  const std::vector<float> h = model.forward(tokens, sequences);
  std::vector<float> rows;
  rows.reserve(chunks.size() * scored_count(n_ctx) * hidden);
  for (std::size_t c = 0; c < chunks.size(); ++c) {
    const auto first = h.begin() + static_cast<std::ptrdiff_t>((c * n_ctx + first_scored(n_ctx)) * hidden);
    rows.insert(rows.end(), first, first + static_cast<std::ptrdiff_t>(scored_count(n_ctx) * hidden));
  }
  return rows;
}

/// One of the two models with its logits of a stretch of rows.
struct Side {
  Engine* engine = nullptr;
  std::vector<float> rows, logits;

  void forward(std::span<const std::vector<Token>> chunks) { rows = scored_rows(*engine, chunks); }
  void read_logits(std::size_t first, std::size_t count) {
    logits.resize(count * engine->architecture().vocab);
    engine->logits(rows.data() + first * engine->architecture().hidden, count, logits.data());
  }
};

[[noreturn]] void fail_not_finite(const Engine& engine, std::size_t chunk, std::size_t position) {
  fail("{}: the logits of token {} of chunk {} are not finite; the weights are damaged or beyond the range of f32",
       engine.model().path().string(), position, chunk);
}

class Evaluator {
 public:
  Evaluator(Engine& model, Engine* original, std::span<const std::vector<Token>> chunks)
      : chunks_(chunks), n_ctx_(chunks[0].size()), vocab_(model.architecture().vocab) {
    model_.engine = &model;
    original_.engine = original;
    const std::size_t positions = chunks.size() * scored_count(n_ctx_);
    scores_.nll.resize(positions);
    if (original == nullptr) return;
    scores_.ref_nll.resize(positions);
    scores_.kl.resize(positions);
    scores_.agree.resize(positions);
  }

  PositionScores run() {
    Progress progress("eval", chunks_.size());
    const std::size_t together = chunks_per_batch(*model_.engine, original_.engine, n_ctx_);
    for (std::size_t first = 0; first < chunks_.size(); first += together) {
      const std::size_t count = std::min(together, chunks_.size() - first);
      run_batch(first, count);
      progress.advance(count);
    }
    return std::move(scores_);
  }

 private:
  void run_batch(std::size_t first_chunk, std::size_t count) {
    const auto batch = chunks_.subspan(first_chunk, count);
    model_.forward(batch);
    if (original_.engine != nullptr) original_.forward(batch);
    const std::size_t first = first_chunk * scored_count(n_ctx_), rows = count * scored_count(n_ctx_);
    const std::size_t stretch = std::max<std::size_t>(1, kLogitBytes / (vocab_ * sizeof(float)));
    for (std::size_t row = 0; row < rows; row += stretch) {
      const std::size_t some = std::min(stretch, rows - row);
      model_.read_logits(row, some);
      if (original_.engine != nullptr) original_.read_logits(row, some);
      parallel_for(some, [&](std::size_t i) { score(first + row + i, i); });
    }
  }

  /// Scored position `index` of all, whose logits are row `row` of the stretch.
  void score(std::size_t index, std::size_t row) {
    const std::size_t chunk = index / scored_count(n_ctx_);
    const std::size_t position = first_scored(n_ctx_) + index % scored_count(n_ctx_);
    const Token next = chunks_[chunk][position + 1];
    const float* q = model_.logits.data() + row * vocab_;
    const kernel::SoftmaxRow q_row = kernel::softmax_row(q, vocab_);
    scores_.nll[index] = q_row.log_sum_exp - static_cast<double>(q[next]);
    if (!std::isfinite(scores_.nll[index])) fail_not_finite(*model_.engine, chunk, position);
    if (original_.engine == nullptr) return;
    const float* p = original_.logits.data() + row * vocab_;
    const kernel::SoftmaxRow p_row = kernel::softmax_row(p, vocab_);
    scores_.ref_nll[index] = p_row.log_sum_exp - static_cast<double>(p[next]);
    if (!std::isfinite(scores_.ref_nll[index])) fail_not_finite(*original_.engine, chunk, position);
    scores_.kl[index] = kernel::kl_divergence(p, p_row, q, q_row, vocab_);
    if (!std::isfinite(scores_.kl[index])) fail_not_finite(*model_.engine, chunk, position);
    scores_.agree[index] = p_row.argmax == q_row.argmax ? 1.0 : 0.0;
  }

  std::span<const std::vector<Token>> chunks_;
  std::size_t n_ctx_, vocab_;
  Side model_, original_;
  PositionScores scores_;
};

json or_null(const std::optional<double>& value) { return value ? json(*value) : json(nullptr); }

}  // namespace

Evaluation evaluate(Engine& model, Engine* original, std::span<const std::vector<Token>> chunks) {
  STRATA_CHECK(!chunks.empty() && chunks[0].size() >= 4, "{} chunks", chunks.size());
  const std::size_t vocab = model.architecture().vocab;
  if (original != nullptr && original->architecture().vocab != vocab)
    fail("{} has a vocabulary of {} tokens and {} one of {}; compare a model with the one it was made from",
         model.model().path().string(), vocab, original->model().path().string(), original->architecture().vocab);
  for (const auto& chunk : chunks) {
    STRATA_CHECK(chunk.size() == chunks[0].size(), "chunks of {} and {} tokens", chunks[0].size(), chunk.size());
    for (const Token token : chunk)
      if (token >= vocab)
        fail(
            "token {} of the text is outside the vocabulary of {} tokens of {}; the tokenizer belongs to another model",
            token, vocab, model.model().path().string());
  }
  return summarize(Evaluator(model, original, chunks).run());
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

json Evaluation::to_json() const {
  json value = {{"perplexity", perplexity},
                {"perplexity_stderr", or_null(perplexity_standard_error)},
                {"ref_perplexity", or_null(ref_perplexity)},
                {"ref_perplexity_stderr", or_null(ref_perplexity_standard_error)},
                {"kl_divergence", nullptr},
                {"top1_agreement", or_null(top1_agreement)},
                {"tokens", tokens}};
  if (kl_divergence)
    value["kl_divergence"] = {{"mean", kl_divergence->mean},
                              {"stderr", or_null(kl_divergence->standard_error)},
                              {"median", kl_divergence->median},
                              {"p99", kl_divergence->p99},
                              {"max", kl_divergence->max}};
  return value;
}

}  // namespace strata::eval
