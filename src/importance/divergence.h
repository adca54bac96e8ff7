// Measured KL divergence of the logits while parts of a model are rounded: the blocks below the first change are not
// run again, their hidden states are kept.
#pragma once
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "engine/modes.h"
#include "importance/calibration.h"
#include "importance/linear_inputs.h"
#include "kernel/softmax.h"

namespace strata::importance {

/// How products of changed models are made.
enum class MeterProducts {
  whole,    ///< as the engine makes them
  changes,  ///< from what changed since the original (engine::Following): for changes of single groups, however small
};

/// The first whole sequences of a calibration set that have `tokens` tokens together, with the original's hidden states
/// before every block and its logits. Memory in bytes: 4 * tokens * (hidden * (blocks + 1) + vocab), and the
/// engine::Record with MeterProducts::changes.
class DivergenceMeter {
 public:
  /// The engine must run the original now, and outlive this.
  DivergenceMeter(engine::Engine& engine, const CalibrationSet& set, std::size_t tokens,
                  MeterProducts products = MeterProducts::whole);

  /// D(original || the engine as it is now) in nats at every token; all that differs from the hidden states kept before
  /// `block` is at or above it (block = blocks: only the head; 0: the embedding
  /// too). Throws Error when logits are not finite.
  std::vector<double> measure(std::size_t block);
  /// measure(), as the mean over the tokens of each sequence.
  std::vector<double> measure_sequences(std::size_t block);
  /// From now on the hidden states kept before every block above `block` are those of the engine as it is now.
  void rebase(std::size_t block);
  /// From now on measure() passes over the blocks that are set, as if they had been cut out; empty: none.
  void cut(std::vector<bool> blocks) { cut_ = std::move(blocks); }

  /// -log p(next token) of what measure() ran last (before that: of the original), at every position with a next token
  /// in its sequence.
  const std::vector<double>& nll() const { return nll_; }

  std::size_t tokens() const { return batch_.tokens; }
  std::size_t sequences() const { return batch_.sequences.size(); }
  /// Multiplications of measure(block), for estimates of time.
  double work(std::size_t block) const;

 private:
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
  std::vector<float> logits_;
  std::vector<kernel::SoftmaxRow> rows_;
};

/// A fusion group's linears rounded by a codec, to be put into an engine.
class RoundedGroup {
 public:
  /// Scales are searched with the inputs' mean squares, as the quantizer does.
  RoundedGroup(const model::Model& model, const model::FusionGroup& group, const codec::Codec& codec,
               const InputMeanSquare& inputs);
  RoundedGroup(RoundedGroup&&) = default;
  RoundedGroup& operator=(RoundedGroup&&) = default;

  /// The engine uses it until its linears are restored or replaced again; it must live that long.
  void put_into(engine::Replacing& replacing) const;

 private:
  std::vector<std::size_t> linears_;
  std::vector<codec::Stored> stored_;
};

/// Whether the codec can hold every linear of the group.
bool fits(const codec::Codec& codec, const model::Architecture& architecture, const model::FusionGroup& group);

/// Sum over the group's linears of error / energy under the codec, weighted as act_mse: what RoundedGroup stores, of
/// rows that sampled_rows chooses.
double relative_error(const model::Model& model, const model::FusionGroup& group, const codec::Codec& codec,
                      const InputMeanSquare& inputs);

/// The engine uses the original's weights for the group's linears.
void restore(engine::Replacing& replacing, const model::FusionGroup& group);

}  // namespace strata::importance
