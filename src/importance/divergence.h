// Measured KL divergence of the logits while parts of a model are rounded: the blocks below the first change are not
// run again, their hidden states are kept.
#pragma once
#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "engine/modes.h"
#include "importance/calibration.h"
#include "importance/linear_inputs.h"
#include "kernel/softmax.h"

namespace strata::importance {

/// How the matrix products of changed models are made.
enum class MeterProducts {
  whole,    ///< from the changed weights and inputs, as the engine makes them otherwise; a sequence of more than
            ///< kernel::kFewTokens tokens gives the same bits beside any others
  changes,  ///< from what changed since the original (engine::Following), for changes of single groups, however small
};

/// Measures on the first whole sequences of a calibration set that have `tokens` tokens in all. It holds the original's
/// hidden states before every block, the keys and values that blocks leave to others, and its logits: 4 * tokens *
/// (hidden * (blocks + 1) + shared_size + vocab) bytes, and with MeterProducts::changes the engine::Record.
class DivergenceMeter {
 public:
  /// The engine must run the original now, and outlive this.
  DivergenceMeter(engine::Engine& engine, const CalibrationSet& set, std::size_t tokens,
                  MeterProducts products = MeterProducts::whole);

  /// D(original || the engine as it is now) in nats at every token. block: the first block that may have changed since
  /// its hidden states were kept (0 when the embedding may have, the number of blocks when only the head may have).
  /// Throws Error when logits are not finite.
  std::vector<double> measure(std::size_t block);
  /// The means of measure() over the tokens of each sequence.
  std::vector<double> measure_sequences(std::size_t block);
  /// Keeps, from now on, the hidden states of the engine as it is now before every block above `block`.
  void rebase(std::size_t block);
  /// Makes measure() pass over the blocks that are true here, as if they had been cut out; an empty list cuts none.
  /// Keys and values that a cut block leaves to later ones stay the original's.
  void cut(std::vector<bool> blocks) { cut_ = std::move(blocks); }

  /// -log p(next token) by the model that measure() ran last, or by the original before the first measure(), at every
  /// position that has a next token in its sequence.
  const std::vector<double>& nll() const { return nll_; }

  std::size_t tokens() const { return batch_.tokens; }

 private:
  /// Held while the engine runs: with whole products a sequence gives the same bits beside any others.
  std::unique_ptr<engine::AlikeInBatches> alike_in_batches();
  std::vector<double> divergence(const float* h);
  void compare_changes(const float* h, std::size_t first, std::size_t count, float* changed, double* result);

  void note_nll(std::size_t token, const float* logits, const kernel::SoftmaxRow& row);

  engine::Engine& engine_;
  engine::Batch batch_;
  std::optional<engine::Record> record_;
  std::vector<bool> cut_;
  std::vector<engine::Token> ids_;
  std::vector<std::size_t> scored_;  ///< by token: index into nll_, or kNone
  std::vector<double> nll_;
  std::vector<std::vector<float>> before_;
  std::vector<float> shared_;  ///< the original's engine::Batch::shared
  std::vector<float> logits_;
  std::vector<kernel::SoftmaxRow> rows_;
};

/// A fusion group's linears rounded by a codec, to be put into an engine.
class RoundedGroup {
 public:
  /// Scales are searched with the inputs' mean squares, as the quantizer does. A linear that the source holds in this
  /// codec is taken from there as it is. reads: how all of them read their inputs, by InputMeanSquare::rounding.
  /// rounds: false leaves room for what another rank rounds.
  RoundedGroup(const model::Model& model, const model::FusionGroup& group, const codec::Codec& codec,
               const InputMeanSquare& inputs,
               codec::ActivationRounding::Kind reads = codec::ActivationRounding::Kind::none, bool rounds = true);
  RoundedGroup(RoundedGroup&&) = default;
  RoundedGroup& operator=(RoundedGroup&&) = default;

  /// Makes the engine use these linears until they are restored or replaced again. This must live that long.
  void put_into(engine::Replacing& replacing) const;
  /// Every rank gets what `from` has rounded. Others may have made this with `rounds` false.
  void share(const Ranks& ranks, std::size_t from);

 private:
  std::vector<std::size_t> linears_;
  std::vector<codec::Stored> stored_;
  std::vector<codec::ActivationRounding> reads_;
};

/// Whether the codec can hold every linear of the group.
bool fits(const codec::Codec& codec, const model::Architecture& architecture, const model::FusionGroup& group);

/// Sum over the group's linears of error / energy under the codec, weighted as act_mse. The error is that of the rows
/// of a RoundedGroup that sampled_rows chooses.
double relative_error(const model::Model& model, const model::FusionGroup& group, const codec::Codec& codec,
                      const InputMeanSquare& inputs);

/// Makes the engine use the original's weights for the group's linears.
void restore(engine::Replacing& replacing, const model::FusionGroup& group);

}  // namespace strata::importance
