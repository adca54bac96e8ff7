// A signal: a number that says how much a block or a linear matters. Each is one file and one row of the table in
// signals.cpp; formulas, sources and costs are in docs/signals.md.
#pragma once
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "codec/codec.h"
#include "core/statistics.h"
#include "importance/input_mean_square.h"
#include "importance/kl.h"
#include "importance/pass.h"
#include "importance/weights.h"
#include "quantize/rtn.h"

namespace strata::importance {

/// One sequence on its way through one block: rows (tokens, size) before and after it.
struct BlockRows {
  std::size_t block, sequence;
  std::size_t tokens, size;
  const float* before;
  const float* after;
};

/// A signal that is gathered while the calibration set runs. Calls for different sequences come at the same time, and a
/// signal keeps what it gathers apart by sequence.
class ActivationSignal {
 public:
  virtual ~ActivationSignal() = default;
  virtual void on_block(const BlockRows& rows) = 0;
  /// Per block.
  virtual std::vector<Estimate> result() const = 0;
};

/// Values by block and sequence, of which a signal is the mean over sequences.
class PerSequence {
 public:
  PerSequence(std::size_t blocks, std::size_t sequences) : values_(blocks, std::vector<double>(sequences)) {}
  void set(const BlockRows& rows, double value) { values_[rows.block][rows.sequence] = value; }
  std::vector<Estimate> means() const;

 private:
  std::vector<std::vector<double>> values_;
};

/// A linear under quantization: what a signal per linear and codec is computed from.
struct LinearCase {
  const MatrixView& weights;                 ///< (rows, cols), finite
  std::span<const float> input_mean_square;  ///< (cols): E[x_j^2]
  float group_absmax;                        ///< largest |w| of all linears of its fusion group
  codec::ScaleFit fit;
};

enum class Direction { higher_is_important, smaller_is_important };

/// Exactly one kind of function is set.
struct Signal {
  std::string_view name;
  std::string_view meaning;  ///< one line for help and reports
  Direction direction = Direction::higher_is_important;
  bool costly = false;  ///< computed only when it is asked for

  /// Of blocks, from activations.
  std::unique_ptr<ActivationSignal> (*observe)(std::size_t blocks, std::size_t sequences) = nullptr;
  /// Of blocks, from weights.
  double (*of_block)(const BlockWeights&) = nullptr;
  /// Of linears and codecs: the error, and the energy that it is relative to.
  quantize::WeightedError (*of_linear)(const LinearCase&, const codec::Codec&) = nullptr;
  /// Of fusion groups, from running the model on the calibration set.
  std::vector<Estimate> (*of_groups)(engine::Engine&, const CalibrationSet&, const InputMeanSquare&) = nullptr;
  /// Of fusion groups under codecs, from running the model with each.
  std::vector<std::vector<Measurement>> (*of_choices)(engine::Engine&, const CalibrationSet&, const InputMeanSquare&,
                                                      const MeasureRequest&) = nullptr;
};

/// All signals, in the order of docs/signals.md.
std::span<const Signal> signals();
/// Throws Error listing the known names.
const Signal& signal_by_name(std::string_view name);

// One file each.
std::unique_ptr<ActivationSignal> observe_lim(std::size_t blocks, std::size_t sequences);
std::unique_ptr<ActivationSignal> observe_lim_flat(std::size_t blocks, std::size_t sequences);
double zd(const BlockWeights& weights);
double zd_linear(const BlockWeights& weights);
double extremal(const BlockWeights& weights);
double kurtosis(const BlockWeights& weights);
quantize::WeightedError act_mse(const LinearCase& linear, const codec::Codec& codec);
std::vector<Estimate> alpha(engine::Engine& engine, const CalibrationSet& set, const InputMeanSquare& inputs);

}  // namespace strata::importance
