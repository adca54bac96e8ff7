// Opening what a model lies in: each container format has one implementation of TensorSource.
// Model::open chooses between them; the layers above cannot see which it was.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "format/safetensors.h"
#include "model/model.h"

namespace strata::model {

/// The safetensors files of a folder (src/model/hf). config: its config.json, from which `architecture` was parsed.
/// required: whether files may end after their headers. Throws Error for damaged or missing files, and for quantized
/// tensors that cannot be read.
std::unique_ptr<TensorSource> open_hf_source(const std::filesystem::path& directory, const json& config,
                                             Architecture& architecture, format::Required required);

/// A GGUF file (src/model/gguf), with the config.json that convert writes; required likewise.
struct GgufModel {
  json config;
  std::unique_ptr<TensorSource> source;
  std::string root;  ///< Names::root that the source's tensors have
};
GgufModel open_gguf_model(const std::filesystem::path& file, format::Required required);
std::vector<std::pair<std::string, std::string>> gguf_companion_files(const std::filesystem::path& file);

}  // namespace strata::model
