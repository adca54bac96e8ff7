// A signal: a number that says how much a block, a linear or a fusion group matters. Each is one file and one row of
// the table in signals.cpp; formulas, sources and costs are in docs/signals.md.
#pragma once
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "importance/linear_inputs.h"
#include "importance/rounding_error.h"
#include "importance/samples.h"
#include "importance/signals/fisher.h"
#include "importance/signals/kl.h"
#include "importance/weights.h"

namespace strata::importance {

/// One sequence on its way through one block: rows (tokens, size) before and after it.
struct BlockRows {
  std::size_t block, sequence;
  std::size_t tokens, size;
  const float* before;
  const float* after;
};

/// A signal of blocks that is gathered while the calibration set runs: the mean over sequences of a value of each.
/// Calls for different sequences come at the same time.
class ActivationSignal {
 public:
  ActivationSignal(std::size_t blocks, std::size_t sequences) : samples_(blocks, std::vector<double>(sequences)) {}
  virtual ~ActivationSignal() = default;
  void on_block(const BlockRows& rows) { samples_[rows.block][rows.sequence] = value(rows); }
  /// By block.
  const Samples& samples() const { return samples_; }

 private:
  virtual double value(const BlockRows& rows) const = 0;
  Samples samples_;
};

/// A signal of linears that is gathered while the calibration set runs.
class SiteSignal {
 public:
  virtual ~SiteSignal() = default;
  virtual void on_rows(const SiteRows& rows) = 0;
  /// By linear.
  virtual const Samples& samples() const = 0;
};

enum class Direction { higher_is_important, smaller_is_important };

/// What a signal has a value of.
enum class Level {
  block,
  linear,  ///< whatever its codec
  group,   ///< fusion group
  error,   ///< linear under a codec: an error, and the energy that it is relative to
  choice,  ///< fusion group under a codec
};

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
  /// Of linears, from activations.
  std::unique_ptr<SiteSignal> (*observe_linears)(const model::Model&, std::size_t sequences) = nullptr;
  /// Of linears and codecs: what squared differences cost, by part of the calibration set. It is a quadratic form: of
  /// the weights themselves it is the energy that the error is relative to, unless it is in nats.
  std::vector<double> (*of_linear)(const LinearInputs&, const ColumnProducts&) = nullptr;
  bool needs_products = false;   ///< of_linear reads Hessians and products of different columns
  bool needs_gradients = false;  ///< of_linear reads sensitivities; its errors are nats per token, which add up
  /// Of fusion groups, from what they are.
  std::vector<double> (*of_architecture)(const model::Architecture&) = nullptr;
  /// Of fusion groups, from running the model on the calibration set.
  Samples (*of_groups)(engine::Engine&, const CalibrationSet&, const InputMeanSquare&, const MeasureRequest&) = nullptr;
  /// Of groups, in nats per unit of relative error: the codecs whose cost it gives.
  bool (*prices)(const codec::Codec&) = nullptr;
  /// Of fusion groups under codecs, from running the model with each.
  std::vector<std::vector<Measurement>> (*of_choices)(engine::Engine&, const CalibrationSet&, const InputMeanSquare&,
                                                      const MeasureRequest&) = nullptr;

  Level level() const;
};

/// All signals, in the order of docs/signals.md.
std::span<const Signal> signals();
/// Throws Error listing the known names.
const Signal& signal_by_name(std::string_view name);
/// Whether scores of these codecs have a use for it: a signal that prices codecs is of use to those.
bool concerns(const Signal& signal, std::span<const codec::Codec* const> codecs);

// One file each.
std::unique_ptr<ActivationSignal> observe_lim(std::size_t blocks, std::size_t sequences);
std::unique_ptr<ActivationSignal> observe_lim_flat(std::size_t blocks, std::size_t sequences);
std::unique_ptr<ActivationSignal> observe_residual(std::size_t blocks, std::size_t sequences);
std::unique_ptr<SiteSignal> observe_spike(const model::Model& model, std::size_t sequences);
std::unique_ptr<SiteSignal> observe_spike_out(const model::Model& model, std::size_t sequences);
double zd(const BlockWeights& weights);
double zd_linear(const BlockWeights& weights);
double extremal(const BlockWeights& weights);
double kurtosis(const BlockWeights& weights);
std::vector<double> act_mse(const LinearInputs& inputs, const ColumnProducts& difference);
std::vector<double> hessian(const LinearInputs& inputs, const ColumnProducts& difference);
std::vector<double> fisher(const LinearInputs& inputs, const ColumnProducts& difference);
std::vector<double> prior(const model::Architecture& architecture);
/// By fusion group: KL divergence D(original || group rounded) in nats per token, over the relative error of the group
/// (sum over its linears of error / energy, weighted as act_mse); empty for one without error. Rounded by nvfp4 where
/// the shape allows, else another codec of about four bits.
Samples alpha(engine::Engine& engine, const CalibrationSet& set, const InputMeanSquare& inputs,
              const MeasureRequest& request);
/// The same by int4_g64, int3_g64, iq4_nl and q3_k; empty too where these and their like do not fit.
Samples alpha_int(engine::Engine& engine, const CalibrationSet& set, const InputMeanSquare& inputs,
                  const MeasureRequest& request);
Samples alpha_int3(engine::Engine& engine, const CalibrationSet& set, const InputMeanSquare& inputs,
                   const MeasureRequest& request);
Samples alpha_ggml(engine::Engine& engine, const CalibrationSet& set, const InputMeanSquare& inputs,
                   const MeasureRequest& request);
Samples alpha_ggml3(engine::Engine& engine, const CalibrationSet& set, const InputMeanSquare& inputs,
                    const MeasureRequest& request);
/// Kinds of grids, those of about three bits and fewer apart; every codec with codes is of one.
bool is_float(const codec::Codec& codec);
bool is_int(const codec::Codec& codec);
bool is_int3(const codec::Codec& codec);
bool is_ggml(const codec::Codec& codec);
bool is_ggml3(const codec::Codec& codec);

}  // namespace strata::importance
