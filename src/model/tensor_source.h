// Where a model's tensors come from: the interface that each container format implements, and the weights that it
// hands out.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "codec/activations.h"
#include "codec/codec.h"
#include "core/matrix.h"
#include "kernel/matmul.h"
#include "model/architecture.h"
#include "model/stacks.h"

namespace strata::model {

/// The weights of one linear while they are held: a view into the mapped file (dense or stored), or values that were
/// dequantized or gathered from it.
class LinearWeights {
 public:
  explicit LinearWeights(MatrixView mapped) : dense_(mapped) {}
  LinearWeights(std::vector<float> values, std::size_t rows, std::size_t cols)
      : owned_(std::move(values)), dense_(MatrixView::dense(owned_.data(), rows, cols, DType::f32)) {}
  LinearWeights(std::vector<std::byte> values, std::size_t rows, std::size_t cols, DType type)
      : bytes_(std::move(values)), dense_(MatrixView::dense(bytes_.data(), rows, cols, type)) {}
  explicit LinearWeights(codec::Stored stored) : stored_(std::make_unique<codec::Stored>(std::move(stored))) {}

  /// Valid while this object lives, also after it was moved.
  kernel::Weights view() const { return {dense_, stored_.get()}; }

 private:
  std::vector<float> owned_;
  std::vector<std::byte> bytes_;
  MatrixView dense_;
  std::unique_ptr<codec::Stored> stored_;
};

/// A tensor as it lies in the source.
struct TensorInfo {
  std::string name;  ///< Hugging Face name
  std::string type;  ///< "BF16", "F8_E4M3", "Q4_1", "F8_E4M3 in blocks of 128 x 128"
  std::vector<std::uint64_t> shape;
  std::uint64_t bytes;
};

/// Where tensors come from. Each container format has one implementation.
class TensorSource {
 public:
  virtual ~TensorSource() = default;
  virtual std::vector<TensorInfo> tensors() const = 0;
  virtual bool has(std::string_view name) const = 0;
  /// A two-dimensional weight of the expected shape, dense or decoded.
  virtual LinearWeights matrix(const std::string& name, std::size_t rows, std::size_t cols) const = 0;
  /// A weight as a kernel multiplies with it: as it lies in the file where the kernel can decode that.
  virtual LinearWeights packed(const std::string& name, std::size_t rows, std::size_t cols) const {
    return matrix(name, rows, cols);
  }
  /// Bytes that packed() allocates for a weight: 0 where it only points into the mapped file.
  virtual std::uint64_t copied_bytes(const std::string& name, std::size_t rows, std::size_t cols) const = 0;
  /// The codec of ours that a weight of this shape lies in, bit for bit; nullptr for dense ones and other layouts.
  virtual const codec::Codec* native_codec(const std::string&, std::size_t, std::size_t) const { return nullptr; }
  /// The tensors of a weight that has a native_codec().
  virtual codec::Stored native(const std::string& name, std::size_t, std::size_t) const {
    STRATA_CHECK(false, "{} has no native codec", name);
  }
  /// A tensor that is no linear, of `size` values along up to three axes, as f32.
  virtual std::vector<float> vector(const std::string& name, std::size_t size) const = 0;
  /// The codec of a linear in a quantized checkpoint; nullptr when the linear is dense.
  virtual const codec::Codec* codec_of(const std::string& module) const = 0;
  /// How the files declare the inputs of a linear to be rounded, scales included. Never throws.
  virtual codec::ActivationRounding activations_of(const std::string&) const { return {}; }
  /// A scale that stands beside the weights under this name, where it is one positive number. Never throws.
  virtual std::optional<float> side_scale(const std::string&) const { return std::nullopt; }
  /// The stacks that hold a block's experts; nullptr where each is a tensor of its own.
  virtual const StackNames* stacks(std::size_t) const { return nullptr; }
  /// A tensor's bytes as they lie in the mapped file, whatever their type. Throws Error where there are none such.
  virtual std::span<const std::byte> raw(const std::string& name) const { fail("{}: has no bytes of its own", name); }
  /// Lets the system take back the memory of a tensor's mapped pages.
  virtual void release(const std::string& name) const = 0;
  /// Begins to read a tensor from the disk and does not wait for it.
  virtual void will_need(const std::string& name) const = 0;
  /// Bytes that identify the content: samples of every tensor.
  virtual std::uint64_t content_hash() const = 0;
  /// Whether all weights are there; where they are not, reading one throws Error.
  virtual bool complete() const { return true; }
};

}  // namespace strata::model
