// Room grows by a quarter, so that at most a fifth of it is empty and a position is moved four times on average.
#include "engine/head_rows.h"

#include <algorithm>

namespace strata::engine {

void HeadRows::grow(std::size_t least, std::size_t heads, std::size_t dim) {
  constexpr std::size_t step = 32;
  const std::size_t wanted = std::max(least, capacity_ + capacity_ / 4), capacity = (wanted + step - 1) / step * step;
  std::vector<bf16> values(heads * capacity * dim);
  for (std::size_t h = 0; h < heads; ++h)
    std::copy_n(values_.data() + h * capacity_ * dim, positions_ * dim, values.data() + h * capacity * dim);
  values_ = std::move(values);
  capacity_ = capacity;
}

void HeadRows::append(const float* rows, std::size_t tokens, std::size_t heads, std::size_t dim) {
  if (positions_ + tokens > capacity_) grow(positions_ + tokens, heads, dim);
  for (std::size_t t = 0; t < tokens; ++t)
    for (std::size_t h = 0; h < heads; ++h)
      std::transform(rows + (t * heads + h) * dim, rows + (t * heads + h + 1) * dim,
                     values_.data() + (h * capacity_ + positions_ + t) * dim, to_bf16);
  positions_ += tokens;
}

}  // namespace strata::engine
