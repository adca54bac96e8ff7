// The folder of one repository in the cache that strata shares with huggingface_hub, in that library's layout:
//   models--ORG--NAME/blobs/ETAG                       the bytes of a file; ETAG.incomplete while they arrive
//   models--ORG--NAME/snapshots/COMMIT/NAME-OF-FILE    a relative link to a blob
//   models--ORG--NAME/refs/REVISION                    the commit that a branch or tag had
//   .locks/models--ORG--NAME/ETAG.lock                 held by whoever fetches that blob
#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "hub/repository.h"

namespace strata::hub {

class RepositoryCache {
 public:
  /// Nothing is made on disk yet.
  RepositoryCache(const std::filesystem::path& cache, const std::string& repository);

  std::filesystem::path snapshot(const std::string& commit) const { return folder_ / "snapshots" / commit; }
  std::filesystem::path blob(const std::string& etag) const { return folder_ / "blobs" / etag; }
  std::filesystem::path incomplete(const std::string& etag) const { return folder_ / "blobs" / (etag + ".incomplete"); }
  std::filesystem::path lock(const std::string& etag) const { return locks_ / (etag + ".lock"); }

  /// Makes the folders of blobs and locks. Throws Error.
  void prepare() const;
  /// Whether a blob is there in the size that it should have.
  bool has(const RemoteFile& file) const;
  /// Puts a file whose blob is there into a snapshot.
  void link(const std::string& commit, const RemoteFile& file) const;
  /// Notes which commit a branch or tag has. Nothing is noted for a revision that is the commit itself.
  void set_commit(const std::string& revision, const std::string& commit) const;
  /// The commit of a revision whose snapshot is in the cache; nothing when there is none.
  std::optional<std::string> commit_of(const std::string& revision) const;

 private:
  std::filesystem::path cache_, folder_, locks_;
};

/// The repository that a path in such a cache belongs to, "ORG/NAME"; empty for any other path.
std::string repository_of(const std::filesystem::path& path);

/// An exclusive lock (flock, as huggingface_hub's) on a file, which is made if need be. Waits for whoever holds it;
/// throws Interrupted as Connection::wait. It goes with the object, or with the process.
class FileLock {
 public:
  FileLock(const std::filesystem::path& path, const Client& client);
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

 private:
  int descriptor_;
};

}  // namespace strata::hub
