// Writing GGUF version 3: metadata and tensor list as bytes, then the tensors' data, streamed; the file appears
// complete or not at all. Byte layout: docs/formats/gguf.md.
#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "format/gguf.h"

namespace strata::format {

/// Metadata in the order that it was added. Keys must differ; they are 1 to 65535 bytes.
class GgufKeys {
 public:
  /// Integers of 8 to 64 bits, float, double and bool.
  template <class T>
  requires std::is_arithmetic_v<T>
  void add(std::string_view key, T value) {
    open(key, type_of<T>());
    append(value);
  }
  void add(std::string_view key, std::string_view text);
  void add(std::string_view key, const char* text) { add(key, std::string_view(text)); }
  template <class T>
  requires std::is_arithmetic_v<T>
  void add(std::string_view key, const std::vector<T>& items) {
    open_array(key, type_of<T>(), items.size());
    for (const T item : items) append(item);
  }
  void add(std::string_view key, const std::vector<std::string>& texts);
  /// A value as the reader gives it: integers in 32 bits where they fit and floats as float32 where that is exact.
  void add_widened(std::string_view key, const GgufValue& value);

  bool has(std::string_view key) const;
  std::uint64_t count() const { return keys_.size(); }
  const std::string& bytes() const { return bytes_; }

 private:
  template <class T>
  static constexpr std::uint32_t type_of() {
    if constexpr (std::is_same_v<T, bool>) return 7;
    if constexpr (std::is_floating_point_v<T>) return sizeof(T) == 4 ? 6 : 12;
    constexpr std::uint32_t of_size[9] = {0, 0, 2, 0, 4, 0, 0, 0, 10};
    return of_size[sizeof(T)] + (std::is_signed_v<T> ? 1 : 0);
  }
  template <class T>
  void append(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void open(std::string_view key, std::uint32_t type);
  void open_array(std::string_view key, std::uint32_t type, std::uint64_t count);
  void append_text(std::string_view text);

  std::vector<std::string> keys_;
  std::string bytes_;
};

/// A tensor to be written; shape outermost first.
struct GgufTensorSpec {
  std::string name;
  std::uint32_t type;
  std::vector<std::uint64_t> shape;
  /// Data bytes, without padding. The type must be known and its block divide the innermost extent.
  std::uint64_t bytes() const;
};

/// Everything before the data, and the exact size of the file; nothing is written yet.
struct GgufLayout {
  std::string header;  ///< padded to the alignment
  std::vector<GgufTensorSpec> tensors;
  std::uint64_t alignment = 32;
  std::uint64_t file_bytes = 0;
};
/// Tensors lie in their order, each padded to the alignment (a power of two; other than 32 needs the key
/// general.alignment, which is added). Names are 1 to 64 bytes and differ.
GgufLayout lay_out_gguf(GgufKeys keys, std::vector<GgufTensorSpec> tensors, std::uint32_t alignment = 32);

/// The offset in the file at which the data of a tensor begins.
std::uint64_t tensor_offset(const GgufLayout& layout, std::size_t tensor);

/// Streams the tensors of a layout into PATH.part and renames it in commit().
class GgufWriter {
 public:
  GgufWriter(const std::filesystem::path& path, const GgufLayout& layout);
  /// Writes a resumable file (core/file.h) on: the first `tensors` tensors are complete in the first `bytes` bytes of
  /// PATH.part. With both 0 it begins anew.
  GgufWriter(const std::filesystem::path& path, const GgufLayout& layout, std::size_t tensors, std::uint64_t bytes);
  /// Appends bytes to the current tensor; its last bytes make the next tensor the current one.
  void write(std::span<const std::byte> bytes);
  /// The bytes that were written so far; sync() returns when they are on disk.
  std::uint64_t size() const { return file_.size(); }
  void sync() { file_.sync(); }
  /// All tensors must be complete. Throws Error (disk full, ...) naming the path.
  void commit();

 private:
  void begin();
  void finish_tensor();
  const GgufLayout& layout_;
  OutputFile file_;
  std::size_t tensor_ = 0;
  std::uint64_t left_ = 0;
};

}  // namespace strata::format
