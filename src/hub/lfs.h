// Large files on their way to the hub: the batch protocol of Git LFS, in one request or in parts.
// https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md; the parts are the hub's own, as in huggingface_hub's
// lfs.py.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>

#include "hub/client.h"
#include "hub/repository.h"

namespace strata::hub {

/// Files that one request to the hub names, as in huggingface_hub.
inline constexpr std::size_t kFilesOfOneRequest = 256;

struct LocalFile {
  std::string name;            ///< in the repository
  std::filesystem::path path;  ///< on this machine
  std::uint64_t size = 0;
  std::string sha256 = {};  ///< of files that are uploaded
};

/// Uploads the files that the hub's storage lacks. on_bytes hears of bytes that were sent, or that are there already.
/// Throws Error for an answer that makes no sense, for storage that takes files by the Xet protocol only, and as
/// refuse(); Unreachable; Interrupted. What was uploaded stays there, so that a second run sends only the rest.
void upload(Client& client, const RepositoryName& repository, std::span<const LocalFile> files,
            const std::function<void(std::size_t)>& on_bytes);

}  // namespace strata::hub
