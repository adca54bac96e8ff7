// Files: read-only memory maps, and outputs that appear complete or not at all.
// Errors name the path and the system's reason.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace strata {

/// A whole file mapped for reading. Empty files are allowed.
class MappedFile {
 public:
  /// Throws Error when the path cannot be opened, or is not a regular file.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }
  /// Tells the system that these pages will not be read again soon (keeps resident memory bounded).
  static void drop(std::span<const std::byte> part);
  /// Tells the system to begin reading these pages.
  static void will_need(std::span<const std::byte> part);

 private:
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// Writes all bytes to a descriptor, going on after signals. Returns how many went: fewer only after an error, which
/// errno tells of.
std::size_t write_bytes(int descriptor, std::span<const std::byte> bytes);

/// Writes `PATH.part`, syncs it and renames it to PATH in commit(); without commit() nothing is left behind, unless the
/// file is resumable.
class OutputFile {
 public:
  explicit OutputFile(std::filesystem::path path);
  /// A resumable file: `PATH.part` stays without commit(), and is gone on with behind its first `kept` bytes (0: anew).
  /// Throws Error when it has fewer.
  OutputFile(std::filesystem::path path, std::uint64_t kept);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  /// Appends; throws Error (disk full, ...) naming the path.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  std::uint64_t size() const { return size_; }
  /// What was written so far outlives a crash of the machine.
  void sync();
  void commit();

 private:
  std::filesystem::path path_, part_;
  bool resumable_ = false;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

/// Where unfinished output for `target` lies: `.NAME.part` beside it. Throws Error for a name that cannot be a new
/// output (empty, ".", the current folder or one above it), an existing one unless `overwrite`, and a missing parent.
std::filesystem::path part_folder(const std::filesystem::path& target, bool overwrite);
/// Renames a complete file or folder to `target`; what was there is replaced, by a rename too. Throws Error naming the
/// target, which is then as it was.
void publish(const std::filesystem::path& complete, const std::filesystem::path& target);

/// A directory filled under the name `.NAME.part` beside its final place and renamed in commit(): the complete
/// directory or none. An existing target is refused unless `overwrite`, and replaced only at commit().
class OutputDirectory {
 public:
  OutputDirectory(std::filesystem::path target, bool overwrite);
  ~OutputDirectory();
  OutputDirectory(const OutputDirectory&) = delete;
  OutputDirectory& operator=(const OutputDirectory&) = delete;

  /// Where to write files until commit().
  const std::filesystem::path& path() const { return part_; }
  void commit();

 private:
  std::filesystem::path target_, part_;
  bool committed_ = false;
};

/// Whole file as text; throws Error when it cannot be read or is larger than `limit_bytes`.
std::string read_text_file(const std::filesystem::path& path, std::uint64_t limit_bytes = 1ull << 32);
/// Writes a small file atomically.
void write_text_file(const std::filesystem::path& path, std::string_view text);
/// "12.3 MiB".
std::string human_bytes(std::uint64_t bytes);
/// FNV-1a, 64 bits: fingerprints of content, not a defence against forgery.
std::uint64_t fnv1a(std::span<const std::byte> bytes, std::uint64_t seed = 0xCBF29CE484222325u);

}  // namespace strata
