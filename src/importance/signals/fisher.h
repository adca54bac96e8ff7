// fisher: what an error in a weight costs in divergence, by gradients: the diagonal of the second derivative of the KL
// divergence by the weights, at the original, as a product of rows and columns of every linear.
#pragma once
#include <vector>

#include "engine/engine.h"
#include "importance/linear_inputs.h"
#include "importance/rounding_error.h"

namespace strata::importance {

/// The sensitivity of a linear: a squared error in the weight of row i and column j costs rows[i] * columns[part][j]
/// nats per token.
struct Sensitivity {
  std::vector<std::vector<double>> columns;  ///< by part of the set (parts_of its sequences): (cols), means over rows
  std::vector<double> rows;                  ///< (rows), with mean 1; all 1 for lm_head and the embedding
};
void visit(Sensitivity& sensitivity, Snapshot& snapshot);
using Sensitivities = std::vector<Sensitivity>;  ///< by index into Architecture::linears

/// The sensitivities by the first sequences of the set: about kSensitivityTokens tokens, at least one sequence a part.
/// Cost: a forward and a backward pass over these, which is four forward passes in all. Memory: that of
/// engine::ModelGradient for about 1,024 tokens. Ranks share the sequences by parts, of which each must be of more than
/// kernel::kFewTokens tokens then, and all get the result. That does not depend on their number, nor on that of
/// threads. Throws Interrupted after Ctrl-C.
Sensitivities sensitivities(const engine::Engine& engine, const CalibrationSet& set, const Ranks& ranks = {});
inline constexpr std::size_t kSensitivityTokens = 1024;
/// The sequences of a set that sensitivities are made from.
std::size_t sensitivity_sequences(std::size_t sequences, std::size_t length);
/// The bytes of a model's sensitivities, with as many parts as a set can have.
std::uint64_t sensitivity_bytes(const model::Architecture& architecture);

/// Errors of a linear in nats per token, by part of the calibration set: squared differences times sensitivities.
std::vector<double> fisher(const LinearInputs& inputs, const ColumnProducts& difference);

}  // namespace strata::importance
