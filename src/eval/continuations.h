// How likely a model finds texts that continue another: what tasks of several choices ask. The context that the texts
// share runs once.
#pragma once
#include <span>
#include <vector>

#include "engine/engine.h"

namespace strata::eval {

struct Continuation {
  double log_likelihood = 0.0;  ///< sum of log p(token) over its tokens, nats
  bool greedy = true;           ///< each of its tokens is the most likely one where it stands
};

/// One result for each continuation of `context`, which has at least one token; a continuation without tokens has
/// log-likelihood 0. Memory: the context's cache for each of the continuations that run together, and a stretch of
/// logits. Throws Error for an empty context, a token outside the vocabulary and logits that are not finite, and
/// Interrupted after Ctrl-C.
std::vector<Continuation> log_likelihoods(engine::Engine& engine, std::span<const engine::Token> context,
                                          std::span<const std::vector<engine::Token>> continuations);

}  // namespace strata::eval
