// Hashes that the hub names files by: SHA-256 of large files, and the SHA-1 that git gives a small one.
// OpenSSL computes them, with the CPU's own instructions where it has any.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <span>
#include <string>

namespace strata::hub {

class Digest {
 public:
  /// SHA-256 of the bytes (FIPS 180-4): the name of a file that is stored by Git LFS.
  static Digest sha256();
  /// SHA-1 of "blob SIZE\0" and the bytes: the name of a file that is stored in git itself.
  static Digest git_blob(std::uint64_t size);

  void update(std::span<const std::byte> bytes);
  /// Lower-case hexadecimal digits, 64 or 40. Call it once, after the last bytes.
  std::string hex();

 private:
  explicit Digest(const char* algorithm);
  struct Free {
    void operator()(void* context) const;
  };
  std::unique_ptr<void, Free> context_;
};

/// Adds a whole file, read front to back; `on_bytes` hears how many were read since it was last called.
/// Throws Error when the file cannot be read.
void update_from_file(Digest& digest, const std::filesystem::path& path,
                      const std::function<void(std::size_t)>& on_bytes = {});

}  // namespace strata::hub
