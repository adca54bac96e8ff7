// The backward pass of gate, where there is one, up and down: a dense block's feed-forward part, or an expert.
#pragma once
#include <optional>

#include "engine/part_gradient.h"
#include "kernel/gates.h"

namespace strata::engine {

class GatedGradient final : public PartGradient {
 public:
  /// The tokens of `of` must outlive this; forward and backward are given rows of those alone.
  explicit GatedGradient(const ExpertTokens& of = {}, const std::optional<kernel::Xielu>& xielu = {})
      : of_(of), xielu_(xielu) {}

  std::vector<float> forward(const Batch& batch, BlockProducts& products, std::span<const float> x) override;
  void backward(const Batch& batch, BlockProducts& products, std::span<const float> x, std::vector<float> dy,
                float* dx) override;

 private:
  ExpertTokens of_;
  std::optional<kernel::Xielu> xielu_;
  /// (n, size): what gate and up put out, and what down reads. Without gates gate_ is what up puts out.
  std::vector<float> gate_, up_, acted_;
};

}  // namespace strata::engine
