// A spilled stream is read and written by pread and pwrite, not mapped: its pages then belong to the system's cache,
// which shrinks when others need memory, and not to this process.
#include "engine/hidden_states.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>

#include "core/error.h"
#include "core/units.h"

namespace strata::engine {
namespace {

/// A file without a name. Its space is reserved, so that a full disk is found out before hours of work.
int open_spill(const std::filesystem::path& folder, std::uint64_t bytes) {
  std::string name = (folder / "hidden-states-XXXXXX").string();
  const int descriptor = ::mkostemp(name.data(), O_CLOEXEC);
  if (descriptor < 0) fail("{}: no file for hidden states can be made: {}", folder.string(), std::strerror(errno));
  ::unlink(name.c_str());
  if (const int code = bytes == 0 ? 0 : ::posix_fallocate(descriptor, 0, static_cast<off_t>(bytes)); code != 0) {
    ::close(descriptor);
    fail("{}: cannot hold {} of hidden states: {}; free some space, or allow more --memory", folder.string(),
         human_bytes(bytes), std::strerror(code));
  }
  return descriptor;
}

}  // namespace

HiddenStates::HiddenStates(std::size_t count, std::size_t floats, const std::filesystem::path& spill_folder)
    : count_(count), floats_(floats), folder_(spill_folder) {
  if (spill_folder.empty())
    values_.resize(count * floats);
  else
    descriptor_ = open_spill(spill_folder, offset(count));
}

HiddenStates::~HiddenStates() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

float* HiddenStates::borrow(std::size_t first, std::size_t count) {
  STRATA_CHECK(first <= count_ && count <= count_ - first, "sequences {} + {} of {}", first, count, count_);
  borrowed_first_ = first;
  borrowed_count_ = count;
  if (!spilled()) return values_.data() + first * floats_;
  if (values_.size() < count * floats_) values_.resize(count * floats_);
  auto* const bytes = reinterpret_cast<std::byte*>(values_.data());
  const std::size_t size = count * floats_ * sizeof(float);
  for (std::size_t done = 0; done < size;) {
    const ssize_t n = ::pread(descriptor_, bytes + done, size - done, static_cast<off_t>(offset(first) + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0)
      fail("{}: hidden states cannot be read back: {}", folder_.string(),
           n < 0 ? std::strerror(errno) : "the file was cut");
    done += static_cast<std::size_t>(n);
  }
  return values_.data();
}

void HiddenStates::keep() {
  if (!spilled()) return;
  const auto* const bytes = reinterpret_cast<const std::byte*>(values_.data());
  const std::size_t size = borrowed_count_ * floats_ * sizeof(float);
  for (std::size_t done = 0; done < size;) {
    const ssize_t n =
        ::pwrite(descriptor_, bytes + done, size - done, static_cast<off_t>(offset(borrowed_first_) + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail("{}: hidden states cannot be stored: {}", folder_.string(), std::strerror(errno));
    done += static_cast<std::size_t>(n);
  }
}

}  // namespace strata::engine
