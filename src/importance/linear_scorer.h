// Signals of linears under codecs: every linear is rounded once a codec, and every signal reads what that did to it.
// This is done a block at a time, as soon as the calibration set has passed it, so that only one block's Hessians are
// held.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "importance/input_errors.h"
#include "importance/score.h"
#include "importance/signals/fisher.h"

namespace strata::importance {

class LinearScorer {
 public:
  /// What a pass over the calibration set finds out besides. group_absmax: by fusion group, the largest |w| of its
  /// linears. sensitivities: empty unless a signal needs them.
  struct Found {
    const std::vector<float>& group_absmax;
    const InputMeanSquare& inputs;
    const Sensitivities& sensitivities;
  };
  /// The request and all that was found must outlive it.
  LinearScorer(const model::Model& model, std::vector<const Signal*> signals, const ScoreRequest& request,
               const Found& found);

  bool wanted() const { return !signals_.empty(); }
  /// A PassObserver (pass.h), for the Hessians of inputs and for what rounding these costs.
  void observe(const SiteRows& rows);
  /// A PassExpertObserver (pass.h).
  void observe_expert(const PassExpertRows& rows);
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
  /// Adds what rounded inputs cost under a codec to what its weights do. energy: the sums of the weights themselves.
  void add_input_errors(std::size_t l, const codec::Codec& codec, const ColumnProducts& energy, ColumnProducts& error);
  /// Every rank gets the errors of a linear that one rank has scored.
  void share(std::size_t l, const Ranks& ranks, std::size_t from);
  /// whole: what makes the sums in `products`, which may be over a share of the rows, those over all.
  void note(const Signal& signal, std::size_t l, const LinearInputs& inputs, const codec::Codec* codec,
            const ColumnProducts& products, double whole);

  const model::Model& model_;
  const model::Architecture& a_;
  std::vector<const Signal*> signals_;
  const ScoreRequest& request_;
  const Found found_;
  std::optional<InputHessians> hessians_;
  std::optional<InputErrors> input_errors_;
  std::map<const Signal*, Errors> errors_;
  std::map<std::string, double> seconds_;
};

}  // namespace strata::importance
