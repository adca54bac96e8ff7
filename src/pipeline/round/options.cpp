// Declares the options of calibrated rounding.
#include "pipeline/round/options.h"

namespace strata::pipeline {

quantize::GptqOptions RoundingOptions::decided() const {
  constexpr double kCorrectedDamping = 0.1;  // docs/results.md has the figures
  quantize::GptqOptions options = gptq;
  options.damping = gptq.damping.value_or(asymmetric ? kCorrectedDamping : quantize::kDamping);
  return options;
}

void visit(RoundingOptions& options, OptionVisitor& visitor) {
  visit(options.gptq, visitor);
  visitor.flag({.name = "--asymmetric",
                .help = "gptq: correct linears for what the rounding before them did to their inputs; half the time "
                        "without"},
               options.asymmetric);
  visit(options.tune, visitor);
}

void declare_scale_fit(codec::ScaleFit& fit, OptionVisitor& visitor) {
  visitor.choice({.name = "--scale", .help = "How scales are chosen: by least weighted error, or the plain ones"}, fit,
                 {{"search", codec::ScaleFit::search}, {"minmax", codec::ScaleFit::minmax}});
}

}  // namespace strata::pipeline
