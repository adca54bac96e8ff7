// Builders of safetensors and GGUF bytes for tests, good and damaged, and the checks that every reader passes.
// Bytes live in vectors of exact size, so that the sanitizers see any read behind the end.
#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "support/error_of.h"
#include "support/temporary_folder.h"

namespace strata::format {

using Bytes = std::vector<std::byte>;

class ByteWriter {
 public:
  template <class T>
  ByteWriter& number(T value) {
    const auto* p = reinterpret_cast<const std::byte*>(&value);
    bytes.insert(bytes.end(), p, p + sizeof value);
    return *this;
  }
  ByteWriter& raw(std::string_view text) {
    const auto* p = reinterpret_cast<const std::byte*>(text.data());
    bytes.insert(bytes.end(), p, p + text.size());
    return *this;
  }
  /// GGUF string: length and bytes.
  ByteWriter& text(std::string_view text) { return number<std::uint64_t>(text.size()).raw(text); }
  ByteWriter& zeros(std::size_t count) {
    bytes.insert(bytes.end(), count, std::byte{0});
    return *this;
  }
  Bytes bytes;
};

/// A safetensors file: header text as given, then `data_bytes` bytes 0, 1, 2, ...
inline Bytes safetensors_bytes(std::string_view header, std::size_t data_bytes) {
  ByteWriter out;
  out.text(header);
  for (std::size_t i = 0; i < data_bytes; ++i) out.number(static_cast<std::uint8_t>(i));
  return out.bytes;
}

using Parse = std::function<void(std::span<const std::byte>)>;

/// Every proper prefix of `good` of at least `from` bytes must be refused with an Error.
inline void expect_prefixes_refused(const Bytes& good, std::size_t length_limit, const Parse& parse) {
  for (std::size_t length = 0; length < length_limit; ++length) {
    const Bytes prefix(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(length));
    EXPECT_THROW(parse(prefix), Error) << length << " bytes of " << good.size();
  }
}

/// Each single-bit change of the first `bytes` bytes parses or throws Error; returns how many were refused.
inline std::size_t count_refused_bit_flips(const Bytes& good, std::size_t bytes, const Parse& parse) {
  std::size_t refused = 0;
  for (std::size_t bit = 0; bit < 8 * bytes; ++bit) {
    Bytes damaged = good;
    damaged[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
    try {
      parse(damaged);
    } catch (const Error&) {
      ++refused;
    }
  }
  return refused;
}

inline void write_bytes(const std::filesystem::path& path, const Bytes& bytes) {
  OutputFile file(path);
  file.write(bytes);
  file.commit();
}

}  // namespace strata::format
