// Halves run a few thousand tokens at a time; a site's rows are asked for by the batches of the rounded model.
// Batches are made anew: that is little beside a half's products.
#include "pipeline/round/original_stream.h"

#include <algorithm>

#include "core/error.h"

namespace strata::pipeline {
namespace {

using engine::Site;

constexpr std::size_t kBatchTokens = 2048;

}  // namespace

OriginalStream::OriginalStream(const model::Model& model, const importance::CalibrationSet& set,
                               kernel::Precision precision, const std::filesystem::path& spill_folder)
    : engine_(model, precision, engine::Residency::one_block),
      seq_len_(set.source.seq_len),
      states_(set.sequences.size(), seq_len_ * model.architecture().hidden, spill_folder) {
  for (std::size_t s = 0; s < set.sequences.size(); ++s) {
    engine_.embed(set.sequences[s], states_.borrow(s, 1));
    states_.keep();
  }
}

void OriginalStream::run(std::size_t block, bool attention, std::size_t first, std::size_t some,
                         const engine::Observer* observer, Site last) {
  const engine::Batch batch = engine_.make_batch(std::vector<engine::Sequence>(some, engine::Sequence{seq_len_}));
  float* const states = states_.borrow(first, some);
  if (attention)
    engine_.attend(block, batch, states, observer, last);
  else
    engine_.feed_forward(block, batch, states, observer, last);
}

std::vector<float>& OriginalStream::rows(std::size_t block, Site site, std::size_t first, std::size_t some) {
  const engine::Observer observer = [&](Site at, std::size_t, const float* rows, std::size_t count, std::size_t size) {
    if (at == site) rows_.assign(rows, rows + count * size);
  };
  run(block, site == Site::attn_in || site == Site::o_in, first, some, &observer, site);
  return rows_;
}

const float* OriginalStream::advance(std::size_t block, bool attention, std::size_t first, std::size_t some) {
  STRATA_CHECK(first == advanced_, "sequence {}, but {} is next", first, advanced_);
  run(block, attention, first, some, nullptr, Site::block_out);
  states_.keep();
  advanced_ += some;
  return states_.borrow(first, some);
}

void OriginalStream::advance(std::size_t block, bool attention) {
  const std::size_t together = std::max<std::size_t>(1, kBatchTokens / seq_len_);
  while (advanced_ < states_.count())
    advance(block, attention, advanced_, std::min(together, states_.count() - advanced_));
  advanced_ = 0;
}

}  // namespace strata::pipeline
