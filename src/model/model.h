// A model on disk, opened: architecture, and tensors by their Hugging Face names. It is a Hugging Face directory (dense
// or compressed-tensors) or a GGUF file; the layers above cannot see which.
#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/json.h"
#include "format/safetensors.h"
#include "model/architecture.h"
#include "model/cache_scales.h"
#include "model/companions.h"
#include "model/families.h"
#include "model/head_order.h"
#include "model/tensor_source.h"
#include "model/tensors.h"

namespace strata::model {

/// Weights of norms by their places: what the forward pass multiplies by.
using NormWeights = std::map<Norm, std::vector<float>>;

class Model {
 public:
  /// Opens a directory with config.json and safetensors, or a GGUF file, and checks that the tensors are those that
  /// the configuration asks for. Throws Error saying what is missing, superfluous or of another shape.
  /// fusion: how the runtime that the model is planned for groups the linears, and orders heads (head_order.h). table:
  /// where config.json's model_type is looked up.
  static Model open(const std::filesystem::path& path, Fusion fusion = Fusion::fused,
                    std::span<const Family> table = families());
  /// As open, but files may end after their headers: what needs a weight that is not there throws the
  /// Error that open would have thrown. Where it would be read to tell whether a head differs from the embedding that
  /// config.json says it is, it does not.
  static Model open_headers(const std::filesystem::path& path, Fusion fusion);

  const std::filesystem::path& path() const { return path_; }
  bool from_gguf() const { return gguf_; }
  /// The types of fewer than 16 bits that the source holds matrices in, as "Q4_0, Q8_0" or "int4_g32"; empty when it
  /// has none.
  std::string low_bit_types() const;
  const Architecture& architecture() const { return architecture_; }
  /// Throws Error, saying what works, for a model whose forward pass is not known (unknown.h).
  void require_runnable() const;
  /// The content of config.json without "quantization_config", which is the source's business; a GGUF file has the one
  /// that convert writes.
  json config() const;
  /// The files that go along with the weights: a Hugging Face folder's, or those made from a GGUF file's metadata.
  std::vector<Companion> companions() const;
  /// The tensors that the text model does not read, which are carried from source to output as they are (carried.h).
  const std::vector<TensorInfo>& carried() const { return carried_; }
  /// The stacks that hold the experts in a dense folder: the source's, or those of the family's own files; none where
  /// each expert is a tensor of its own.
  std::vector<Stack> stacks() const;
  std::span<const std::byte> raw(const std::string& name) const { return source_->raw(name); }

  /// The weights of a linear, dense or decoded.
  LinearWeights weights(const Linear& linear) const;
  /// The embedding's weights, dense.
  LinearWeights embedding() const;
  /// The codec that a compressed-tensors folder holds it in; nullptr for none.
  const codec::Codec* embedding_codec() const;
  /// The values of weights() and embedding() as they lie in the file, dense or stored, for products and look-ups.
  LinearWeights packed(const Linear& linear) const;
  /// Bytes that packed() allocates: 0 for what only points into the mapped file.
  std::uint64_t copied_bytes(const Linear& linear) const;
  LinearWeights packed_embedding() const;
  /// The biases of lm_head, (vocab); empty where it has none.
  std::vector<float> head_bias() const;
  /// What the forward pass multiplies by at a norm, (Architecture::norm_size), and then as many biases where the norm
  /// has any; empty when the model has no such norm.
  std::vector<float> norm(Norm norm, std::size_t block = kNoBlock) const;
  /// Those of the wanted norms that a block has.
  NormWeights norms(std::span<const Norm> wanted, std::size_t block) const;
  LinearWeights matrix(const std::string& name, std::size_t rows, std::size_t cols) const {
    return source_->matrix(name, rows, cols);
  }
  /// A matrix as kernels multiply with it and as rows are looked up in it.
  LinearWeights packed(const std::string& name, std::size_t rows, std::size_t cols) const {
    return source_->packed(name, rows, cols);
  }
  void release(const std::string& name) const { source_->release(name); }
  void will_need(const std::string& name) const { source_->will_need(name); }
  std::vector<float> vector(const std::string& name, std::size_t size) const { return source_->vector(name, size); }
  bool has(std::string_view name) const { return source_->has(name); }
  std::vector<TensorInfo> tensors() const { return source_->tensors(); }
  /// The codec that a linear has in the files; nullptr when it is dense.
  const codec::Codec* codec_of(const Linear& linear) const { return source_->codec_of(linear.module); }
  /// How the files declare that the inputs of every linear are rounded, by index into Architecture::linears. Of linears
  /// that a runtime fuses, whose inputs are the same rows, one scale counts: the largest, as vLLM has it.
  std::vector<codec::ActivationRounding> declared_activations() const;
  /// The scales of an FP8 cache of keys and values that the files declare, by block; empty where they declare none.
  std::vector<CacheScales> declared_cache() const;
  /// Whether a linear is held as a copy of what lies in the file, its heads being in another order there.
  bool is_reordered(const Linear& linear) const { return head_orders_.contains(linear.module + ".weight"); }

  /// The codec that the source holds a linear in (by index into Architecture::linears), bit for bit; nullptr for dense
  /// weights, for layouts that are no codec of ours, and where linears that a runtime fuses differ in a tensor-level
  /// scale. Such a linear loses nothing in this codec, as its tensors are taken over.
  const codec::Codec* source_codec(std::size_t linear) const { return source_codecs_[linear]; }
  /// The tensors of a linear that has a source_codec().
  codec::Stored as_in_source(std::size_t linear) const;

  /// The same function with channels scaled by powers of two, a list for each of smooth_sites(); the same fingerprint.
  Model smoothed(const std::vector<std::vector<int>>& exponents) const;
  /// The fingerprint, and how channels are scaled if they are: what unfinished work on the weights is known by.
  std::string identity() const { return fingerprint() + scaling_; }

  /// Whether all weights are there.
  bool complete() const { return source_->complete(); }
  /// 16 hexadecimal digits that identify configuration, tensor names, shapes and samples of the data; of a model that
  /// is not complete, its header_fingerprint().
  std::string fingerprint() const;
  /// The same without samples of the data, and kOfHeaders before it: for what depends on no weight. No weight is read.
  std::string header_fingerprint() const;
  static constexpr std::string_view kOfHeaders = "headers:";
  /// How many bytes a linear's tensors take on disk.
  std::uint64_t stored_bytes(const Linear& linear) const;

 private:
  Model() = default;
  static Model open(const std::filesystem::path& path, Fusion fusion, std::span<const Family> table,
                    format::Required required);
  void open_folder(std::span<const Family> table, format::Required required);
  /// The hash of configuration, and of names, types and shapes of the tensors, after what `seed` is the hash of.
  std::uint64_t hash_after(std::uint64_t seed) const;
  /// The file decides whether the head is the embedding: some hold another head than their configuration says.
  void find_head(const json& text);
  /// Puts the heads in the order of the runtime that the model is planned for.
  void order_heads(Fusion fusion);
  void find_source_codecs();
  const codec::Codec* codec_of_name(const std::string& tensor) const;
  std::filesystem::path path_;
  bool gguf_ = false;
  json config_;
  Architecture architecture_;
  std::shared_ptr<const TensorSource> source_;
  HeadOrders head_orders_;  ///< of tensors whose heads the source has in another order
  std::string scaling_;     ///< empty, or what tells how smoothed() has scaled channels
  std::map<std::string, std::uint64_t> tensor_bytes_;
  std::vector<TensorInfo> carried_;
  std::vector<const codec::Codec*> source_codecs_;  ///< by index into Architecture::linears
};

}  // namespace strata::model
