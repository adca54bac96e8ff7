// How operations on rows are spread over the threads: cut into stretches of a fixed size, so that results do not depend
// on the number of threads.
#pragma once
#include <algorithm>
#include <cstddef>

#include "core/checked.h"
#include "core/threads.h"

namespace strata::kernel {

inline constexpr std::size_t kStretch = 1 << 14;  // floats of a piece of work; below two of them threads do not pay

/// Calls body(first, count) for stretches of `rows` rows of `size` floats, each row exactly once.
template <class Body>
void over_rows(std::size_t rows, std::size_t size, const Body& body) {
  if (rows * size < 2 * kStretch) {
    if (rows > 0) body(std::size_t{0}, rows);
    return;
  }
  const std::size_t rows_per_item = std::max<std::size_t>(1, kStretch / std::max<std::size_t>(1, size));
  parallel_for(ceil_div(rows, rows_per_item),
               [&](std::size_t i) { body(i * rows_per_item, std::min(rows_per_item, rows - i * rows_per_item)); });
}

}  // namespace strata::kernel
