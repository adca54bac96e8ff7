// Writing a compressed-tensors checkpoint by a plan: exact size beforehand, then shard by shard, one linear in memory
// at a time; the complete folder appears or none.
#pragma once
#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "format/safetensors.h"
#include "model/model.h"
#include "pipeline/plan/plan.h"
#include "pipeline/plan/target.h"

namespace strata::pipeline {

class StoredParts;

/// Every file of the output and its exact size, without having made it.
struct CheckpointLayout {
  std::vector<std::vector<format::TensorSpec>> shards;
  std::vector<std::pair<std::string, std::string>> text_files;  ///< config.json, the shard index, tokenizer.json ...
  std::uint64_t tensor_file_bytes = 0;
  std::uint64_t total_bytes = 0;  ///< of all files
};

/// companions: the model's companion_files(), read once by the caller since planning asks for many layouts.
CheckpointLayout lay_out(const model::Model& model, const Plan& plan, const Target& target, std::uint64_t shard_bytes,
                         const std::vector<std::pair<std::string, std::string>>& companions);

/// Names of what an output consists of: the folder or file, or the files of a model that is split over several, of
/// which the first opens it.
std::vector<std::filesystem::path> written_names(const model::Model& model, const Plan& plan, const Target& target,
                                                 const std::filesystem::path& output, std::uint64_t shard_bytes);
/// The path by which an output of this name exists: itself, or the first file of a GGUF split over any number of files.
/// Without either, `output`.
std::filesystem::path existing_output(const std::filesystem::path& output, const Target& target);

struct WriteOptions {
  codec::ScaleFit scale_fit = codec::ScaleFit::search;
  /// Mean square of every input of a linear (by index into Architecture::linears), or empty: all alike.
  std::vector<std::vector<float>> importance;
  /// The stored linear of an index, valid until the next call; linears are asked for in their order. Empty: round to
  /// nearest.
  std::function<const codec::Stored&(std::size_t)> stored;
  std::uint64_t shard_bytes = 0;  ///< 0: one file
  bool overwrite = false;
  /// Of a job that can be killed and gone on with: the output is made where it says, in place, by a JobFolder's owner,
  /// and what `news` returns goes into the journal with every note. Null: the complete output appears, or none.
  StoredParts* parts = nullptr;
  std::function<json()> news = {};
};

/// Writes the folder or file. Throws Error for weights that are not finite, a full disk, an existing folder.
/// Returns the bytes written.
std::uint64_t write_checkpoint(const model::Model& model, const Plan& plan, const Target& target,
                               const std::filesystem::path& output, const WriteOptions& options);

/// Writes the model densely in bf16 (`convert`).
std::uint64_t write_dense(const model::Model& model, const std::filesystem::path& output, std::uint64_t shard_bytes,
                          bool overwrite);

}  // namespace strata::pipeline
