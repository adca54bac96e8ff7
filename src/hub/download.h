// Files of a repository, fetched into the cache: several at once, each going on where an earlier attempt ended.
// A file gets its name in the cache only when its hash is the one that the repository says.
#pragma once
#include <span>
#include <string>

#include "hub/cache.h"
#include "hub/repository.h"
#include "hub/settings.h"

namespace strata::hub {

/// Fetches what the cache lacks of `files`, with progress, and links all of them into the commit's snapshot.
/// Returns the bytes that were not there before. Throws Error where the disk is too small, before it asks for anything;
/// where a hash is wrong (the file is removed); as refuse(); Unreachable after five attempts in a row that brought
/// nothing; and Interrupted. What had arrived by then is kept.
std::uint64_t download(const Settings& settings, const RepositoryName& repository, const std::string& commit,
                       std::span<const RemoteFile> files);

}  // namespace strata::hub
