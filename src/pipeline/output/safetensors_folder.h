// A folder in Hugging Face's form: safetensors, config.json with a compressed-tensors configuration when linears have
// codes, the tensors and files that are carried over, and a model card. docs/formats/compressed-tensors.md,
// safetensors.md.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "format/compressed_tensors.h"
#include "format/safetensors.h"
#include "model/companions.h"
#include "pipeline/output/output.h"
#include "pipeline/output/part_writer.h"

namespace strata::pipeline {

class SafetensorsFolder final : public Output {
 public:
  /// The model must outlive this. activations: what the configuration says that the runtime does with them.
  SafetensorsFolder(const model::Model& model, Codecs codecs, format::Activations activations,
                    std::uint64_t shard_bytes);

  std::uint64_t bytes() const override;
  std::unique_ptr<Output> with(Codecs codecs) const override;
  bool is_folder() const override { return true; }
  std::vector<std::filesystem::path> names(const std::filesystem::path& path) const override { return {path}; }
  std::vector<Place> places(std::size_t linear, const std::filesystem::path& path) const override;
  codec::Stored read(std::size_t linear, const std::filesystem::path& path) const override;
  void write(LinearEncoder& encoder, const std::filesystem::path& path, StoredParts& parts) const override;
  void write_whole(LinearEncoder& encoder, const std::filesystem::path& path, bool overwrite) const override;

  /// The text of config.json.
  const std::string& config() const { return own_texts_.front().second; }

 private:
  using Texts = std::vector<std::pair<std::string, std::string>>;  ///< names and contents of files
  /// The linear that a tensor holds a part of, and which part, or the experts that it holds; none for a tensor of no
  /// linear, which is dense, or carried over as it is.
  struct Origin {
    std::optional<std::size_t> linear{};
    std::size_t part = 0;
    std::optional<std::size_t> stack{};  ///< into stacks_
    bool carried = false;
  };
  /// What goes along whatever the codecs.
  struct Carried {
    std::vector<model::Companion> files;
    std::vector<std::string> patterns;  ///< of modules that are not quantized (model::CarriedPart)
    bool blocks_ahead = false;          ///< model::carries_blocks_ahead
  };
  struct Shard {
    std::vector<format::TensorSpec> tensors;
    std::vector<Origin> origins;  ///< one for each tensor
    PartLayout layout;
  };
  struct Spot {
    std::size_t shard, tensor;
  };

  SafetensorsFolder(const model::Model& model, Codecs codecs, format::Activations activations,
                    std::uint64_t shard_bytes, std::shared_ptr<const Carried> carried);
  static std::shared_ptr<const Carried> carried_of(const model::Model& model);
  json config_of() const;
  std::vector<format::TensorSpec> list_tensors(std::vector<Origin>& origins) const;
  void add_shard(std::vector<format::TensorSpec> tensors, std::vector<Origin> origins);
  std::string shard_name(std::size_t shard) const { return format::shard_name(shard, shards_.size()); }
  void write_files(LinearEncoder& encoder, const std::filesystem::path& folder, StoredParts* parts) const;
  void write_tensor(const Shard& shard, std::size_t tensor, LinearEncoder& encoder, PartWriter& writer) const;
  /// The name of a companion in the output.
  std::string name_of(const model::Companion& companion) const;

  const model::Model& model_;
  Codecs codecs_;
  format::Activations activations_;
  std::uint64_t shard_bytes_;
  std::vector<model::Stack> stacks_;  ///< those that hold the experts, if any
  std::vector<Shard> shards_;
  std::vector<std::vector<Spot>> spots_;  ///< the parts of each linear, by index into Architecture::linears
  Texts own_texts_;                       ///< config.json, the shards' index if any, the card if anything has codes
  bool quantized_;                        ///< some linear has codes
  std::shared_ptr<const Carried> carried_;
};

}  // namespace strata::pipeline
