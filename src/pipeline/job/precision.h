// --precision of activations in matrix products, which every job that only measures has.
// The main job decides it by what it measures.
#pragma once
#include "core/options.h"
#include "kernel/matmul.h"

namespace strata::pipeline {

void declare_precision(kernel::Precision& precision, OptionVisitor& visitor);
/// "f32" or "bf16".
const char* precision_name(kernel::Precision precision);

}  // namespace strata::pipeline
