// Files by POSIX calls.
// Order of a commit: data synced, renamed, directory synced.
#include "core/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "core/advice.h"
#include "core/error.h"
#include "core/units.h"

namespace strata {
namespace fs = std::filesystem;
namespace {

std::string reason() { return std::strerror(errno); }

struct Descriptor {
  int value;
  ~Descriptor() {
    if (value >= 0) close(value);
  }
};

void sync_directory(const fs::path& directory) {
  const Descriptor d{open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (d.value >= 0) fsync(d.value);
}

fs::path without_trailing_slash(fs::path path) {
  path = path.lexically_normal();
  return path.has_filename() ? path : path.parent_path();
}

fs::path parent_of(const fs::path& target) { return target.has_parent_path() ? target.parent_path() : fs::path("."); }

enum class Pages { within, touched };

/// Advises the system about the pages that lie within a part of a map, or about all that the part touches.
void advise(std::span<const std::byte> part, int advice, Pages pages) {
  if (part.empty()) return;
  const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
  const std::uintptr_t more = pages == Pages::within ? page - 1 : 0;
  const auto begin = (reinterpret_cast<std::uintptr_t>(part.data()) + more) / page * page;
  const auto end = (reinterpret_cast<std::uintptr_t>(part.data()) + part.size() + page - 1 - more) / page * page;
  if (begin < end) madvise(reinterpret_cast<void*>(begin), end - begin, advice);
}

/// Whether the current folder is `folder` or lies in it: replacing it would take the process's own folder away.
bool holds_current(const fs::path& folder) {
  std::error_code code;
  for (fs::path current = fs::current_path(code); !current.empty(); current = current.parent_path()) {
    if (fs::equivalent(current, folder, code)) return true;
    if (current == current.parent_path()) break;
  }
  return false;
}

}  // namespace

MappedFile::MappedFile(const fs::path& path) : path_(path) {
  // O_NONBLOCK: a named pipe is opened at once, and refused below, where a plain open would wait for a writer.
  const Descriptor d{open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  if (d.value < 0) fail("{}: cannot be opened: {}", path.string(), reason());
  struct stat info {};
  if (fstat(d.value, &info) != 0) fail("{}: cannot be examined: {}", path.string(), reason());
  if (!S_ISREG(info.st_mode)) fail("{}: is not a regular file", path.string());
  size_ = static_cast<std::size_t>(info.st_size);
  if (size_ == 0) return;
  void* map = mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, d.value, 0);
  if (map == MAP_FAILED) fail("{}: cannot be mapped ({} bytes): {}", path.string(), size_, reason());
  data_ = static_cast<const std::byte*>(map);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)), data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

void MappedFile::drop(std::span<const std::byte> part) { advise(part, MADV_DONTNEED, Pages::within); }

void MappedFile::will_need(std::span<const std::byte> part) { advise(part, MADV_WILLNEED, Pages::within); }

void expect_samples(std::span<const std::byte> part) { advise(part, MADV_RANDOM, Pages::touched); }

void expect_order(std::span<const std::byte> part) { advise(part, MADV_NORMAL, Pages::touched); }

void fetch_pages(std::span<const std::byte> part) { advise(part, MADV_WILLNEED, Pages::touched); }

std::size_t write_bytes(int descriptor, std::span<const std::byte> bytes) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const std::size_t size = std::min<std::size_t>(bytes.size() - done, 1u << 30);
    const ssize_t written = ::write(descriptor, bytes.data() + done, size);
    if (written < 0 && errno != EINTR) break;
    if (written > 0) done += static_cast<std::size_t>(written);
  }
  return done;
}

