// Bytes of snapshots. Small values are gathered, since each write to a file is a call of the system.
#include "importance/snapshot.h"

#include <cstring>

#include "core/error.h"

namespace strata::importance {
namespace {
constexpr std::size_t kGathered = std::size_t{1} << 20;
}  // namespace

void Snapshot::move(std::span<std::byte> bytes) {
  if (bytes.empty()) return;
  if (written_ != nullptr) {
    written_->insert(written_->end(), bytes.begin(), bytes.end());
    return;
  }
  if (!reads()) {
    if (unwritten_.size() + bytes.size() > kGathered) flush();
    if (bytes.size() > kGathered)
      output_->write(bytes);
    else
      unwritten_.insert(unwritten_.end(), bytes.begin(), bytes.end());
    return;
  }
  if (bytes.size() > left_.size()) damaged();
  std::memcpy(bytes.data(), left_.data(), bytes.size());
  left_ = left_.subspan(bytes.size());
}

void Snapshot::flush() {
  output_->write(unwritten_);
  unwritten_.clear();
}

void Snapshot::damaged() const { fail("{}: is damaged; delete the file to begin again", where_); }

}  // namespace strata::importance
