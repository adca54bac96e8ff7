// A signal: a number that says how much a block, a linear or a fusion group matters. Each is one file and one row of
// the table in signals.cpp; formulas, sources and costs are in docs/signals.md.
#pragma once
#include <array>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "importance/linear_inputs.h"
#include "importance/rounding_error.h"
#include "importance/samples.h"
#include "importance/signals/kl.h"
#include "importance/weights.h"

namespace strata::importance {

/// One sequence on its way through one block: rows (tokens, size) before and after the block.
struct BlockRows {
  std::size_t tokens, size;
  const float* before;
  const float* after;
};

/// A signal of linears that is gathered while the calibration set runs, by a signal that keeps something between calls.
class SiteSignal {
 public:
  virtual ~SiteSignal() = default;
  virtual void on_rows(const SiteRows& rows) = 0;
  /// The samples by linear. They are all that a signal keeps between two blocks: a pass that is resumed puts back those
  /// of the blocks before.
  virtual Samples& samples() = 0;
};

enum class Direction { higher_is_important, smaller_is_important };

/// What a signal has a value of.
enum class Level {
  block,
  linear,  ///< a linear, whatever its codec
  group,   ///< a fusion group, whatever its codec
  error,   ///< a linear under a codec: an error, and the energy that it is relative to
  choice,  ///< a fusion group under a codec
};

/// Kinds of grids. Equal errors of two kinds fall on other weights and cost differently, so each kind is priced alone.
enum class Grid { floats, integers, ggml };

/// Which codecs of a kind of grid a signal prices. The divergence that a codec of about three bits or fewer causes is
/// no longer in proportion to that of one of about four.
enum class Width { any, few_bits, more_bits };

struct PricedCodecs {
  Grid grid;
  Width width = Width::any;
  /// Every codec with codes is priced by exactly one row of the table; `keep` by none.
  bool contain(const codec::Codec& codec) const;
};

/// A row of the table. Exactly one of the functions is set; its values are of `level`.
struct Signal {
  std::string_view name;
  std::string_view meaning;  ///< one line for help and reports
  Level level = Level::block;
  Direction direction = Direction::higher_is_important;
  bool costly = false;  ///< computed only when it is asked for

  /// Level block, from activations: the value of one sequence. The signal is the mean over sequences. Called for
  /// several sequences at the same time.
  double (*of_rows)(const BlockRows&) = nullptr;

  /// Level block, from weights.
  double (*of_block)(const BlockWeights&) = nullptr;

  /// Level linear, from activations.
  std::unique_ptr<SiteSignal> (*observe_linears)(const model::Model&, std::size_t sequences) = nullptr;

  /// Level error: what squared differences of a linear's weights cost, by part of the calibration set. This is a
  /// quadratic form: its value for the weights themselves is the energy that errors are relative to.
  std::vector<double> (*of_linear)(const LinearInputs&, const ColumnProducts&) = nullptr;
  bool needs_products = false;   ///< of_linear reads Hessians and products of different columns
  bool needs_gradients = false;  ///< of_linear reads sensitivities, which only models with a backward pass have
  bool in_nats = false;          ///< the errors are nats per token, which add up; they are relative to nothing

  /// Level group, from what the groups are.
  std::vector<double> (*of_architecture)(const model::Architecture&) = nullptr;

  /// Level group, from running the model on the calibration set with single groups rounded. The row is handed in, so
  /// that one function can serve several rows.
  Samples (*of_groups)(const Signal&, engine::Engine&, const CalibrationSet&, const InputMeanSquare&,
                       const MeasureRequest&) = nullptr;
  /// Names of the codecs that of_groups rounds with: for every group the first one that fits its shapes.
  std::array<std::string_view, 3> measured_with = {};
  /// The values are nats per unit of relative error, which makes them the price of these codecs.
  std::optional<PricedCodecs> prices = {};

  /// Level choice, from running the model with each group at each codec.
  std::vector<std::vector<Measurement>> (*of_choices)(engine::Engine&, const CalibrationSet&, const InputMeanSquare&,
                                                      const MeasureRequest&) = nullptr;
};

/// All signals, in the order of docs/signals.md.
std::span<const Signal> signals();
/// Throws Error listing the known names.
const Signal& signal_by_name(std::string_view name);
/// False for a signal that prices codecs when none of these is among them: their scores have no use for it.
bool concerns(const Signal& signal, std::span<const codec::Codec* const> codecs);

// The functions of the rows, one file each. Those of fisher, kl and prior are in the headers of their files.
double lim(const BlockRows& rows);
double lim_flat(const BlockRows& rows);
double residual(const BlockRows& rows);
double zd(const BlockWeights& weights);
double zd_linear(const BlockWeights& weights);
double extremal(const BlockWeights& weights);
double kurtosis(const BlockWeights& weights);
std::unique_ptr<SiteSignal> observe_spike(const model::Model& model, std::size_t sequences);
std::unique_ptr<SiteSignal> observe_spike_out(const model::Model& model, std::size_t sequences);
std::vector<double> act_mse(const LinearInputs& inputs, const ColumnProducts& difference);
std::vector<double> hessian(const LinearInputs& inputs, const ColumnProducts& difference);
/// The samples by fusion group: KL divergence D(original || group rounded) in nats per token, over the relative error
/// of the group (sum over its linears of error / energy, weighted as act_mse). A group without error, or whose shapes
/// fit none of the row's codecs, has no values.
Samples alpha(const Signal& row, engine::Engine& engine, const CalibrationSet& set, const InputMeanSquare& inputs,
              const MeasureRequest& request);

}  // namespace strata::importance
