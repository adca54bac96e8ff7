// The cache's folders, links and locks.
// Folders are made when something is about to be put into them, so that asking leaves no trace.
#include "hub/cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <system_error>

#include "core/error.h"
#include "core/file.h"

namespace strata::hub {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "models--", kSeparator = "--";
/// Tells programs that make backups to leave the folder out: https://bford.info/cachedir
constexpr std::string_view kTag =
    "Signature: 8a477f597d28d172789f06886806bc55\n# A cache of files of the hub, shared by huggingface_hub and "
    "strata.\n";

std::string folder_name(const std::string& repository) {
  std::string name(kPrefix);
  for (const char c : repository) name += c == '/' ? std::string(kSeparator) : std::string(1, c);
  return name;
}

void make_folder(const fs::path& folder) {
  std::error_code code;
  fs::create_directories(folder, code);
  if (!fs::is_directory(folder, code))
    fail("{}: this folder of the hub's cache cannot be made: {}", folder.string(), code.message());
}

/// Two programs may write the same small file at once: each writes one of its own, and the last name counts.
void write_shared(const fs::path& path, std::string_view text) {
  const fs::path own = fmt::format("{}.{}.tmp", path.string(), getpid());
  write_text_file(own, text);
  std::error_code code;
  fs::rename(own, path, code);
  if (code) fail("{}: cannot be completed: {}", path.string(), code.message());
}

bool is_commit(const std::string& text) {
  return text.size() == 40 && text.find_first_not_of("0123456789abcdef") == std::string::npos;
}

}  // namespace

RepositoryCache::RepositoryCache(const fs::path& cache, const std::string& repository)
    : cache_(cache), folder_(cache / folder_name(repository)), locks_(cache / ".locks" / folder_name(repository)) {}

void RepositoryCache::prepare() const {
  make_folder(folder_ / "blobs");
  make_folder(locks_);
  std::error_code code;
  if (const fs::path tag = cache_ / "CACHEDIR.TAG"; !fs::exists(tag, code)) write_shared(tag, kTag);
}

bool RepositoryCache::has(const RemoteFile& file) const {
  std::error_code code;
  const std::uint64_t size = fs::file_size(blob(file.etag), code);
  return !code && size == file.size;
}

void RepositoryCache::link(const std::string& commit, const RemoteFile& file) const {
  const fs::path name = snapshot(commit) / file.name;
  make_folder(name.parent_path());
  const fs::path target = blob(file.etag).lexically_relative(name.parent_path());
  std::error_code code;
  if (fs::is_symlink(name, code) && fs::read_symlink(name, code) == target) return;
  fs::remove(name, code);
  fs::create_symlink(target, name, code);
  if (code && fs::read_symlink(name) != target) fail("{}: this link cannot be made: {}", name.string(), code.message());
}

void RepositoryCache::set_commit(const std::string& revision, const std::string& commit) const {
  if (revision == commit) return;
  const fs::path ref = folder_ / "refs" / revision;
  std::error_code code;
  if (fs::is_regular_file(ref, code) && read_text_file(ref, 4096) == commit) return;
  make_folder(ref.parent_path());
  write_shared(ref, commit);
}

std::optional<std::string> RepositoryCache::commit_of(const std::string& revision) const {
  std::error_code code;
  std::string commit = revision;
  if (!is_commit(commit)) {
    const fs::path ref = folder_ / "refs" / revision;
    if (!fs::is_regular_file(ref, code)) return std::nullopt;
    commit = read_text_file(ref, 4096);
    commit.erase(std::min(commit.find_last_not_of(" \r\n") + 1, commit.size()));
  }
  if (!is_commit(commit) || !fs::is_directory(snapshot(commit), code)) return std::nullopt;
  return commit;
}

std::string repository_of(const fs::path& path) {
  std::error_code code;
  for (fs::path at = fs::absolute(path, code).lexically_normal(); at.has_relative_path(); at = at.parent_path()) {
    std::string name = at.filename().string();
    if (!name.starts_with(kPrefix)) continue;
    name.erase(0, kPrefix.size());
    const std::size_t cut = name.find(kSeparator);
    if (cut == std::string::npos) return {};
    name.replace(cut, kSeparator.size(), "/");
    return is_repository_name(name) ? name : "";
  }
  return {};
}

FileLock::FileLock(const fs::path& path, const Client& client)
    : descriptor_(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0664)) {
  if (descriptor_ < 0)
    fail("{}: this lock of the hub's cache cannot be opened: {}", path.string(), std::strerror(errno));
  try {
    while (flock(descriptor_, LOCK_EX | LOCK_NB) != 0) {
      if (errno == ENOTSUP || errno == ENOLCK || errno == ENOSYS) return;  // hashes are checked without a lock, too
      if (errno != EWOULDBLOCK && errno != EINTR) fail("{}: cannot be locked: {}", path.string(), std::strerror(errno));
      client.wait(0.1);
    }
  } catch (...) {
    close(descriptor_);
    throw;
  }
}

FileLock::~FileLock() { close(descriptor_); }

}  // namespace strata::hub
