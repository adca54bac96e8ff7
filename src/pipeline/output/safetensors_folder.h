// A folder in Hugging Face's form: safetensors, config.json with a compressed-tensors configuration when linears have
// codes, the tensors and files that are carried over, and a model card. docs/formats/compressed-tensors.md,
// safetensors.md.
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "format/compressed_tensors.h"
#include "pipeline/output/sharded_folder.h"

namespace strata::pipeline {

class SafetensorsFolder final : public ShardedFolder {
 public:
  /// The model must outlive this. activations: what the configuration says that the runtime does with them.
  /// scales: only where a linear has codes, since the configuration that declares them is that of the codes.
  SafetensorsFolder(const model::Model& model, Codecs codecs, format::Activations activations,
                    std::uint64_t shard_bytes, MeasuredScales scales = {});

  std::unique_ptr<Output> with(Codecs codecs) const override;

 private:
  /// What goes along whatever the codecs.
  struct Carried {
    Files files;
    std::vector<std::string> patterns;  ///< of modules that are not quantized (model::CarriedPart)
    bool blocks_ahead = false;          ///< model::carries_blocks_ahead
  };

  SafetensorsFolder(const model::Model& model, Codecs codecs, format::Activations activations,
                    std::uint64_t shard_bytes, MeasuredScales scales, std::shared_ptr<const Carried> carried);
  static std::shared_ptr<const Carried> carried_of(const model::Model& model);
  json config_of() const;
  std::vector<Tensor> list_tensors() const;
  void list_scales(std::vector<Tensor>& tensors) const;
  void write_stack(std::size_t stack, DType dtype, const TakeBytes& take) const override;

  format::Activations activations_;
  MeasuredScales scales_;
  std::shared_ptr<const Carried> carried_;
  std::vector<model::Stack> stacks_;  ///< those that hold the experts, if any
};

}  // namespace strata::pipeline
