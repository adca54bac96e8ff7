// All but the last token of the context run once into a cache. Each continuation goes on from a copy of it: that last
// token and all of its own but its last give the logits of its tokens.
#include "eval/continuations.h"

#include <algorithm>
#include <cmath>

#include "core/interrupt.h"
#include "core/threads.h"
#include "kernel/softmax.h"

namespace strata::eval {
namespace {

using engine::KvCache;
using engine::Token;

constexpr std::size_t kPieceTokens = 512;         // of the context, run at a time
constexpr std::size_t kCacheBytes = 512u << 20;   // copies of the context's cache
constexpr std::size_t kStretchBytes = 64u << 20;  // logits of a stretch of rows

KvCache cache_of(engine::Engine& engine, std::span<const Token> tokens) {
  KvCache cache(engine.architecture().blocks);
  for (std::size_t at = 0; at < tokens.size(); at += kPieceTokens) {
    check_interrupt();
    const engine::Sequence piece{std::min(kPieceTokens, tokens.size() - at), &cache};
    engine.forward(tokens.subspan(at, piece.tokens), {&piece, 1});
  }
  return cache;
}

std::size_t bytes_of(const KvCache& cache) {
  std::size_t values = 1;
  for (const auto* parts : {&cache.keys, &cache.values})
    for (const std::vector<float>& part : *parts) values += part.size();
  return values * sizeof(float);
}

/// What stands in one row of the batch: the token after it, and whose it is.
struct Row {
  Token next;
  std::size_t continuation;
};

/// Adds what the rows of h (rows, hidden) say of the tokens after them.
void add_rows(engine::Engine& engine, const std::vector<float>& h, std::span<const Row> rows,
              std::vector<Continuation>& results) {
  const std::size_t vocab = engine.architecture().vocab, hidden = engine.architecture().hidden;
  const std::size_t stretch = std::max<std::size_t>(1, kStretchBytes / (vocab * sizeof(float)));
  std::vector<float> logits;
  std::vector<kernel::SoftmaxRow> softmax(std::min(stretch, rows.size()));
  for (std::size_t first = 0; first < rows.size(); first += stretch) {
    const std::size_t count = std::min(stretch, rows.size() - first);
    logits.resize(count * vocab);
    engine.logits(h.data() + first * hidden, count, logits.data());
    parallel_for(count, [&](std::size_t i) { softmax[i] = kernel::softmax_row(logits.data() + i * vocab, vocab); });
    for (std::size_t i = 0; i < count; ++i) {
      const Row& row = rows[first + i];
      const double value = static_cast<double>(logits[i * vocab + row.next]) - softmax[i].log_sum_exp;
      if (!std::isfinite(value)) fail("the model's output is not finite; its weights are damaged");
      results[row.continuation].log_likelihood += value;
      if (softmax[i].argmax != row.next) results[row.continuation].greedy = false;
    }
  }
}

}  // namespace

std::vector<Continuation> log_likelihoods(engine::Engine& engine, std::span<const Token> context,
                                          std::span<const std::vector<Token>> continuations) {
  if (context.empty()) fail("the context is empty");
  for (const std::vector<Token>& continuation : continuations)
    for (const Token token : continuation)
      if (token >= engine.architecture().vocab)
        fail("token {} is outside the vocabulary of {}", token, engine.architecture().vocab);
  const KvCache shared = cache_of(engine, context.first(context.size() - 1));
  const std::size_t together = std::max<std::size_t>(1, kCacheBytes / bytes_of(shared));
  std::vector<Continuation> results(continuations.size());
  for (std::size_t first = 0; first < continuations.size(); first += together) {
    check_interrupt();
    const std::size_t end = std::min(first + together, continuations.size());
    std::vector<KvCache> caches(end - first, shared);
    std::vector<engine::Sequence> sequences;
    std::vector<Token> tokens;
    std::vector<Row> rows;
    for (std::size_t c = first; c < end; ++c) {
      const std::vector<Token>& continuation = continuations[c];
      if (continuation.empty()) continue;
      sequences.push_back({continuation.size(), &caches[c - first]});
      tokens.push_back(context.back());
      tokens.insert(tokens.end(), continuation.begin(), continuation.end() - 1);
      for (const Token next : continuation) rows.push_back({next, c});
    }
    if (!rows.empty()) add_rows(engine, engine.forward(tokens, sequences), rows, results);
  }
  return results;
}

}  // namespace strata::eval