OutputFile::OutputFile(fs::path path) : path_(std::move(path)), part_(path_.string() + ".part") {
  descriptor_ = open(part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail("{}: cannot be written: {}", path_.string(), reason());
}

OutputFile::OutputFile(fs::path path, std::uint64_t kept)
    : path_(std::move(path)), part_(path_.string() + ".part"), resumable_(true), size_(kept) {
  descriptor_ = open(part_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail("{}: cannot be written: {}", path_.string(), reason());
  struct stat info {};
  const auto end = static_cast<off_t>(kept);
  const bool whole = fstat(descriptor_, &info) == 0 && info.st_size >= end;
  if (whole && ftruncate(descriptor_, end) == 0 && lseek(descriptor_, end, SEEK_SET) == end) return;
  const std::string why =
      whole ? reason() : fmt::format("it has fewer than the {} bytes that its journal counts", kept);
  close(descriptor_);
  fail("{}: cannot be resumed: {}", part_.string(), why);
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) {
    close(descriptor_);
    if (!resumable_) unlink(part_.c_str());
  }
}

void OutputFile::sync() {
  if (fdatasync(descriptor_) != 0) fail("{}: cannot be synced to disk: {}", path_.string(), reason());
  sync_directory(path_.parent_path());
}

void OutputFile::write(std::span<const std::byte> bytes) {
  STRATA_CHECK(descriptor_ >= 0, "{} is committed", path_.string());
  const std::size_t count = write_bytes(descriptor_, bytes);
  size_ += count;
  if (count < bytes.size()) fail("{}: writing failed after {}: {}", path_.string(), human_bytes(size_), reason());
}

void OutputFile::commit() {
  STRATA_CHECK(descriptor_ >= 0, "{} is committed", path_.string());
  if (fsync(descriptor_) != 0) fail("{}: cannot be synced to disk: {}", path_.string(), reason());
  const int closed = close(std::exchange(descriptor_, -1));
  if (closed != 0 || rename(part_.c_str(), path_.c_str()) != 0) {
    const std::string why = reason();
    if (!resumable_) unlink(part_.c_str());
    fail("{}: cannot be completed: {}", path_.string(), why);
  }
  sync_directory(path_.parent_path());
}

void check_new_output(const fs::path& path, bool overwrite) {
  const fs::path target = without_trailing_slash(path);
  if (target.filename().empty() || target.filename() == "." || target.filename() == ".." || holds_current(target))
    fail("'{}': name a new folder for the output", target.string());
  std::error_code code;
  if (fs::exists(fs::symlink_status(target, code)) && !overwrite)
    fail("{}: exists already; use --overwrite to replace it", target.string());
  const fs::path parent = parent_of(target);
  if (!fs::is_directory(parent, code)) fail("{}: the folder {} does not exist", target.string(), parent.string());
}

fs::path part_folder(const fs::path& path, bool overwrite) {
  check_new_output(path, overwrite);
  const fs::path target = without_trailing_slash(path);
  return (parent_of(target) / ("." + target.filename().string() + ".part")).lexically_normal();
}

void publish(const fs::path& complete, const fs::path& path) {
  const fs::path target = without_trailing_slash(path);
  const fs::path old = target.parent_path() / ("." + target.filename().string() + ".old");
  std::error_code code;
  fs::remove_all(old, code);
  const bool replaces = fs::exists(fs::symlink_status(target, code));
  if (replaces) fs::rename(target, old, code);
  if (replaces && code) fail("{}: cannot be replaced: {}", target.string(), code.message());
  if (fs::is_directory(complete, code)) sync_directory(complete);
  fs::rename(complete, target, code);
  if (code) {
    const std::string why = code.message();
    if (replaces) fs::rename(old, target, code);
    fail("{}: cannot be completed: {}", target.string(), why);
  }
  sync_directory(target.parent_path());
  if (replaces) fs::remove_all(old, code);
}

OutputDirectory::OutputDirectory(fs::path target, bool overwrite)
    : target_(without_trailing_slash(std::move(target))), part_(part_folder(target_, overwrite)) {
  std::error_code code;
  fs::remove_all(part_, code);
  if (!fs::create_directory(part_, code) || code) fail("{}: cannot be created: {}", part_.string(), code.message());
}

OutputDirectory::~OutputDirectory() {
  std::error_code code;
  if (!committed_) fs::remove_all(part_, code);
}

void OutputDirectory::commit() {
  publish(part_, target_);
  committed_ = true;
}

std::string read_text_file(const fs::path& path, std::uint64_t limit_bytes) {
  const MappedFile file(path);
  if (file.bytes().size() > limit_bytes)
    fail("{}: {} is more than the {} allowed here", path.string(), human_bytes(file.bytes().size()),
         human_bytes(limit_bytes));
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

void write_text_file(const fs::path& path, std::string_view text) {
  OutputFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace strata
