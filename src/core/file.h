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

/// Writes all bytes to a descriptor; a signal does not stop it. Returns how many bytes were written: fewer than all
/// only after an error, which errno holds.
std::size_t write_bytes(int descriptor, std::span<const std::byte> bytes);

/// Writes `PATH.part`; commit() syncs it and renames it to PATH. Without commit() the part is removed, unless the file
/// is resumable.
class OutputFile {
 public:
  explicit OutputFile(std::filesystem::path path);
  /// Opens a resumable file: its `PATH.part` stays when there is no commit(), and is written on after its first `kept`
  /// bytes; what follows these is cut off, so that 0 begins anew. Throws Error when the part has fewer bytes.
  OutputFile(std::filesystem::path path, std::uint64_t kept);
  ~OutputFile();
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  /// Appends; throws Error (disk full, ...) naming the path.
  void write(std::span<const std::byte> bytes);
  void write(std::string_view text) { write(std::as_bytes(std::span(text))); }
  std::uint64_t size() const { return size_; }
  /// Returns when what was written so far is on disk, and would outlive a crash of the machine.
  void sync();
  void commit();

 private:
  std::filesystem::path path_, part_;
  bool resumable_ = false;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

/// Throws Error for a `target` that cannot be a new output: an empty name, ".", the current folder or one above it, a
/// path that exists already (unless `overwrite`), and one whose parent is missing.
void check_new_output(const std::filesystem::path& target, bool overwrite);
/// Where the unfinished output for `target` lies: `.NAME.part` beside it. Throws Error as check_new_output.
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

  /// The folder to write files into until commit().
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

}  // namespace strata
