// Safetensors files: checked reading by memory map, and streamed writing.
// https://huggingface.co/docs/safetensors: u64 header length, JSON header, data.
#pragma once
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "core/file.h"

namespace strata::format {

/// A tensor in a mapped file.
struct TensorView {
  std::string name;
  DType dtype;
  std::vector<std::uint64_t> shape;
  std::span<const std::byte> data;
};

/// Parses and checks the header of a whole file's bytes: lengths, offsets, overlaps, products of shapes against byte
/// counts, duplicate names. Tensors come in the order of their data. Throws Error naming `where` and the tensor.
std::vector<TensorView> parse_safetensors(std::span<const std::byte> file, const std::string& where);

/// One or many safetensors files as one set of named tensors. Moving keeps the views valid.
class SafetensorsSet {
 public:
  /// model.safetensors, or the shards that model.safetensors.index.json names, in `directory`. Throws Error for a
  /// missing shard, a tensor that the index names and its shard has not, or a name in two shards.
  static SafetensorsSet open_directory(const std::filesystem::path& directory);
  static SafetensorsSet open_file(const std::filesystem::path& file);

  const TensorView* find(std::string_view name) const;
  /// By name order.
  const std::map<std::string, TensorView, std::less<>>& tensors() const { return tensors_; }
  const std::vector<MappedFile>& files() const { return files_; }

 private:
  std::vector<MappedFile> files_;
  std::map<std::string, TensorView, std::less<>> tensors_;
};

/// What will be written, in this order.
struct TensorSpec {
  std::string name;
  DType dtype;
  std::vector<std::uint64_t> shape;
  std::uint64_t bytes() const;
};

/// The header (length field, JSON, padding to 8 bytes) of a file with these tensors, `{"format":"pt"}` as metadata.
std::string safetensors_header(std::span<const TensorSpec> tensors);

/// Cuts tensors into shards of at most shard_bytes each (a larger single tensor has a shard of its own); 0: one shard.
std::vector<std::vector<TensorSpec>> cut_shards(std::vector<TensorSpec> tensors, std::uint64_t shard_bytes);
/// "model.safetensors", or "model-00002-of-00005.safetensors".
std::string shard_name(std::size_t index, std::size_t total);
/// Text of model.safetensors.index.json.
std::string shard_index(std::span<const std::vector<TensorSpec>> shards);

}  // namespace strata::format
