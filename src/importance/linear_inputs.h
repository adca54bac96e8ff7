// Moments of the inputs of linears over the calibration set: mean squares, E[x_j^2], which are the importance of the
// weights' columns (act_mse, and the search for scales when the model is quantized), the largest magnitudes, by which
// inputs are rounded with fixed scales, and whole Hessians (hessian).
#pragma once
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "importance/pass.h"
#include "importance/snapshot.h"
#include "quantize/hessian.h"

namespace strata::importance {

/// The inputs of a linear as signals of linears see them. All are by part of the calibration set.
struct LinearInputs {
  std::vector<std::vector<double>> mean_squares;  ///< (cols)
  /// (cols, cols): sums of x x^T. Empty unless a signal needs them, for an embedding that is only looked up (its
  /// columns count alike), and for experts.
  std::span<const quantize::Hessian> hessians;
  /// (cols): Sensitivity::columns (signals/fisher.h). Empty unless a signal needs them.
  std::span<const std::vector<double>> sensitivities;
};

/// The input of the head, which is lm_head or a tied embedding: the last block's output after the final norm.
class HeadInput {
 public:
  explicit HeadInput(const model::Model& model);
  /// The head's input made from `rows`, when these are the last block's output; valid until the next call.
  std::optional<SiteRows> of(const SiteRows& rows);

 private:
  const model::Architecture& architecture_;
  std::vector<float> final_norm_;  ///< empty when there is no head to round
  std::vector<float> normed_;
};

class InputMeanSquare {
 public:
  explicit InputMeanSquare(const model::Model& model);

  /// A PassObserver (pass.h): adds the rows of the sites that linears read from. Sums are kept in double and are the
  /// same for any batching and any number of threads.
  void observe(const SiteRows& rows);
  /// A PassExpertObserver (pass.h): adds the rows of an expert.
  void observe_expert(const PassExpertRows& rows);

  /// (cols): E[x_j^2] of the input of a linear. q, k, v share one vector, gate and up another; lm_head's input is the
  /// last block's output after the final norm, that of an embedding the same when it is the head too, else all ones. An
  /// expert's is the mean over the tokens that are routed to it, or over all when those are fewer than kFewTokens.
  /// Throws Error when a value is beyond the range of f32.
  std::vector<float> of(const model::Linear& linear) const;
  /// E[x_j^2] over each part of the calibration set; over the whole set for an expert that no token of a part is routed
  /// to.
  std::vector<std::vector<double>> parts(const model::Linear& linear) const;
  /// How the linear reads its inputs under this kind of rounding: a fixed scale is that of the largest magnitude which
  /// the linears of its site read, those of all experts of a block being one.
  codec::ActivationRounding rounding(const model::Linear& linear, codec::ActivationRounding::Kind kind) const;
  std::size_t tokens() const;
  /// The tokens of each part.
  const std::vector<std::size_t>& part_tokens() const { return tokens_; }
  /// Tokens that were routed to each expert of a block; empty for a dense one.
  std::vector<std::size_t> routed(std::size_t block) const;

  /// Every rank gets the sums of a block that ranks have run, each for its parts of a set of `sequences`; after the
  /// last block those of the head too.
  void share(const Ranks& ranks, std::size_t sequences, std::size_t block);

  /// Writes or reads all sums.
  friend void visit(InputMeanSquare& inputs, Snapshot& snapshot);

 private:
  using Sums = std::vector<std::vector<double>>;  ///< by part: (cols)
  /// The sums of one expert: over its own tokens, and over all tokens for down's inputs while its own are few.
  struct ExpertSums {
    std::vector<std::size_t> routed;  ///< by part
    Sums mlp_in, down_in, all_down_in;
    friend void visit(ExpertSums& expert, Snapshot& snapshot) {
      snapshot(expert.routed);
      for (auto* sums : {&expert.mlp_in, &expert.down_in, &expert.all_down_in}) snapshot(*sums);
    }
  };
  /// The sums of a linear's inputs, and the number of tokens in the sum of each part.
  std::pair<const Sums*, const std::vector<std::size_t>*> sums(const model::Linear& linear) const;
  void add(std::size_t place, const SiteRows& rows);

  const model::Architecture& architecture_;
  HeadInput head_;
  std::vector<Sums> sums_;      ///< block x site: attn_in, o_in, mlp_in, down_in; then lm_head's input
  std::vector<float> largest_;  ///< the largest magnitudes, likewise; those of experts are among their block's
  std::vector<std::vector<ExpertSums>> experts_;  ///< by block; empty for dense ones
  std::vector<std::size_t> tokens_;
};

/// The mean squares by a pass of their own over the calibration set, for callers that need nothing else. file: where
/// the pass is kept, so that a run that was stopped resumes it; empty to keep nothing. Ranks at work share the pass.
InputMeanSquare input_mean_square(engine::Engine& engine, const CalibrationSet& set,
                                  const std::filesystem::path& file = {});
/// Keeps the mean squares that another pass over the same set has found, where input_mean_square finds them.
void keep_input_mean_square(const engine::Engine& engine, const CalibrationSet& set, InputMeanSquare& inputs,
                            const std::filesystem::path& file);

/// Hessians of the inputs of one block at a time. Those of a block are complete after its last block_out, and are
/// dropped at the next block's first rows. Sums do not depend on threads. Memory: for every part, (cols, cols) f32 a
/// site; there are fewer parts where they would take more than kHessianBytes together, but at least two.
class InputHessians {
 public:
  explicit InputHessians(const model::Model& model) : architecture_(model.architecture()), head_(model) {}
  static constexpr std::size_t kHessianBytes = std::size_t{1} << 30;

  /// A PassObserver (pass.h).
  void observe(const SiteRows& rows);
  /// The Hessians by part of a linear of the present block, or of the head after the last block. There are none for an
  /// embedding that is only looked up, and for experts, whose inputs are counted as uncorrelated.
  std::span<const quantize::Hessian> of(const model::Linear& linear) const;

 private:
  void add(std::size_t site, const SiteRows& rows);

  const model::Architecture& architecture_;
  HeadInput head_;
  std::map<std::size_t, std::vector<quantize::Hessian>> sites_;  ///< those of the present block
};

}  // namespace strata::importance
