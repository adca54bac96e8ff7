// The steps of a pull.
// Which commit a branch has is asked once, and all files are then asked for by the commit.
#include "hub/pull.h"

#include <utility>

#include "core/error.h"
#include "hub/cache.h"
#include "hub/download.h"
#include "hub/selection.h"

namespace strata::hub {

Pulled pull(const Settings& settings, const RepositoryName& repository, const std::vector<std::string>& include) {
  Client client(settings);
  Revision revision = fetch_revision(client, repository);
  Selection selection = select(revision.files, include, "hf:" + repository.text());
  const RepositoryCache cache(settings.cache, repository.name);
  Pulled result{.folder = cache.snapshot(revision.commit), .commit = revision.commit};
  result.fetched = download(settings, repository, revision.commit, selection.taken);
  cache.set_commit(repository.revision, revision.commit);
  result.taken = std::move(selection.taken);
  result.left = std::move(selection.left);
  return result;
}

std::optional<std::filesystem::path> cached_snapshot(const Settings& settings, const RepositoryName& repository) {
  const RepositoryCache cache(settings.cache, repository.name);
  const std::optional<std::string> commit = cache.commit_of(repository.revision);
  return commit ? std::optional(cache.snapshot(*commit)) : std::nullopt;
}

}  // namespace strata::hub
