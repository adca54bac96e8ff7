// How products of few tokens, which read the rows of weights where they lie, are spread over the threads.
#pragma once
#include <algorithm>
#include <cstddef>

#include "core/checked.h"
#include "core/threads.h"

namespace strata::kernel {

inline constexpr std::size_t kSmallWork = 1 << 17;  // weights times tokens below which threads do not pay

/// Runs body(i) on all threads, or here when the whole product is small.
template <class Body>
void run(std::size_t items, std::size_t work, const Body& body) {
  if (work < kSmallWork)
    for (std::size_t i = 0; i < items; ++i) body(i);
  else
    parallel_for(items, body);
}

/// Calls body(first row, rows) for stretches of the rows of a matrix, on all threads. work: weights times tokens.
template <class Body>
void over_weight_rows(std::size_t rows, std::size_t work, const Body& body) {
  constexpr std::size_t kDotRows = 8;             // rows of a piece of work are a multiple
  constexpr std::size_t kDotItemsPerThread = 16;  // pieces of work
  const std::size_t items = std::min(ceil_div(rows, kDotRows), kDotItemsPerThread * thread_count());
  const std::size_t rows_per_item = round_up(ceil_div(rows, items), kDotRows);
  run(ceil_div(rows, rows_per_item), work,
      [&](std::size_t item) { body(item * rows_per_item, std::min(rows_per_item, rows - item * rows_per_item)); });
}

}  // namespace strata::kernel
