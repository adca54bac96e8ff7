// GGUF files (version 2 and 3), checked reading by memory map.
// https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "core/file.h"

namespace strata::format {

using GgufArray = std::variant<std::vector<std::uint64_t>, std::vector<std::int64_t>, std::vector<double>,
                               std::vector<bool>, std::vector<std::string>>;
/// Integers are widened to 64 bits and floats to double; the file's own width is not kept.
using GgufValue = std::variant<std::uint64_t, std::int64_t, double, bool, std::string, GgufArray>;

struct GgufTensor {
  std::string name;
  std::uint32_t type;                ///< ggml type number: 0 F32, 1 F16, 2 Q4_0, ...
  std::vector<std::uint64_t> shape;  ///< outermost first: (rows, cols); the file has them innermost first
  std::span<const std::byte> data;
};

struct GgufContent {
  std::map<std::string, GgufValue, std::less<>> metadata;
  std::vector<GgufTensor> tensors;  ///< in file order
};

/// Parses and checks a whole file's bytes. Throws Error naming `where`, the key or tensor, and the offset.
GgufContent parse_gguf(std::span<const std::byte> file, const std::string& where);

/// True when the file begins with the GGUF magic.
bool is_gguf(const std::filesystem::path& path);

class GgufFile {
 public:
  static GgufFile open(const std::filesystem::path& path);

  const GgufTensor* find(std::string_view name) const;
  const std::vector<GgufTensor>& tensors() const { return content_.tensors; }
  const std::map<std::string, GgufValue, std::less<>>& metadata() const { return content_.metadata; }
  const MappedFile& file() const { return file_; }

  bool has(std::string_view key) const { return content_.metadata.contains(key); }
  /// Typed access; throws Error naming the file and key when absent or of another kind.
  std::uint64_t integer(std::string_view key) const;
  double real(std::string_view key) const;
  bool boolean(std::string_view key) const;
  const std::string& text(std::string_view key) const;
  const std::vector<std::string>& texts(std::string_view key) const;
  std::vector<double> reals(std::string_view key) const;
  std::vector<std::int64_t> integers(std::string_view key) const;

 private:
  GgufFile(MappedFile file, GgufContent content) : file_(std::move(file)), content_(std::move(content)) {}
  MappedFile file_;
  GgufContent content_;
};

/// Name of a ggml type number ("Q4_1"), or "type 99".
std::string ggml_type_name(std::uint32_t type);
/// True for the types that dequantize() knows: F32 F16 BF16 Q8_0 Q4_0 Q4_1 Q5_0 Q5_1 Q4_K Q5_K Q6_K.
bool ggml_type_readable(std::uint32_t type);
/// Bytes of a row of `cols` weights. Throws Error when unreadable or when the type's block does not divide cols.
std::uint64_t ggml_row_bytes(std::uint32_t type, std::uint64_t cols, const std::string& where);
/// One row as f32, equal bit for bit to the gguf package's dequantize.
void ggml_dequantize_row(std::uint32_t type, const std::byte* row, std::size_t cols, float* out);

}  // namespace strata::format
