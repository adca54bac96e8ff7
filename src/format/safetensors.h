// Safetensors files: checked reading by memory map, and the pieces that a writer needs.
// Byte layout, rules and examples: docs/formats/safetensors.md.
#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "core/file.h"
#include "format/tensor_data.h"

namespace strata::format {

/// A tensor in a mapped file; row-major, little-endian, perhaps unaligned.
struct TensorView {
  std::string name;
  DType dtype;
  std::vector<std::uint64_t> shape;  ///< outermost first; empty for a scalar
  TensorData data;                   ///< product(shape) * dtype_bytes(dtype) bytes
};

/// Parses and checks a file's bytes: header length, syntax, dtypes, products of shapes against byte counts, duplicate
/// names, and that the tensors fill the data without overlap or gap. Tensors come in the order of their data. Throws
/// Error naming `where`, and the tensor at fault; for a file that ends before its last tensor does unless no more than
/// the header is required.
std::vector<TensorView> parse_safetensors(std::span<const std::byte> file, const std::string& where,
                                          Required required = Required::all);

/// One or many safetensors files as one set of named tensors. Moving keeps the views valid.
class SafetensorsSet {
 public:
  /// model.safetensors, or the shards that model.safetensors.index.json names, in `directory`. Throws Error for a
  /// missing shard, a tensor that the index names and its shard has not, or a name in two shards.
  static SafetensorsSet open_directory(const std::filesystem::path& directory, Required required = Required::all);
  static SafetensorsSet open_file(const std::filesystem::path& file, Required required = Required::all);

  /// The tensor of a name, or nullptr.
  const TensorView* find(std::string_view name) const;
  /// All tensors by name, in the order of their names.
  const std::map<std::string, TensorView, std::less<>>& tensors() const { return tensors_; }
  const std::vector<MappedFile>& files() const { return files_; }
  /// Whether the data of all tensors is there.
  bool complete() const;

 private:
  /// Returns the names of the file's tensors.
  std::set<std::string> add(const std::filesystem::path& file, Required required);
  std::vector<MappedFile> files_;
  std::map<std::string, TensorView, std::less<>> tensors_;
};

/// A tensor to be written.
struct TensorSpec {
  std::string name;
  DType dtype;
  std::vector<std::uint64_t> shape;
  std::uint64_t bytes() const;
};

/// The header (length field, JSON, padding to 8 bytes) of a file with these tensors, data in this order and without
/// gaps, `{"format":"pt"}` as metadata. Names must differ.
std::string safetensors_header(std::span<const TensorSpec> tensors);

/// Cuts tensors, in their order, into shards of at most shard_bytes of data each (a larger single tensor has a shard
/// of its own); 0: one shard.
std::vector<std::vector<TensorSpec>> cut_shards(std::vector<TensorSpec> tensors, std::uint64_t shard_bytes);
/// "model.safetensors" when total is 1, else "model-00002-of-00005.safetensors" for index 1 of 5.
std::string shard_name(std::size_t index, std::size_t total);
/// Text of model.safetensors.index.json as transformers writes it: metadata.total_size and weight_map, sorted.
std::string shard_index(std::span<const std::vector<TensorSpec>> shards);

}  // namespace strata::format
