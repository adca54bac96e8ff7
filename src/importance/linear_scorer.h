// Signals of linears under codecs: every linear is rounded once a codec, and every signal reads what that did to it.
// This is done a block at a time, as soon as the calibration set has passed it, so that only one block's Hessians are
// held.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "importance/linear_inputs.h"
#include "importance/scores.h"
#include "importance/signals/fisher.h"

namespace strata::importance {

class LinearScorer {
 public:
  /// group_absmax: by fusion group, the largest |w| of its linears. sensitivities: empty unless a signal needs them.
  /// All must outlive it.
  LinearScorer(const model::Model& model, std::vector<const Signal*> signals,
               std::span<const codec::Codec* const> codecs, codec::ScaleFit fit, const std::vector<float>& group_absmax,
               const InputMeanSquare& inputs, const Sensitivities& sensitivities);

  bool wanted() const { return !signals_.empty(); }
  /// A PassObserver (pass.h), for the Hessians of inputs.
  void observe(const SiteRows& rows);
  /// Scores a block that the calibration set has passed; with kNoBlock, after the last block, what stands outside of
  /// the blocks. Ranks share the linears, and all have the scores.
  void score_block(std::size_t block, const Ranks& ranks = {});
  /// Moves all errors into `scores`, and those of each half of the calibration set into its member of `halves`.
  void finish(Scores& scores, std::array<Scores, 2>& halves);
  /// Seconds by signal: those of rounding, which all signals share, and those that the signal adds.
  const std::map<std::string, double>& seconds() const { return seconds_; }
  /// Writes or reads the errors of the blocks that were scored.
  friend void visit(LinearScorer& scorer, Snapshot& snapshot);

 private:
  struct Errors {
    std::vector<LinearScores> whole;
    std::array<std::vector<LinearScores>, 2> halves;
  };

  void score_linear(std::size_t l);
  /// Every rank gets the errors of a linear that one rank has scored.
  void share(std::size_t l, const Ranks& ranks, std::size_t from);
  /// whole: what makes the sums in `products`, which may be over a share of the rows, those over all.
  void note(const Signal& signal, std::size_t l, const LinearInputs& inputs, const codec::Codec* codec,
            const ColumnProducts& products, double whole);

  const model::Model& model_;
  const model::Architecture& a_;
  std::vector<const Signal*> signals_;
  std::span<const codec::Codec* const> codecs_;
  codec::ScaleFit fit_;
  const std::vector<float>& group_absmax_;
  const InputMeanSquare& inputs_;
  const Sensitivities& sensitivities_;
  std::optional<InputHessians> hessians_;
  std::map<const Signal*, Errors> errors_;
  std::map<std::string, double> seconds_;
};

}  // namespace strata::importance
