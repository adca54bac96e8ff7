// The kernel tables in order of preference, and the public operations with the table as an argument.
// The plain versions in matmul.h and ops.h use selected_table().
#pragma once
#include <span>

#include "kernel/matmul.h"
#include "kernel/ops.h"
#include "kernel/outer_products.h"
#include "kernel/table.h"

namespace strata::kernel {

/// Every table that was compiled, fastest first; portable is the last. Ask isa_runs_here(table->isa) before use.
std::span<const Table* const> tables();
/// The table of selected_isa().
const Table& selected_table();

void matmul(const Table& table, const float* x, std::size_t x_stride, std::size_t tokens, const Weights& w, float* y,
            std::size_t y_stride, Precision precision);
void add_outer_products(const Table& table, const float* a, std::size_t rows, const float* b, std::size_t cols,
                        std::size_t tokens, float* sums, Part part, Precision precision);
void attention(const Table& table, std::span<const Attention> sequences);
double log_sum_exp(const Table& table, const float* x, std::size_t size);

}  // namespace strata::kernel
