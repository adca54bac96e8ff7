// Budgets as limits in bytes for the linears, and back.
#pragma once
#include <cstdint>
#include <vector>

#include "pipeline/choose/problem.h"
#include "pipeline/choose/stock_mix.h"

namespace strata::pipeline {

/// Throws UsageError unless 0 < bits <= 64.
ByteLimit limit_of_bits(const model::Architecture& architecture, double bits);

/// The limit that the request's budget of bits or of --like sets; none for --max-kl, and without a budget. The
/// mix has the user's type for the embedding where there is one. Throws UsageError when the preset needs a budget and
/// there is none, or cannot spend this one. A preset's own bits count without a budget. Budgets of whole outputs
/// (--size, --fit) depend on the plan: planner.cpp.
ByteLimit limit_of(const Problem& problem);

/// The tensors of the mix or of the file that --like names. Throws UsageError for targets other than llama.cpp, for
/// unknown mixes, and for mixes of models with experts; Error for a file of another model (model/gguf/held.h).
std::vector<StockTensor> stock_of(const Problem& problem, const StockBudget& budget);

/// The smallest limit that a plan stays within. Where blocks are counted, lm_head counts besides them in presets that
/// spend a budget, unless the user has decided about it; in GGUF files nothing outside of the blocks is limited.
ByteLimit needed_limit(const Problem& problem, const Assignment& assignment, Count count);

/// The smallest multiple of `step` bits whose limit is at least `needed`.
double bits_for(const model::Architecture& architecture, ByteLimit needed, double step);

}  // namespace strata::pipeline
