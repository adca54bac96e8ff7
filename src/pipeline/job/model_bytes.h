// Sizes and clocks that the forecasts of several methods are made of.
#pragma once
#include <chrono>
#include <cstdint>
#include <vector>

#include "core/seconds.h"
#include "model/model.h"

namespace strata::pipeline {

/// Bytes of every linear's weights as they lie in the file, mapped; by index into Architecture::linears.
std::vector<std::uint64_t> weight_bytes(const model::Model& model);

/// Bytes of a linear while it is dequantized, where that has to be done before it can be rounded; else 0.
std::uint64_t dequantized_bytes(const model::Model& model, const model::Linear& linear);

template <class Work>
double seconds_of(const Work& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return seconds_since(begin);
}

}  // namespace strata::pipeline
