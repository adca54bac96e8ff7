// What the writers of both containers take tensors from: linears in stored form, and dense matrices as bf16, on all
// threads while the file is written on another.
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/background.h"
#include "pipeline/output/checkpoint.h"
#include "pipeline/output/tensor_scales.h"

namespace strata::pipeline {

/// Unwritten bytes that wait for the disk at most.
inline constexpr std::size_t kUnwrittenBytes = 16u << 20;

/// Encodes linears when they are asked for, in their order. Weights' mapped pages are released behind.
class LinearEncoder {
 public:
  LinearEncoder(const model::Model& model, const std::vector<const codec::Codec*>& codecs, const WriteOptions& options)
      : model_(model), codecs_(codecs), options_(options), scales_(model) {}

  /// True for a linear whose stored form is its weights in bf16, which need not be held for that.
  bool copies(std::size_t index) const { return !codecs_[index]->has_codes(); }
  /// The same one again for every part of it.
  std::shared_ptr<const codec::Stored> linear(std::size_t index);

 private:
  const model::Model& model_;
  const std::vector<const codec::Codec*>& codecs_;
  const WriteOptions& options_;
  TensorScales scales_;
  std::size_t current_ = model::kNoLinear;
  std::shared_ptr<const codec::Stored> stored_;
};

/// What a dense tensor becomes: (rows, cols), a vector (1, cols); bf16 or f32.
struct DenseShape {
  std::size_t rows, cols;
  DType dtype;
  bool vector;  ///< one dimension: a single row
};
/// A dense tensor some rows at a time: `write` gets their bytes, in order. Throws Error naming the first weight that is
/// not finite.
void dense_rows(const model::Model& model, const std::string& name, const DenseShape& shape,
                const std::function<void(std::vector<std::byte>)>& write);

}  // namespace strata::pipeline
