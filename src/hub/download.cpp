// Threads that take files from a common list, while the caller's thread shows progress and hears Ctrl-C.
// The first error stops all of them.
#include "hub/download.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <stop_token>
#include <thread>
#include <vector>

#include "core/error.h"
#include "core/progress.h"
#include "core/units.h"
#include "hub/blob.h"

namespace strata::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kAtOnce = 8;  // files, as huggingface_hub's snapshot_download

/// Files that are not in the cache, each hash once, large ones first: the last one to end is then a small one.
std::vector<RemoteFile> missing_in(const RepositoryCache& cache, std::span<const RemoteFile> files) {
  std::map<std::string, RemoteFile> by_hash;
  for (const RemoteFile& file : files)
    if (!cache.has(file)) by_hash.emplace(file.etag, file);
  std::vector<RemoteFile> missing;
  for (auto& [hash, file] : by_hash) missing.push_back(std::move(file));
  std::ranges::stable_sort(missing, std::ranges::greater(), &RemoteFile::size);
  return missing;
}

/// The bytes that are still to come. Sums of sizes that a server made up stay within 64 bits.
std::uint64_t bytes_missing(const RepositoryCache& cache, std::span<const RemoteFile> files) {
  std::uint64_t sum = 0;
  for (const RemoteFile& file : files) {
    std::error_code code;
    const std::uint64_t there = fs::file_size(cache.incomplete(file.etag), code);
    const std::uint64_t more = code || there > file.size ? file.size : file.size - there;
    sum = sum > UINT64_MAX - more ? UINT64_MAX : sum + more;
  }
  return sum;
}

void check_space(const fs::path& folder, std::uint64_t bytes) {
  std::error_code code;
  const fs::space_info space = fs::space(folder, code);
  if (!code && space.available < bytes)
    fail("{}: {} are to come, and the disk has {} left; make room, or set HF_HOME to another disk", folder.string(),
         human_bytes(bytes), human_bytes(space.available));
}

class Downloads {
 public:
  Downloads(const Settings& settings, const RepositoryName& repository, const std::string& commit,
            const RepositoryCache& cache, std::span<const RemoteFile> files)
      : settings_(settings), repository_(repository), commit_(commit), cache_(cache), files_(files) {}

  void run(Progress& progress) {
    std::vector<std::jthread> threads;
    running_ = std::min(kAtOnce, files_.size());
    try {
      for (std::size_t i = 0; i < std::min(kAtOnce, files_.size()); ++i) threads.emplace_back([this] { work(); });
      std::int64_t shown = 0;
      for (bool more = true; more;) {
        std::unique_lock lock(mutex_);
        more = !ended_.wait_for(lock, std::chrono::milliseconds(100), [this] { return running_ == 0; });
        lock.unlock();
        const std::int64_t now = arrived_;
        progress.advance(static_cast<std::size_t>(std::max<std::int64_t>(0, now - shown)));
        shown = std::max(shown, now);
      }
    } catch (...) {
      stop_.request_stop();
      throw;  // the threads are joined first
    }
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void work() {
    try {
      Client client(settings_, stop_.get_token());
      for (std::size_t i = next_++; i < files_.size() && !stop_.stop_requested(); i = next_++)
        fetch_one(client, files_[i]);
    } catch (...) {
      const std::lock_guard lock(mutex_);
      if (!error_) error_ = std::current_exception();
      stop_.request_stop();
    }
    const std::lock_guard lock(mutex_);
    --running_;
    ended_.notify_all();
  }

  void fetch_one(Client& client, const RemoteFile& file) {
    const FileLock lock(cache_.lock(file.etag), client);
    if (cache_.has(file)) return;  // another process was first
    const std::string where = fmt::format("hf:{}: {}", repository_.text(), file.name);
    Blob blob(cache_, file, where, [this](std::int64_t bytes) { arrived_ += bytes; });
    fetch(client, repository_, commit_, file, blob);
  }

  const Settings& settings_;
  const RepositoryName& repository_;
  const std::string& commit_;
  const RepositoryCache& cache_;
  std::span<const RemoteFile> files_;
  std::stop_source stop_;
  std::atomic<std::size_t> next_ = 0;
  std::atomic<std::int64_t> arrived_ = 0;
  std::mutex mutex_;
  std::condition_variable ended_;
  std::size_t running_ = 0;
  std::exception_ptr error_;
};

}  // namespace

std::uint64_t download(const Settings& settings, const RepositoryName& repository, const std::string& commit,
                       std::span<const RemoteFile> files) {
  const RepositoryCache cache(settings.cache, repository.name);
  const std::vector<RemoteFile> missing = missing_in(cache, files);
  const std::uint64_t bytes = bytes_missing(cache, missing);
  if (!missing.empty()) {
    cache.prepare();
    check_space(settings.cache, bytes);
    Progress progress("pull " + repository.name, bytes);
    Downloads(settings, repository, commit, cache, missing).run(progress);
  }
  for (const RemoteFile& file : files) cache.link(commit, file);
  return bytes;
}

}  // namespace strata::hub
