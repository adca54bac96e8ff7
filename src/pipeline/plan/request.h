// What a user asks a plan for, and what planning knows of a model's sensitivity.
// Both are plain data; choose/planner.h makes a plan of them.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "codec/codec.h"
#include "core/json.h"
#include "pipeline/plan/budget.h"
#include "pipeline/plan/smoothing.h"

namespace strata::pipeline {

/// What planning needs to know of a model's sensitivity.
struct Costs {
  std::string signal;                                          ///< what the costs are, for the plan file
  std::vector<std::map<const codec::Codec*, double>> linears;  ///< by index; a codec without a cost is not a choice
  std::map<std::string, std::vector<double>> blocks;           ///< block signals, higher = more important
  std::map<std::string, std::string> rounded_inputs = {};      ///< how codecs read inputs: importance::Scores
  std::optional<double> smoothing = {};                        ///< of the model that they were measured on
};

/// A level of preset lwq: a codec, and which blocks get it. A level without a count or threshold gets the blocks that
/// the levels before it have left.
struct Level {
  std::string codec;
  std::optional<std::size_t> count = {};  ///< number of blocks, taken in order of importance
  std::optional<double> threshold = {};   ///< blocks whose importance (higher = more) is at least this
};

struct PlanRequest {
  std::string method = "rtn";   ///< how the weights will be rounded; kept in the plan file
  std::string preset = "best";  ///< a name of choose/presets.h, "uniform:CODEC" for that one
  Budget budget;
  std::vector<std::string> codecs;                            ///< empty: all that the target allows
  std::vector<std::string> keep;                              ///< regular expressions over module names
  std::vector<std::pair<std::string, std::string>> assign;    ///< regular expression, codec
  std::vector<std::pair<std::string, std::string>> at_least;  ///< regular expression, codec: no fewer bytes than it
  json prior = {};                                  ///< rules (prior.h); a JSON null for those of the literature
  std::string signal = "lim";                       ///< lwq, three-tier: the blocks' order
  std::string high = "int4_g64", low = "int2_g32";  ///< lwq without levels
  std::optional<std::size_t> n_high;                ///< lwq; without it, as many as the budget allows
  std::string levels;                               ///< lwq: levels in the form of parse_levels; empty: none
  std::string embed_codec;                          ///< the embedding's codec; empty: a choice like any other
  std::size_t parts = 1;                            ///< GPUs that vLLM will cut the model over (--tp)
  Smoothing smoothing;                              ///< of the model before it is rounded (--smooth)
  bool fp8_cache = false;         ///< the output has scales for a cache of keys and values in FP8 (--kv)
  std::uint64_t shard_bytes = 0;  ///< largest weight file; 0: one file. The size of the output depends on it a little
};

/// "int8_channel:5,int4_g64:10,int2_g32" or "int8_channel>=-0.1,int4_g64" (for signals whose small values matter:
/// "int8_channel<=0.2,int4_g64"). Throws UsageError.
std::vector<Level> parse_levels(const std::string& text, const std::string& signal);

}  // namespace strata::pipeline
