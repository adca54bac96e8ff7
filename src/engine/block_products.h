// Products with the linears of one block, and the gradients of a loss by the weights and by what they were multiplied
// with: all that the backward passes of a block's parts do with its linears.
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <span>
#include <vector>

#include "kernel/matmul.h"
#include "model/model.h"

namespace strata::engine {

/// Weights of a block's linears in their order. One without rows stands for the model's own, which are read for every
/// product and held no longer: there may be no room for all experts of a block.
using LinearViews = std::vector<kernel::Weights>;

/// The two factors of the gradient of a linear, dy^T x, on n tokens.
struct LinearRows {
  std::span<const float> dy;  ///< the gradient of a loss by what the linear put out, (n, rows)
  std::span<const float> x;   ///< what it read, (n, cols)
  /// The places of the rows in the batch, rising, where an expert ran on the tokens that are routed to it; empty where
  /// the rows are those of all tokens in order.
  std::span<const std::uint32_t> tokens = {};
};

/// Called with the place of a linear in its block; the rows are valid during the call only.
using LinearWatch = std::function<void(std::size_t i, const LinearRows& rows)>;

/// Whose linears run, and on which tokens of the batch: an expert's on some, or those that a block has once on all.
struct ExpertTokens {
  std::size_t expert = model::kNoExpert;
  std::span<const std::uint32_t> tokens = {};
};

class BlockProducts {
 public:
  /// Biases are read from the model, which must outlive this.
  BlockProducts(const model::Model& model, std::size_t block, kernel::Precision precision);

  const model::Architecture& architecture() const { return architecture_; }
  kernel::Precision precision() const { return precision_; }
  const model::Linear& linear(model::Role role, std::size_t expert = model::kNoExpert) const {
    return architecture_.linear(block_, role, expert);
  }

  /// The watch is shown the factors of every gradient that is made.
  void watch(LinearWatch watch) { watch_ = std::move(watch); }
  /// Products are made with these linears from now on; they must outlive their use.
  void use(const LinearViews& linears) { linears_ = &linears; }
  /// From now on gradients[i] becomes the gradient by linear i, (rows, cols), where wanted[i]; it is empty until then,
  /// and stays so for an expert to which no token is routed. Both have an element a linear and must outlive their use.
  void make_gradients(const std::vector<bool>& wanted, std::vector<std::vector<float>>& gradients);

  /// x (n, cols) times a linear, plus its bias: (n, rows).
  std::vector<float> multiply(model::Role role, std::span<const float> x, std::size_t expert = model::kNoExpert) const;
  /// dx (n, cols) += dy W, and the gradient of the linear. dx may be null.
  void gradient(model::Role role, std::span<const float> dy, std::span<const float> x, float* dx,
                const ExpertTokens& of = {});

  /// One of several linears that read the same rows: how many values it puts out, and these, (n, size), or the gradient
  /// by them.
  struct Part {
    model::Role role;
    std::size_t size;
    std::vector<float>& y;
  };
  /// The products of linears that read x, each with its own matrix or all with the one (`whole`) that holds them one
  /// after another, perhaps in stretches (Architecture::qkv_stretches); a routed expert's are never held so.
  void multiply(model::Role whole, std::initializer_list<Part> parts, std::span<const float> x,
                std::size_t expert = model::kNoExpert) const;
  /// The gradients of the same linears.
  void gradient(model::Role whole, std::initializer_list<Part> parts, std::span<const float> x, float* dx,
                const ExpertTokens& of = {});

  /// dx (n, cols) += dy W of any matrix; dy: (n, rows).
  void add_turned_product(const kernel::Weights& weights, std::span<const float> dy, kernel::Precision precision,
                          float* dx);

 private:
  /// Whether one matrix holds several linears of the block, or of its shared expert.
  bool holds(model::Role whole, std::size_t expert) const;
  /// How many stretches of its parts the rows of such a matrix are.
  std::size_t stretches(model::Role whole) const;
  /// The place of a linear in the block.
  std::size_t at(model::Role role, std::size_t expert) const;
  /// Calls use(weights) with those of linear i.
  void with_weights(std::size_t i, const std::function<void(const kernel::Weights& weights)>& use) const;

  const model::Model& model_;
  const model::Architecture& architecture_;
  std::size_t block_;
  kernel::Precision precision_;
  std::vector<std::vector<float>> biases_;  ///< by linear; empty where there is none
  const LinearViews* linears_ = nullptr;
  const std::vector<bool>* wanted_ = nullptr;
  std::vector<std::vector<float>>* gradients_ = nullptr;
  LinearWatch watch_;
  std::vector<float> wide_, turned_;  ///< of add_turned_product
};

}  // namespace strata::engine
