// Factors of the embedding act before positions are added, as in transformers: modeling_opt.py, modeling_gpt2.py,
// modeling_bloom.py (the norm).
#include "engine/embedding.h"

#include "core/error.h"
#include "engine/norms.h"
#include "engine/scale.h"
#include "kernel/ops.h"
#include "model/tensors.h"
#include "model/token_rows.h"

namespace strata::engine {

Embedding::Embedding(const model::Model& of)
    : model(of), table(of.packed_embedding()), first_norm(of.norm(model::Norm::first)) {
  const model::Architecture& a = of.architecture();
  if (a.learned.positions != 0) positions = of.packed(model::positions_name(a), a.learned.rows(), a.hidden);
}

void Embedding::look_up(const kernel::Weights& rows, std::span<const Token> tokens, std::size_t first, float* h) const {
  const model::Architecture& a = model.architecture();
  for (std::size_t t = 0; t < tokens.size(); ++t) {
    if (tokens[t] >= a.vocab) model::fail_without_row(model, tokens[t]);
    kernel::read_row(rows, tokens[t], h + t * a.hidden);
  }
  scale(h, tokens.size() * a.hidden, a.scales.embedding);
  if (positions) add_positions(first, tokens.size(), h);
}

void Embedding::add_positions(std::size_t first, std::size_t tokens, float* h) const {
  const model::LearnedPositions& learned = model.architecture().learned;
  if (first + tokens > learned.positions)
    fail(
        "the text is longer than the {} positions that this model has learned; give a shorter one, or a smaller "
        "--seq-len",
        learned.positions);
  std::vector<float> row(model.architecture().hidden);
  for (std::size_t t = 0; t < tokens; ++t) {
    kernel::read_row(positions->view(), learned.first + first + t, row.data());
    kernel::add(h + t * row.size(), row.data(), row.size());
  }
}

void Embedding::norm(std::size_t tokens, float* h) const {
  if (!first_norm.empty()) norm_rows(model.architecture(), h, first_norm.data(), tokens, h);
}

void Embedding::norm_gradient(const float* rows, std::size_t tokens, float* dh) const {
  if (!first_norm.empty()) norm_rows_gradient(model.architecture(), rows, first_norm.data(), dh, tokens, dh);
}

}  // namespace strata::engine
