// What a user may change about calibrated rounding, and what the job decides about it.
#pragma once
#include <filesystem>
#include <functional>
#include <span>

#include "codec/codec.h"
#include "core/options.h"
#include "core/ranks.h"
#include "pipeline/round/tune_block.h"
#include "quantize/gptq.h"

namespace strata::pipeline {

struct RoundedLinear;

struct RoundingOptions {
  quantize::GptqOptions gptq{};
  bool asymmetric = true;  ///< linears are corrected for the drift of their inputs from the original's
  TuneOptions tune{};      ///< how each block is learned after its linears are rounded

  /// Returns `gptq` with a damping: the user's, or a default, which is larger for `asymmetric` (docs/results.md).
  quantize::GptqOptions decided() const;
};
void visit(RoundingOptions& options, OptionVisitor& visitor);

/// Declares --scale, which every method obeys.
void declare_scale_fit(codec::ScaleFit& fit, OptionVisitor& visitor);

/// What a job decides. Only `fit` and `embedding_importance` change bytes of the result.
struct RoundingSetup {
  codec::ScaleFit fit = codec::ScaleFit::search;
  bool keep_rows = false;                                ///< keeps the inputs of o and down: less time, more memory
  std::span<const float> embedding_importance{};         ///< by input of the embedding; all alike when empty
  std::filesystem::path spill_folder{};                  ///< holds hidden states; in memory when empty
  std::function<void(const RoundedLinear&)> listener{};  ///< called with each linear once its codes are chosen
  Ranks ranks{};  ///< that share the calibration set and the linears' rows; tuning takes a rank that is alone
};

}  // namespace strata::pipeline
