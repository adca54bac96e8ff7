// The Error of a budget that a plan cannot stay within.
// It speaks in the words and the unit of the option that was given, and names the smallest value that works.
#pragma once
#include "pipeline/choose/problem.h"

namespace strata::pipeline {

/// `least` is the smallest plan that the preset can make, and takes more than the limit. The sentence names the budget
/// as it was given, what the smallest plan takes, and the smallest budget that works; then what stands in the way: what
/// the user has decided about groups, when the budget could be met without that, or else the targets that could.
[[noreturn]] void refuse(const Problem& problem, ByteLimit limit, const Assignment& least);

}  // namespace strata::pipeline
