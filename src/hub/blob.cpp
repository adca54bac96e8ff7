// Appending, hashing, and trying again.
// Attempts in a row that bring nothing are counted; one that brings bytes begins the count anew.
#include "hub/blob.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "core/error.h"
#include "core/file.h"
#include "core/units.h"

namespace strata::hub {
namespace {

constexpr std::size_t kMostFailures = 5;
constexpr int kNoSuchRange = 416;  // what an earlier attempt left is no part of the file

/// Whether the same request may do better. Client::send has been patient with what Repeat::if_not_done tries again.
bool is_passing(int status) {
  return status == kNoSuchRange || (may_pass(status, Repeat::always) && !may_pass(status, Repeat::if_not_done));
}

/// A large file that only Xet's own protocol hands out; its storage has no address for plain requests.
[[noreturn]] void refuse_xet(const std::string& where, const RepositoryName& repository) {
  fail(
      "{}: is handed out by the Xet protocol only, which strata does not speak: fetch it with `hf download {}`, whose "
      "cache strata reads",
      where, repository.name);
}

/// The header of an answer of 206, "bytes 100-199/200", as (100, 200).
std::pair<std::uint64_t, std::uint64_t> content_range(const std::string& text, const std::string& where) {
  unsigned long long first = 0, last = 0, total = 0;
  if (std::sscanf(text.c_str(), "bytes %llu-%llu/%llu", &first, &last, &total) != 3)
    fail("{}: the server sends a part of it and does not say which", where);
  return {first, total};
}

}  // namespace

Digest Blob::fresh_digest() const { return file_.is_large() ? Digest::sha256() : Digest::git_blob(file_.size); }

Blob::Blob(const RepositoryCache& cache, const RemoteFile& file, std::string where, OnBytes on_bytes)
    : file_(file),
      incomplete_(cache.incomplete(file.etag)),
      blob_(cache.blob(file.etag)),
      where_(std::move(where)),
      on_bytes_(std::move(on_bytes)),
      digest_(fresh_digest()) {
  descriptor_ = open(incomplete_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND, 0666);
  if (descriptor_ < 0) fail("{}: cannot be written: {}", incomplete_.string(), std::strerror(errno));
  struct stat info {};
  if (fstat(descriptor_, &info) != 0) fail("{}: cannot be examined: {}", incomplete_.string(), std::strerror(errno));
  size_ = static_cast<std::uint64_t>(info.st_size);
  inherited_ = size_ > 0;
  if (size_ > file.size) begin_anew();
  if (size_ > 0) update_from_file(digest_, incomplete_);
}

Blob::~Blob() {
  if (descriptor_ >= 0) close(descriptor_);
}

std::string Blob::range() const { return size_ == 0 ? "" : fmt::format("bytes={}-", size_); }

void Blob::begin_anew() {
  if (ftruncate(descriptor_, 0) != 0) fail("{}: cannot be cut: {}", incomplete_.string(), std::strerror(errno));
  on_bytes_(-static_cast<std::int64_t>(std::exchange(size_, 0)));
  digest_ = fresh_digest();
  inherited_ = false;
}

void Blob::begin(const Response& head) {
  if (head.status == 206) {
    const auto [first, total] = content_range(head.header("content-range"), where_);
    if (first != size_ || total != file_.size)
      fail("{}: the server sends bytes from {} of {}, expected from {} of {}", where_, first, total, size_, file_.size);
    return;
  }
  if (size_ > 0) begin_anew();  // the server does not send parts, but all from the beginning
}

void Blob::write(std::span<const std::byte> bytes) {
  if (bytes.size() > file_.size - size_)
    fail("{}: the server sends more than the {} bytes that the repository says", where_, file_.size);
  const std::size_t written = write_bytes(descriptor_, bytes);
  digest_.update(bytes.first(written));
  size_ += written;
  on_bytes_(static_cast<std::int64_t>(written));
  if (written < bytes.size())
    fail("{}: writing failed after {}: {}", incomplete_.string(), human_bytes(size_), std::strerror(errno));
}

bool Blob::commit() {
  const std::string hash = digest_.hex();
  if (hash != file_.etag && inherited_) {
    begin_anew();
    return false;
  }
  if (hash != file_.etag) {
    std::remove(incomplete_.c_str());
    fail(
        "{}: what arrived has the hash {}, the repository says {}; it was removed. Pull again; if that does not help, "
        "what the server sends is damaged",
        where_, hash, file_.etag);
  }
  if (fsync(descriptor_) != 0 || std::rename(incomplete_.c_str(), blob_.c_str()) != 0)
    fail("{}: cannot be completed: {}", blob_.string(), std::strerror(errno));
  return true;
}

void fetch(Client& client, const RepositoryName& repository, const std::string& commit, const RemoteFile& file,
           Blob& blob) {
  const std::string where = fmt::format("hf:{}: {}", repository.text(), file.name);
  for (std::size_t failures = 0; !blob.complete() || !blob.commit();) {
    const std::uint64_t before = blob.size();
    Request request{.url = file_url(client.settings(), repository, commit, file.name), .sink = &blob};
    if (before > 0) request.headers.emplace_back("Range", blob.range());
    const bool last = failures + 1 >= kMostFailures;
    try {
      const Response response = client.send(request, Repeat::if_not_done);
      const bool nothing = response.succeeded() && blob.size() == before && !blob.complete();
      const bool passing = is_passing(response.status);
      if (response.headers.contains("x-xet-hash") && (nothing || !(response.succeeded() || passing)))
        refuse_xet(where, repository);
      if (response.status == kNoSuchRange) blob.begin_anew();
      if (!response.succeeded() && (last || !passing)) refuse(response, client.settings(), repository, file.name);
      if (nothing && last) fail("{}: {} sends nothing of it", where, response.host);
    } catch (const Unreachable& e) {
      if (blob.size() <= before && last)
        throw Unreachable(fmt::format("{}: {}; what has arrived is kept", where, e.what()));
    }
    failures = blob.size() > before ? 0 : failures + 1;
    if (!blob.complete()) client.wait_after(failures);
  }
}

}  // namespace strata::hub
