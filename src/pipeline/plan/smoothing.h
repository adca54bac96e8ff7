// Whether channels are scaled before a model is rounded (model/smoothing.h), and how far: an option of every stage that
// looks at rounded weights. Figures: docs/results.md.
#pragma once
#include <optional>
#include <span>
#include <string>

#include "codec/codec.h"
#include "core/options.h"
#include "model/model.h"

namespace strata::pipeline {

struct Target;

/// The share of an input's outliers that weights take over, SmoothQuant's alpha; 0: nothing is scaled. Unset: by
/// automatic_smoothing.
using Smoothing = std::optional<double>;

/// Declares --smooth.
void declare_smoothing(Smoothing& smoothing, OptionVisitor& visitor);

/// kSmoothing where one of these codecs reads integers or 4-bit floats when the target runs it, since small channels
/// are lost there beside large ones; else 0. The precision of FP8 does not depend on a channel's size.
double automatic_smoothing(const Target& target, std::span<const codec::Codec* const> codecs);
inline constexpr double kSmoothing = 0.5;

/// Throws UsageError where --smooth asks for what would be of no use: the target reads all inputs as they are.
void check_smoothing(const Smoothing& smoothing, const Target& target);

/// The smoothing, or 0 where the model has no channels that can be scaled.
double possible_smoothing(double smoothing, const model::Model& model);

/// "none" or "0.5": the word of --smooth.
std::string smoothing_word(double smoothing);
/// A sentence for people; empty for 0.
std::string describe_smoothing(double smoothing, const model::Model& model);

}  // namespace strata::pipeline
