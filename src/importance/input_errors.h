// What rounding its inputs costs a linear. Errors of the columns of x are about uncorrelated with each other and with
// the gradient, so that y = Wx is as far off as if column j of W had been changed by the same share of its squares as
// x_j: E|W dx|^2 = sum_j (E[dx_j^2] / E[x_j^2]) E[x_j^2] sum_r w_rj^2. Added to the squares of a codec's errors, the
// share makes every quadratic signal (act_mse, hessian, fisher) count both alike.
#pragma once
#include <map>
#include <vector>

#include "importance/linear_inputs.h"

namespace strata::importance {

/// The inputs of one block at a time, a sample of the calibration set's rows. It is complete after the block's last
/// site, and dropped at the next block's first rows. Memory: kSampledTokens rows a site, in f32.
class InputErrors {
 public:
  static constexpr std::size_t kSampledTokens = 1024;

  explicit InputErrors(const model::Model& model) : architecture_(model.architecture()), head_input_(model) {}

  /// A PassObserver (pass.h).
  void observe(const SiteRows& rows);
  /// A PassExpertObserver (pass.h).
  void observe_expert(const PassExpertRows& rows);
  /// Call it after the last site of a block: every rank gets the samples that all have taken of it.
  void complete(std::size_t block, const Ranks& ranks);
  /// (cols): E[(x_j - r(x_j))^2] / E[x_j^2] of a linear of the present block, or of the head after the last block; 0
  /// for a column of zeros. What down reads is another thing in every expert: all columns have the mean of the sample.
  std::vector<double> shares(const model::Linear& linear, const codec::ActivationRounding& rounding) const;

 private:
  struct Sample {
    std::size_t size = 0;
    std::vector<float> rows;          ///< (tokens, size)
    std::vector<std::size_t> places;  ///< of experts: the row's token among all and its expert, as one number
    void add(const float* row) { rows.insert(rows.end(), row, row + size); }
    void share(const Ranks& ranks);
    /// Rows in the order of their places, whatever the batches were that they came in.
    void sort();
  };
  static void add(Sample& sample, const SiteRows& rows);
  /// Drops the samples of another block.
  void begin(std::size_t block);

  const model::Architecture& architecture_;
  HeadInput head_input_;
  std::size_t block_ = model::kNoBlock;   ///< the present one
  std::map<engine::Site, Sample> sites_;  ///< those of the present block
  Sample experts_down_, head_;            ///< what down reads in its experts, and what the head reads
};

}  // namespace strata::importance
