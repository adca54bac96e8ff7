// Halves run a few thousand tokens at a time; the rows at a site are asked for in the batches of the rounded model.
// Every call makes its batch anew, which takes little time beside a half's products.
#include "pipeline/round/original_stream.h"

#include <algorithm>

#include "core/error.h"

namespace strata::pipeline {
namespace {

using engine::Half;
using engine::Site;

constexpr std::size_t kStreamTokens = 2048;

}  // namespace

OriginalStream::OriginalStream(const model::Model& model, const importance::CalibrationSet& set,
                               kernel::Precision precision, const std::filesystem::path& spill_folder)
    : engine_(model, precision, engine::Residency::one_block),
      seq_len_(set.source.seq_len),
      states_(set.sequences.size(), seq_len_ * model.architecture().hidden, spill_folder),
      side_(model.architecture(), set.sequences, spill_folder) {
  for (std::size_t s = 0; s < set.sequences.size(); ++s) {
    engine_.embed(set.sequences[s], states_.borrow(s, 1));
    states_.keep();
  }
  if (engine::reads_input(model.architecture(), Half::feed_forward))
    inputs_.emplace(states_.count(), states_.floats(), spill_folder);
}

void OriginalStream::run(std::size_t block, Half half, std::size_t first, std::size_t count,
                         const engine::Observer* observer, Site last) {
  if (batch_.sequences.size() != count)
    batch_ = engine_.make_batch(std::vector<engine::Sequence>(count, engine::Sequence{seq_len_}));
  float* const states = states_.borrow(first, count);
  side_.lend(batch_, first, count);
  const bool second = engine::reads_input(engine_.architecture(), half);
  engine_.run_half(half, block, batch_, second ? inputs_->borrow(first, count) : states, states, observer, last);
}

std::vector<float>& OriginalStream::rows(std::size_t block, Site site, std::size_t first, std::size_t count) {
  const engine::Observer observer = [&](Site at, std::size_t, const float* rows, std::size_t tokens, std::size_t size) {
    if (at == site) rows_.assign(rows, rows + tokens * size);
  };
  run(block, engine::half_of(site), first, count, &observer, site);
  return rows_;
}

const float* OriginalStream::advance(std::size_t block, Half half, std::size_t first, std::size_t count) {
  STRATA_CHECK(first == advanced_, "sequence {}, but {} is next", first, advanced_);
  if (inputs_ && half == Half::attention) {
    std::copy_n(states_.borrow(first, count), count * states_.floats(), inputs_->borrow(first, count));
    inputs_->keep();
  }
  run(block, half, first, count, nullptr, Site::block_out);
  states_.keep();
  side_.keep(block, half);
  advanced_ += count;
  return states_.borrow(first, count);
}

void OriginalStream::advance(std::size_t block, Half half) {
  const std::size_t together = std::max<std::size_t>(1, kStreamTokens / seq_len_);
  while (advanced_ < states_.count()) advance(block, half, advanced_, std::min(together, states_.count() - advanced_));
  advanced_ = 0;
}

}  // namespace strata::pipeline
