// One GGUF file, or several that llama.cpp opens by the first. Names, order of rows and keys are those of
// model/gguf/export.h; the byte layout is format/gguf_write.h's and docs/formats/gguf.md's.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "format/gguf_write.h"
#include "model/gguf/names.h"
#include "model/gguf/splits.h"
#include "pipeline/output/output.h"
#include "pipeline/output/part_writer.h"

namespace strata::pipeline {

class GgufFile final : public Output {
 public:
  /// The model must outlive this. dense: type of the matrices without codes: bf16, f16 or f32; only bf16 beside others.
  /// Throws Error for what llama.cpp cannot express (model::gguf_keys), and for more files than GGUF can count.
  GgufFile(const model::Model& model, Codecs codecs, std::uint64_t shard_bytes, DType dense);

  std::uint64_t bytes() const override;
  std::unique_ptr<Output> with(Codecs codecs) const override;
  bool is_folder() const override { return false; }
  std::vector<std::filesystem::path> names(const std::filesystem::path& path) const override;
  std::vector<Place> places(std::size_t linear, const std::filesystem::path& path) const override;
  codec::Stored read(std::size_t linear, const std::filesystem::path& path) const override;
  void write(LinearEncoder& encoder, const std::filesystem::path& path, StoredParts& parts) const override;
  void write_whole(LinearEncoder& encoder, const std::filesystem::path& path, bool overwrite) const override;

 private:
  /// A tensor, and where it comes from.
  struct Tensor {
    format::GgufTensorSpec spec;
    std::string hf_name;                 ///< of the model's tensor that it is, or the first of a stack
    std::vector<std::size_t> linears{};  ///< one, or the stacked experts in order, or none for any other tensor
    std::vector<std::string> vectors{};  ///< the stacked biases in order
    std::vector<float> values{};         ///< what the tensor holds that is none of the model's
    model::GgufForm form = model::GgufForm::as_it_is;
    std::size_t matrix_rows = 0;              ///< GgufName's
    std::optional<model::GgufPiece> piece{};  ///< what it holds of its linear; absent: all
    std::size_t part = 0;                     ///< of Stored::parts; the second is what a linear is multiplied by
  };
  struct File {
    std::vector<Tensor> tensors;
    PartLayout layout;
  };
  struct Spot {
    std::size_t file, tensor, within;  ///< within: place among the linears that are stacked in the tensor
  };

  std::vector<Tensor> list_tensors() const;
  Tensor piece_of(std::size_t linear, const model::GgufPiece& piece) const;
  std::uint32_t type_of(const Tensor& tensor) const;
  static Tensor factors_of(const Tensor& tensor);
  void cut(format::GgufKeys keys, std::vector<Tensor> tensors, std::uint64_t shard_bytes);
  void add_file(format::GgufKeys keys, std::vector<Tensor> tensors);
  std::vector<PartFile> part_files(const std::filesystem::path& path) const;
  void write_files(LinearEncoder& encoder, const std::filesystem::path& path, const PartOptions& options) const;
  void write_tensor(const Tensor& tensor, LinearEncoder& encoder, PartWriter& writer) const;
  void write_piece(const Tensor& tensor, LinearEncoder& encoder, PartWriter& writer) const;
  std::vector<float> vector_of(const Tensor& tensor) const;

  const model::Model& model_;
  Codecs codecs_;
  std::uint64_t shard_bytes_;
  DType dense_;
  std::vector<File> files_;               ///< the first has all metadata
  std::vector<std::vector<Spot>> spots_;  ///< of each linear, by index into Architecture::linears: one or its pieces'
};

}  // namespace strata::pipeline
