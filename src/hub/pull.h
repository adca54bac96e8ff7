// A model from the hub onto this machine, into the cache that huggingface_hub uses too.
#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "hub/repository.h"
#include "hub/settings.h"

namespace strata::hub {

struct Pulled {
  std::filesystem::path folder = {};  ///< the snapshot
  std::string commit = {};
  std::vector<RemoteFile> taken = {}, left = {};  ///< files of the repository that were asked for, and the others
  std::uint64_t fetched = 0;                      ///< bytes that were not in the cache before
};

/// Fetches what `include` chooses (selection.h). The branch or tag is noted in the cache last of all, so that its name
/// leads to nothing that is half there. Throws Error as fetch_revision(), select() and download(), and Unreachable.
Pulled pull(const Settings& settings, const RepositoryName& repository, const std::vector<std::string>& include);

/// The snapshot of a revision as the cache has it, whatever files that has; nothing when there is none.
std::optional<std::filesystem::path> cached_snapshot(const Settings& settings, const RepositoryName& repository);

}  // namespace strata::hub
