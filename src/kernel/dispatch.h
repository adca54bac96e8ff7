// The kernel variants in order of preference, and the public operations with the variant as an argument.
// The plain versions in matmul.h and ops.h use selected_variant().
#pragma once
#include <span>
#include <string_view>

#include "core/ranks.h"
#include "kernel/delta_rule.h"
#include "kernel/matmul.h"
#include "kernel/ops.h"
#include "kernel/outer_products.h"
#include "kernel/selective_scan.h"
#include "kernel/state_space.h"
#include "kernel/variant.h"

namespace strata::kernel {

/// Every variant that was compiled, fastest first; portable is the last. Ask isa_runs_here(variant->isa) before use.
std::span<const Variant* const> variants();
/// The variant that the program runs with: that of STRATA_ISA, or the one that product_choice.h finds the fastest here.
const Variant& selected_variant();
/// From now on that of this name, so that a job that was stopped ends with the sums it began with. Nothing changes
/// where the name is unknown, does not run here, or STRATA_ISA names another.
void keep_variant(std::string_view name);
/// From now on that of the first rank, so that all ranks compute the same sums. Throws Error where it does not run.
void keep_variant(const Ranks& ranks);

void matmul(const Variant& variant, const float* x, std::size_t x_stride, std::size_t tokens, const Weights& w,
            float* y, std::size_t y_stride, Precision precision);
void add_outer_products(const Variant& variant, const float* a, std::size_t rows, const float* b, std::size_t cols,
                        std::size_t tokens, float* sums, Part part, Precision precision);
void add_outer_products(const Variant& variant, const TokenRows& a, const TokenRows& b, std::size_t tokens, float* sums,
                        std::size_t sums_stride, Part part, Sign sign, Precision precision);
void attention(const Variant& variant, std::span<const Attention> sequences);
void delta_rule(const Variant& variant, std::span<const DeltaRule> sequences);
void state_space(const Variant& variant, const StateSpaceWeights& weights, std::span<const StateSpace> sequences);
void selective_scan(const Variant& variant, const SelectiveScanWeights& weights,
                    std::span<const SelectiveScan> sequences);
double log_sum_exp(const Variant& variant, const float* x, std::size_t size);

}  // namespace strata::kernel
