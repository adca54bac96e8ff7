// What every size would cost: the whole Pareto curve of a model's choices, and the uniform plans beside it.
// Estimated costs; nothing is measured here.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "pipeline/choose/problem.h"

namespace strata::pipeline {

struct TradeOff {
  struct Point {
    std::uint64_t bytes = 0;  ///< of the linears of the blocks, which --bits counts
    double bits = 0.0, cost = 0.0;
  };
  struct Uniform {
    const codec::Codec* codec;
    Point point;
  };
  std::string cost_signal;
  std::vector<Point> curve;      ///< from the smallest plan to the one of least cost; cost never rises
  std::vector<Uniform> uniform;  ///< by bytes; groups that the codec cannot hold stay as they are
};

/// The curve that the preset `best` takes its plans of the blocks from, under the request's codecs and pins. At most
/// `points` of its points, the ends among them. Empty when there are no costs of linears.
TradeOff trade_off(const Problem& problem, std::size_t points = 400);

}  // namespace strata::pipeline
