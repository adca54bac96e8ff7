// A folder that mlx_lm loads: safetensors with its parameters' names, config.json that says how each module is
// quantized, and the files beside the weights. docs/formats/mlx.md.
#pragma once
#include <memory>
#include <vector>

#include "pipeline/output/sharded_folder.h"

namespace strata::pipeline {

class MlxFolder final : public ShardedFolder {
 public:
  /// The model must outlive this. Throws Error for a family that mlx_lm does not have, or not in this form.
  MlxFolder(const model::Model& model, Codecs codecs, std::uint64_t shard_bytes);

  std::unique_ptr<Output> with(Codecs codecs) const override;

 private:
  MlxFolder(const model::Model& model, Codecs codecs, std::uint64_t shard_bytes, Files files);
  json config_of() const;
  std::vector<Tensor> list_tensors() const;
};

}  // namespace strata::pipeline
