// What all folders of safetensors files have in common: shards, their index, the files beside them, and a model card.
// A form of folder says which tensors there are, where their bytes come from, and what config.json says.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "format/safetensors.h"
#include "model/companions.h"
#include "pipeline/output/dense_rows.h"
#include "pipeline/output/output.h"
#include "pipeline/output/part_writer.h"

namespace strata::pipeline {

class ShardedFolder : public Output {
 public:
  std::uint64_t bytes() const override;
  bool is_folder() const override { return true; }
  std::vector<std::filesystem::path> names(const std::filesystem::path& path) const override { return {path}; }
  std::vector<Place> places(std::size_t linear, const std::filesystem::path& path) const override;
  codec::Stored read(std::size_t linear, const std::filesystem::path& path) const override;
  void write(LinearEncoder& encoder, const std::filesystem::path& path, StoredParts& parts) const override;
  void write_whole(LinearEncoder& encoder, const std::filesystem::path& path, bool overwrite) const override;

  /// The text of config.json.
  const std::string& config() const { return own_texts_.front().second; }

 protected:
  /// Where the bytes of a tensor come from. None of these: a tensor of no linear, which is dense.
  struct Origin {
    std::vector<std::size_t> linears{};  ///< a part of one linear, or of several, which lie one after the other
    std::size_t part = 0;
    std::optional<std::size_t> stack{};  ///< a dense stack, as the form of folder numbers them
    bool carried = false;                ///< copied from the source
    std::optional<float> number{};       ///< the one number of a tensor that no source has
  };
  struct Tensor {
    format::TensorSpec spec;
    Origin origin{};
    std::size_t block = model::kNoBlock;  ///< that the tensor belongs to, of those whose linears or stack do
  };
  /// The tensors of a linear, or of several that lie stacked, under a module's name. planes: how many lie stacked,
  /// which is then the first extent; 0 for a linear by itself.
  std::vector<Tensor> tensors_of(const std::string& module, const std::vector<std::size_t>& linears,
                                 std::size_t planes) const;
  using Files = std::shared_ptr<const std::vector<model::Companion>>;

  /// The model must outlive this. files: what lies beside the weights in the source and goes along.
  ShardedFolder(const model::Model& model, Codecs codecs, std::uint64_t shard_bytes, Files files);
  /// Cuts the tensors into shards, in their order. To be called once, at the end of construction.
  void lay_out(std::vector<Tensor> tensors, const json& config);

  const model::Model& model() const { return model_; }
  const Codecs& codecs() const { return codecs_; }
  std::uint64_t shard_bytes() const { return shard_bytes_; }
  const Files& files() const { return files_; }
  bool quantized() const { return quantized_; }
  /// Posts a dense stack, of folders that have such.
  virtual void write_stack(std::size_t stack, DType dtype, const TakeBytes& take) const;

 private:
  struct Shard {
    std::vector<Tensor> tensors;
    PartLayout layout;
  };
  struct Spot {
    std::size_t shard, tensor, within;  ///< within: place among the linears of the tensor
  };

  void add_shard(std::vector<Tensor> tensors);
  std::string shard_name(std::size_t shard) const { return format::shard_name(shard, shards_.size()); }
  void write_files(LinearEncoder& encoder, const std::filesystem::path& folder, StoredParts* parts) const;
  void write_tensor(const Tensor& tensor, LinearEncoder& encoder, PartWriter& writer) const;
  /// The name of a companion in the output.
  std::string name_of(const model::Companion& companion) const;

  const model::Model& model_;
  Codecs codecs_;
  std::uint64_t shard_bytes_;
  Files files_;
  bool quantized_;  ///< some linear has codes
  std::vector<Shard> shards_;
  std::vector<std::vector<Spot>> spots_;  ///< the parts of each linear, by index into Architecture::linears
  std::vector<std::pair<std::string, std::string>>
      own_texts_;  ///< names and contents: config.json, the shards' index if any, the card if anything has codes
};

}  // namespace strata::pipeline
