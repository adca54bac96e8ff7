// What a forward pass runs on: tokens of several sequences, each with its cache or none, and where every token stands.
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/dtype.h"
#include "core/numbers.h"
#include "engine/head_rows.h"

namespace strata::engine {

using Token = std::uint32_t;

/// What one sequence leaves to its later tokens, by block: keys and values of attention, (positions, kv_size) in f32 or
/// by heads in bf16, after the rotary embedding, and the rows or states of other mixers.
struct KvCache {
  /// kept: how attention's keys and values are held, f32 or bf16, which is half of what every later token reads. What
  /// other mixers leave is f32.
  explicit KvCache(std::size_t blocks, DType kept = DType::f32) : keys(blocks), values(blocks) {
    if (kept == DType::bf16) short_keys.resize(blocks), short_values.resize(blocks);
  }
  bool is_short() const { return !short_keys.empty(); }
  std::vector<std::vector<float>> keys, values;
  std::vector<HeadRows> short_keys, short_values;  ///< attention's, where they are bf16
  std::size_t positions = 0;
};

/// A stretch of new tokens of one sequence. Without a cache it begins at position 0; with one, at cache->positions.
struct Sequence {
  std::size_t tokens;
  KvCache* cache = nullptr;
};

/// What one rotary embedding turns the rows of a batch by, (tokens, half) each; half of the rotated dimensions.
struct Angles {
  std::size_t half;
  std::vector<float> cos, sin;
};

/// Where every row of a batch stands: made once, used by every block; and what blocks read beside hidden states.
struct Batch {
  std::vector<Sequence> sequences;
  std::size_t tokens = 0;
  std::vector<Angles> angles;        ///< by index into Architecture::ropes
  std::vector<float> query_factors;  ///< by token; empty unless the model has a QueryScale
  std::vector<Token> ids;            ///< by token; read where the model has a BlockEmbedding
  /// (tokens, Architecture::shared_size), or nullptr: keys and values that blocks leave to later ones. Sequences with a
  /// cache have them there.
  float* shared = nullptr;
  // What backward passes of single blocks leave to each other; nullptr: nobody wants it.
  /// (tokens, Architecture::shared_size): the gradient by `shared`. A block that reads keys of another one adds to it,
  /// and the block that made them takes it up.
  float* shared_gradient = nullptr;
  /// (tokens, hidden): the gradient by what Engine::embed gives, as far as it comes through a BlockEmbedding; added to.
  float* embedded_gradient = nullptr;

  /// The ids of whole sequences, one after another.
  void set_ids(std::span<const std::vector<Token>> of_sequences) {
    ids.clear();
    for (const std::vector<Token>& sequence : of_sequences) ids.insert(ids.end(), sequence.begin(), sequence.end());
  }
};

}  // namespace strata::engine
