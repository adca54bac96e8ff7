// What presets have in common that order whole blocks and give each block a level: a codec for all its linears.
#pragma once
#include <string>
#include <vector>

#include "allocate/orders.h"
#include "pipeline/choose/presets.h"

namespace strata::pipeline {

/// The codec of every level, the one of most bits first.
using LevelCodecs = std::vector<const codec::Codec*>;

/// The request's signal by block; higher is more important. Throws Error when the costs do not hold it.
std::vector<double> block_importance(const Problem& problem);

/// What every group is wanted to have when its block is at a level; lm_head and the embedding as outside_blocks says.
Assignment by_levels(const Problem& problem, const allocate::Levels& levels, const LevelCodecs& codecs);

/// Bytes of every block at every level, with pins and floors counted.
allocate::LevelBytes level_bytes(const Problem& problem, const LevelCodecs& codecs);

}  // namespace strata::pipeline
