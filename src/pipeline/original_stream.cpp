// Halves run a few thousand tokens at a time; a site's rows are asked for by the batches of the rounded model.
// Batches are made anew: that is little beside a half's products.
#include "pipeline/original_stream.h"

#include <algorithm>

namespace strata::pipeline {
namespace {

using engine::Site;

constexpr std::size_t kBatchTokens = 2048;

}  // namespace

OriginalStream::OriginalStream(const model::Model& model, const importance::CalibrationSet& set,
                               kernel::Precision precision, const std::filesystem::path& spill_folder, bool keep_rows)
    : engine_(model, precision, engine::Residency::one_block),
      seq_len_(set.source.seq_len),
      states_(set.sequences.size(), seq_len_ * model.architecture().hidden, spill_folder),
      keep_rows_(keep_rows) {
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
  if (keep_rows_ && engine::ends_half(engine_.architecture(), block, site)) {
    if (first == 0) kept_.start(states_.count(), rows_.size() / some);
    kept_.put(first, some, rows_.data());
  }
  return rows_;
}

void OriginalStream::advance(std::size_t block, bool attention) {
  const std::size_t together = std::max<std::size_t>(1, kBatchTokens / seq_len_);
  for (std::size_t s = 0; s < states_.count(); s += together) {
    const std::size_t some = std::min(together, states_.count() - s);
    if (kept_.complete()) {
      kept_.get(s, some, rows_);
      engine_.add_output(block, attention ? model::Role::o : model::Role::down, rows_.data(), some * seq_len_,
                         states_.borrow(s, some));
    } else {
      run(block, attention, s, some, nullptr, Site::block_out);
    }
    states_.keep();
  }
  kept_.clear();
}

}  // namespace strata::pipeline
