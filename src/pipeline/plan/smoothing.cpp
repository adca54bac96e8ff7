// What is decided here is kept in scores and plans, so that the stages after them do the same.
#include "pipeline/plan/smoothing.h"

#include <algorithm>

#include "model/smoothing.h"
#include "pipeline/plan/roundings.h"
#include "pipeline/plan/target.h"

namespace strata::pipeline {
namespace {

using enum codec::ActivationRounding::Kind;
constexpr Roundings kLoseSmallChannels{int8_token, nvfp4, mxfp4};

}  // namespace

void declare_smoothing(Smoothing& smoothing, OptionVisitor& v) {
  const OptionInfo info{.name = "--smooth",
                        .help =
                            "Scale channels before rounding, without a change of the model, so that what linears "
                            "read has smaller outliers (SmoothQuant): none, or the share of them that weights take "
                            "over (default: 0.5 where a codec rounds inputs to integers or 4 bits, but none for rtn "
                            "with --scale minmax)",
                        .example = "0.6",
                        .least = 0.05,
                        .most = 1.0};
  v.text(
      info,
      [&smoothing, info](const std::string& word) {
        smoothing = word == "none" || word == "0" ? 0.0 : parse_number(info, word);
      },
      [&smoothing] {
        if (!smoothing) return json();
        return *smoothing == 0.0 ? json(smoothing_word(0.0)) : json(*smoothing);
      },
      "NUMBER");
}

double automatic_smoothing(const Target& target, std::span<const codec::Codec* const> codecs) {
  const codec::RoundedInputs runs = rounded_inputs(target);
  const bool any =
      std::ranges::any_of(codecs, [&](const codec::Codec* codec) { return kLoseSmallChannels.hold(runs.of(*codec)); });
  return any ? kSmoothing : 0.0;
}

void check_smoothing(const Smoothing& smoothing, const Target& target) {
  if (smoothing.value_or(0.0) > 0.0 && rounded_inputs(target).kinds.empty())
    fail_usage("--smooth: {} reads all inputs as they are, so that smaller outliers are of no use; leave it out",
               target.name);
}

double possible_smoothing(double smoothing, const model::Model& model) {
  return smoothing == 0.0 || model::smooth_sites(model).empty() ? 0.0 : smoothing;
}

std::string smoothing_word(double smoothing) { return smoothing == 0.0 ? "none" : fmt::format("{}", smoothing); }

std::string describe_smoothing(double smoothing, const model::Model& model) {
  if (smoothing == 0.0) return {};
  return fmt::format(
      "smooth {}: before rounding, channels are scaled at {} sites of {} blocks, so that inputs have smaller outliers; "
      "the model computes the same",
      smoothing_word(smoothing), model::smooth_sites(model).size(), model.architecture().blocks);
}

}  // namespace strata::pipeline
