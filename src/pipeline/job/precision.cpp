// The two precisions by name.
// A third would be a word here.
#include "pipeline/job/precision.h"

namespace strata::pipeline {

void declare_precision(kernel::Precision& precision, OptionVisitor& visitor) {
  visitor.choice({.name = "--precision",
                  .help = "Activations in matrix products; f32 is exact, bf16 faster but adds its own divergence"},
                 precision, {{"f32", kernel::Precision::f32}, {"bf16", kernel::Precision::bf16}});
}

const char* precision_name(kernel::Precision precision) {
  return precision == kernel::Precision::bf16 ? "bf16" : "f32";
}

}  // namespace strata::pipeline
