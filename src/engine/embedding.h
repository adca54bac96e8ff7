// What the first block reads: rows of the embedding, of learned positions where the model has such, and their norm.
#pragma once
#include <optional>
#include <span>
#include <vector>

#include "engine/batch.h"
#include "kernel/matmul.h"
#include "model/model.h"

namespace strata::engine {

struct Embedding {
  explicit Embedding(const model::Model& model);
  /// h (tokens, hidden): rows of `table`, which may stand in place of the model's, for tokens of one sequence whose
  /// first stands at `first`; the norm is not taken yet. Throws Error for an id outside the vocabulary and for a text
  /// longer than learned positions.
  void look_up(const kernel::Weights& table, std::span<const Token> tokens, std::size_t first, float* h) const;
  /// The norm of the rows, in place; nothing where the model has none.
  void norm(std::size_t tokens, float* h) const;
  /// Turns the gradient by what norm() makes of looked up rows (tokens, hidden) into that by the rows.
  void norm_gradient(const float* rows, std::size_t tokens, float* dh) const;

  const model::Model& model;
  model::LinearWeights table;
  std::optional<model::LinearWeights> positions;
  std::vector<float> first_norm;  ///< empty where there is none

 private:
  void add_positions(std::size_t first, std::size_t tokens, float* h) const;
};

}  // namespace strata::engine
