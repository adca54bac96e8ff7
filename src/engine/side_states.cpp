// Most models need none of it, and then nothing is held.
#include "engine/side_states.h"

namespace strata::engine {

SideStates::SideStates(const model::Architecture& architecture, std::span<const std::vector<Token>> sequences,
                       const std::filesystem::path& spill_folder)
    : architecture_(architecture), sequences_(sequences) {
  if (architecture.shared_size != 0 && !sequences.empty())
    shared_.emplace(sequences.size(), sequences.front().size() * architecture.shared_size, spill_folder);
}

void SideStates::lend(Batch& batch, std::size_t first, std::size_t count) {
  if (architecture_.block_embedding.size != 0) batch.set_ids(sequences_.subspan(first, count));
  if (shared_) batch.shared = shared_->borrow(first, count);
}

void SideStates::lend(Batch& batch, std::span<const std::size_t> sequences) {
  batch.ids.clear();
  if (architecture_.block_embedding.size != 0)
    for (const std::size_t s : sequences) batch.ids.insert(batch.ids.end(), sequences_[s].begin(), sequences_[s].end());
  if (!shared_) return;
  copied_.clear();
  for (const std::size_t s : sequences) {
    const float* const rows = shared_->borrow(s, 1);
    copied_.insert(copied_.end(), rows, rows + shared_->floats());
  }
  batch.shared = copied_.data();
}

void SideStates::keep(std::size_t block, Half half) {
  if (shared_ && half == Half::attention && architecture_.attention[block].shared_at != model::kNotShared)
    shared_->keep();
}

}  // namespace strata::engine
