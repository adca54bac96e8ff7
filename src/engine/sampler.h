// Choosing the next token from logits, and the loop that generates text with a key-value cache.
// The same seed gives the same tokens at any thread count.
#pragma once
#include <functional>
#include <span>
#include <vector>

#include "core/random.h"
#include "engine/engine.h"

namespace strata::engine {

struct Sampling {
  double temperature = 0.0;  ///< 0: the most likely token
  double top_p = 1.0;        ///< sample from the smallest set of tokens with at least this probability
  std::uint64_t seed = 0;
};

/// Chooses a token by its logits (vocab). Among equally likely tokens the lowest id is chosen at temperature 0.
Token sample(std::span<const float> logits, const Sampling& sampling, Random& random);

/// Generates up to `count` tokens after `prompt`, calling `emit` with each; stops when emit returns false or a token
/// of `stop` is drawn (which is not emitted). kept: that of KvCache; where it is bf16, products of single tokens are
/// made InBytes. Throws Error for an empty prompt or logits that are not finite.
std::vector<Token> generate(Engine& engine, std::span<const Token> prompt, std::size_t count, const Sampling& sampling,
                            std::span<const Token> stop, const std::function<bool(Token)>& emit,
                            DType kept = DType::f32);

/// Bytes of the caches of a text of `length` tokens while self_generate writes it.
std::uint64_t text_cache_bytes(const model::Architecture& architecture, std::size_t length);

/// Of `samples` texts of `length` tokens, those that self_generate writes at once: as many as have caches of 1 GiB
/// together, and about as many in every batch. Each reads all weights once a token, so that many at once take hardly
/// longer than few.
std::size_t texts_at_once(const model::Architecture& architecture, std::size_t samples, std::size_t length);

/// Lets the model write `samples` texts of `length` tokens, each beginning with `first` (its BOS), at temperature 1:
/// calibration text for which no data is needed. Runs many sequences at once.
std::vector<std::vector<Token>> self_generate(Engine& engine, Token first, std::size_t samples, std::size_t length,
                                              std::uint64_t seed);

}  // namespace strata::engine
