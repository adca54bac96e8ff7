// A source of tensors that stands over another one and changes some of what that gives.
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/tensor_source.h"

namespace strata::model {

/// Passes every question on. What changes tensors derives from it and answers for those that it changes.
class OverSource : public TensorSource {
 public:
  explicit OverSource(std::shared_ptr<const TensorSource> source) : source_(std::move(source)) {}

  std::vector<TensorInfo> tensors() const override { return source_->tensors(); }
  bool has(std::string_view name) const override { return source_->has(name); }
  LinearWeights matrix(const std::string& name, std::size_t rows, std::size_t cols) const override {
    return source_->matrix(name, rows, cols);
  }
  LinearWeights packed(const std::string& name, std::size_t rows, std::size_t cols) const override {
    return source_->packed(name, rows, cols);
  }
  std::uint64_t copied_bytes(const std::string& name, std::size_t rows, std::size_t cols) const override {
    return source_->copied_bytes(name, rows, cols);
  }
  const codec::Codec* native_codec(const std::string& name, std::size_t rows, std::size_t cols) const override {
    return source_->native_codec(name, rows, cols);
  }
  codec::Stored native(const std::string& name, std::size_t rows, std::size_t cols) const override {
    return source_->native(name, rows, cols);
  }
  std::vector<float> vector(const std::string& name, std::size_t size) const override {
    return source_->vector(name, size);
  }
  const codec::Codec* codec_of(const std::string& module) const override { return source_->codec_of(module); }
  codec::ActivationRounding activations_of(const std::string& module) const override {
    return source_->activations_of(module);
  }
  std::optional<float> side_scale(const std::string& name) const override { return source_->side_scale(name); }
  const StackNames* stacks(std::size_t block) const override { return source_->stacks(block); }
  std::span<const std::byte> raw(const std::string& name) const override { return source_->raw(name); }
  void release(const std::string& name) const override { source_->release(name); }
  void will_need(const std::string& name) const override { source_->will_need(name); }
  std::uint64_t content_hash() const override { return source_->content_hash(); }
  bool complete() const override { return source_->complete(); }

 protected:
  std::shared_ptr<const TensorSource> source_;
};

}  // namespace strata::model
