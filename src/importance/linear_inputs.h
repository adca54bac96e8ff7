// The mean square of every input of every linear over the calibration set: the importance of the weights' columns,
// E[x_j^2]. Used by act_mse, and by the search for scales when the model is quantized.
#pragma once
#include <span>
#include <vector>

#include "importance/pass.h"

namespace strata::importance {

class InputMeanSquare {
 public:
  explicit InputMeanSquare(const model::Model& model);

  /// A PassObserver: adds the rows of the sites that linears read from. Sums are kept in double and are the same for
  /// any batching and any number of threads.
  void observe(const SiteRows& rows);

  /// (cols): E[x_j^2] of the input of a linear. q, k, v share one vector, gate and up another; lm_head's input is the
  /// last block's output after the final norm, that of an embedding the same when it is the head too, else all ones.
  /// Throws Error when a value is beyond the range of f32.
  std::vector<float> of(const model::Linear& linear) const;
  std::size_t tokens() const { return tokens_; }

 private:
  std::vector<double>& sums(std::size_t block, engine::Site site);
  void add(std::vector<double>& sums, const SiteRows& rows);

  const model::Architecture& architecture_;
  std::vector<float> final_norm_;          ///< empty when there is no head to round
  std::vector<std::vector<double>> sums_;  ///< block x site: attn_in, o_in, mlp_in, down_in; then lm_head's input
  std::vector<float> normed_;
  std::size_t tokens_ = 0;
};

/// A pass of its own over the calibration set, for callers that need nothing else.
InputMeanSquare input_mean_square(engine::Engine& engine, const CalibrationSet& set);

}  // namespace strata::importance
