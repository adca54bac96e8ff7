// Rows of sequences lie one after another, so that any number of them is one stretch of memory.
#include "pipeline/round/kept_rows.h"

#include "core/error.h"
#include "kernel/round_rows.h"

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
  kernel::narrow(rows, some * floats_, rows_.data() + first * floats_);
}

void SiteRows::get(std::size_t first, std::size_t some, std::vector<float>& rows) const {
  STRATA_CHECK(complete() && first + some <= there_.size());
  rows.resize(some * floats_);
  kernel::widen(rows_.data() + first * floats_, some * floats_, rows.data());
}

void SiteRows::clear() {
  there_.clear();
  missing_ = 0;
}

}  // namespace strata::pipeline
