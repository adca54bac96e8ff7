// The bytes of a tensor in a mapped file, which may end before them.
#pragma once
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace strata::format {

/// What must be there of a file: all of it, or its header. Somebody may have fetched no more of a large model.
enum class Required { all, header };

/// A tensor's bytes, or only their number where the file ends before them: then whoever asks for them gets the Error
/// that opening the whole file would have been.
class TensorData {
 public:
  TensorData() = default;
  template <std::convertible_to<std::span<const std::byte>> Bytes>
  TensorData(const Bytes& bytes) : bytes_(bytes), size_(bytes_.size()) {}
  static TensorData absent(std::uint64_t size, std::string error);

  bool present() const { return error_.empty(); }
  std::uint64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  operator std::span<const std::byte>() const { return bytes(); }
  std::span<const std::byte> subspan(std::size_t first, std::size_t count) const {
    return bytes().subspan(first, count);
  }
  /// Some of the bytes, which are absent if all are.
  TensorData part(std::size_t first, std::size_t count) const {
    return present() ? TensorData(bytes_.subspan(first, count)) : absent(count, error_);
  }
  auto begin() const { return bytes().begin(); }
  auto end() const { return bytes().end(); }
  const std::byte* data() const { return bytes().data(); }
  const std::byte& operator[](std::size_t i) const { return bytes()[i]; }

 private:
  std::span<const std::byte> bytes() const {
    if (!present()) fail_absent();
    return bytes_;
  }
  [[noreturn]] void fail_absent() const;
  std::span<const std::byte> bytes_;
  std::uint64_t size_ = 0;
  std::string error_;
};

/// No file is larger: sums over many files stay in 64 bits.
inline constexpr std::uint64_t kMaxDataBytes = std::uint64_t{1} << 48;

}  // namespace strata::format
