// Rows are rounded to bf16 and widened again on all threads, one sequence at a time.
#include "pipeline/round/kept_rows.h"

#include "core/error.h"
#include "core/threads.h"

namespace strata::pipeline {

void SiteRows::start(std::size_t sequences, std::size_t floats) {
  floats_ = floats;
  missing_ = sequences;
  there_.assign(sequences, false);
  rows_.resize(sequences * floats);
}

void SiteRows::put(std::size_t first, std::size_t some, const float* rows) {
  STRATA_CHECK(first + some <= there_.size());
  for (std::size_t s = first; s < first + some; ++s) {
    if (!there_[s]) --missing_;
    there_[s] = true;
  }
  parallel_for(some, [&](std::size_t s) {
    bf16* const to = rows_.data() + (first + s) * floats_;
    for (std::size_t i = 0; i < floats_; ++i) to[i] = to_bf16(rows[s * floats_ + i]);
  });
}

void SiteRows::get(std::size_t first, std::size_t some, std::vector<float>& rows) const {
  STRATA_CHECK(complete() && first + some <= there_.size());
  rows.resize(some * floats_);
  parallel_for(some, [&](std::size_t s) {
    const bf16* const from = rows_.data() + (first + s) * floats_;
    for (std::size_t i = 0; i < floats_; ++i) rows[s * floats_ + i] = to_float(from[i]);
  });
}

void SiteRows::clear() {
  there_.clear();
  missing_ = 0;
}

}  // namespace strata::pipeline
