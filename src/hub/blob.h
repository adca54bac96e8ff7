// One file of the hub on its way into the cache.
// Its bytes are appended to ETAG.incomplete, which any later attempt, of strata or huggingface_hub, may find.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "hub/cache.h"
#include "hub/client.h"
#include "hub/digest.h"

namespace strata::hub {

class Blob final : public Sink {
 public:
  /// Hears of bytes that are there, and, where they turn out to be of no use, of as many as are gone again.
  using OnBytes = std::function<void(std::int64_t)>;

  /// Opens what an earlier attempt has left, or nothing. Throws Error.
  Blob(const RepositoryCache& cache, const RemoteFile& file, std::string where, OnBytes on_bytes);
  ~Blob() override;

  std::uint64_t size() const { return size_; }
  bool complete() const { return size_ == file_.size; }
  /// The header Range for what is missing; empty when that is all.
  std::string range() const;
  void begin(const Response& head) override;
  void write(std::span<const std::byte> bytes) override;
  /// Checks the hash of a complete file and gives it its name. Returns false, and begins anew, where the hash is wrong
  /// but some of the bytes were left by an earlier run; throws Error, and removes the file, where all are from now.
  bool commit();
  void begin_anew();

 private:
  Digest fresh_digest() const;

  const RemoteFile& file_;
  std::filesystem::path incomplete_, blob_;
  std::string where_;
  OnBytes on_bytes_;
  Digest digest_;
  std::uint64_t size_ = 0;
  bool inherited_ = false;  ///< whether an earlier run left bytes
  int descriptor_ = -1;
};

/// Fetches one file; whoever calls holds its lock.
void fetch(Client& client, const RepositoryName& repository, const std::string& commit, const RemoteFile& file,
           Blob& blob);

}  // namespace strata::hub
