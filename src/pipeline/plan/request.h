// What a user asks a plan for, and what planning knows of a model's sensitivity.
// Both are plain data; planner.h makes a plan of them.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "codec/codec.h"
#include "core/json.h"
#include "model/architecture.h"

namespace strata::pipeline {

/// What planning needs to know of a model's sensitivity.
struct Costs {
  std::string signal;                                          ///< what the costs are, for the plan file
  std::vector<std::map<const codec::Codec*, double>> linears;  ///< by index; a codec without a cost is not a choice
  std::map<std::string, std::vector<double>> blocks;           ///< block signals, higher = more important
};

/// A level of preset lwq: a codec, and which blocks get it. Without a count or threshold: all that are left.
struct Level {
  std::string codec;
  std::optional<std::size_t> count = {};  ///< the next so many blocks in order of importance
  std::optional<double> threshold = {};   ///< blocks whose importance (higher = more) is at least this
};

/// Memory that a runtime may take with the model loaded (memory.h has the formula).
struct MemoryLimit {
  std::uint64_t bytes = 0;
  std::size_t context = 4096, batch = 1;
};

enum class Method {
  rtn,   ///< round to nearest
  gptq,  ///< error feedback over the inputs' second moments, block by block (docs/methods.md)
};

/// As users and files spell them; the first is what a file without a method means.
inline const std::vector<std::string> kMethodNames = {"rtn", "gptq"};
const std::string& name_of(Method method);
/// Throws UsageError for any other name.
Method method_named(const std::string& name);

struct PlanRequest {
  Method method = Method::rtn;  ///< how the weights will be rounded, which changes what codecs cost
  std::string preset = "best";  ///< best, uniform:CODEC, lwq, three-tier, prior
  std::optional<double> bits;
  std::optional<std::uint64_t> size_bytes;
  std::optional<double> max_kl;     ///< instead of a budget: the smallest plan under it (max_kl.h)
  std::optional<MemoryLimit> fit;   ///< instead of a size: what is left beside KV cache and runtime
  std::vector<std::string> codecs;  ///< empty: all that the target allows
  std::vector<std::string> keep;    ///< regular expressions over module names
  std::vector<std::pair<std::string, std::string>> assign;    ///< regular expression, codec
  std::vector<std::pair<std::string, std::string>> at_least;  ///< regular expression, codec: no fewer bytes than it
  json prior = {};                                            ///< rules (prior.h); null: those of the literature
  std::string signal = "lim";                                 ///< lwq, three-tier: the blocks' order
  std::string high = "int4_g64", low = "int2_g32";            ///< lwq without levels
  std::optional<std::size_t> n_high;                          ///< lwq; without it, as many as the budget allows
  std::vector<Level> levels;                                  ///< lwq; the last without a count or threshold
  std::string like;                                           ///< GGUF: the budget is the bytes of this stock mix
  std::string embed_codec;        ///< GGUF: of the embedding; empty: a choice like any other
  std::uint64_t shard_bytes = 0;  ///< the size of the output depends on it a little

  json to_json() const;
};

/// True when the request's preset needs costs per linear and codec, or block signals.
bool needs_linear_costs(const PlanRequest& request);
bool needs_block_signals(const PlanRequest& request);

/// "int8_channel:5,int4_g64:10,int2_g32" or "int8_channel>=-0.1,int4_g64" (for signals whose small values matter:
/// "int8_channel<=0.2,int4_g64"). Throws UsageError.
std::vector<Level> parse_levels(const std::string& text, const std::string& signal);

}  // namespace strata::pipeline
