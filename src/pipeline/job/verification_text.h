// The text that the result of quantize is measured on: one that the calibration did not use, wherever there is one.
// Figures on the calibration's own text would be better than the model is.
#pragma once
#include <vector>

#include "eval/evaluate.h"
#include "pipeline/job/request.h"

namespace strata::pipeline {

struct VerificationText {
  std::vector<std::vector<engine::Token>> sequences;
  eval::EvaluatedText text;
};

/// At most `count` sequences. Without calibration files the model writes them, with another seed than the
/// calibration's. With files they are the pieces after those that the calibration, the rounding and the scores of
/// `request` used; in equal shares where several texts count separately. Only when the files have no such piece are
/// they the last pieces of the calibration itself, and the text says so. Throws Error as make_calibration.
VerificationText verification_text(engine::Engine& original, const QuantizeRequest& request, std::size_t count);

}  // namespace strata::pipeline
