// GGUF files (version 2 and 3, little-endian), checked reading by memory map.
// Byte layout, rules and examples: docs/formats/gguf.md.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "core/file.h"
#include "format/ggml_types.h"
#include "format/tensor_data.h"

namespace strata::format {

using GgufArray = std::variant<std::vector<std::uint64_t>, std::vector<std::int64_t>, std::vector<double>,
                               std::vector<bool>, std::vector<std::string>>;
/// Integers are widened to 64 bits and floats to double; the file's own width is not kept.
using GgufValue = std::variant<std::uint64_t, std::int64_t, double, bool, std::string, GgufArray>;
using GgufMetadata = std::map<std::string, GgufValue, std::less<>>;

struct GgufTensor {
  std::string name;
  std::uint32_t type;                ///< ggml type number: 0 F32, 1 F16, 2 Q4_0, ...
  std::vector<std::uint64_t> shape;  ///< outermost first: (rows, cols); the file has them innermost first
  TensorData data;                   ///< empty when the type's block size is not known here
};

struct GgufContent {
  GgufMetadata metadata;
  std::vector<GgufTensor> tensors;  ///< in file order
};

/// Parses and checks a file's bytes. Throws Error naming `where`, and the key or tensor and offset at fault; for a file
/// that ends before a tensor does unless no more than the header is required. Tensors of unknown types are listed
/// without data; ggml_row_bytes() refuses them by name.
GgufContent parse_gguf(std::span<const std::byte> file, const std::string& where, Required required = Required::all);

/// True when the file begins with the GGUF magic; false also for what cannot be opened.
bool is_gguf(const std::filesystem::path& path);

/// "stem-00002-of-00003.gguf" for part 1 of 3: how llama.cpp finds the parts of a model.
std::string gguf_part_name(std::string_view stem, std::size_t part, std::size_t count);
/// The first file of a model split over any number of files "STEM-00001-of-...", if one is in the stem's folder.
std::optional<std::filesystem::path> find_first_gguf_part(const std::filesystem::path& stem);
/// All files in the stem's folder that are named as parts of a model, "STEM-00002-of-00003.gguf", of any number of
/// parts.
std::vector<std::filesystem::path> gguf_parts(const std::filesystem::path& stem);

class GgufFile {
 public:
  /// Throws Error as parse_gguf. The first part of a model that is split over files opens the others too, its metadata
  /// being the model's; another part, or parts that do not belong together, are an Error.
  static GgufFile open(const std::filesystem::path& path, Required required = Required::all);
  /// A file that is not on disk: what it would say. The tensors' data belongs to the caller. name: for errors.
  GgufFile(GgufContent content, std::string name);

  /// Whether all tensors' data is there.
  bool complete() const;
  /// The tensor of a name, or nullptr.
  const GgufTensor* find(std::string_view name) const;
  const std::vector<GgufTensor>& tensors() const { return content_.tensors; }
  const GgufMetadata& metadata() const { return content_.metadata; }

  bool has(std::string_view key) const { return content_.metadata.contains(key); }
  /// Typed access; throws Error naming the file and key when absent or of another kind. integer: 0 or more.
  /// real: integers too. reals, integers: arrays of numbers (integers: of integers).
  std::uint64_t integer(std::string_view key) const;
  double real(std::string_view key) const;
  bool boolean(std::string_view key) const;
  const std::string& text(std::string_view key) const;
  const std::vector<std::string>& texts(std::string_view key) const;
  std::vector<double> reals(std::string_view key) const;
  std::vector<std::int64_t> integers(std::string_view key) const;

 private:
  void add_parts(Required required);
  void index();
  const GgufValue& value(std::string_view key) const;
  template <class T>
  const T& typed(std::string_view key, const char* kind) const;

  std::string name_;
  std::vector<MappedFile> files_;  ///< one, or all of a split model
  GgufContent content_;
  std::map<std::string, std::size_t, std::less<>> index_;  ///< name -> place in content_.tensors
};

}  // namespace strata::format
