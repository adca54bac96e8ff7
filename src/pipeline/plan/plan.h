// A plan: one codec for every fusion group of a model, with exact bytes. The file between `plan` and `quantize`;
// its schema is in docs/files.md.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "codec/codec.h"
#include "core/json.h"
#include "model/model.h"

namespace strata::pipeline {

struct PlannedGroup {
  std::string name;                  ///< the fusion group's
  std::vector<std::string> linears;  ///< module names
  const codec::Codec* codec = nullptr;
  std::uint64_t bytes = 0;  ///< of its linears, side tensors included
  std::uint64_t weights = 0;
  double cost = 0.0;                 ///< estimated, in the unit of `cost_signal`
  std::size_t as_in_source = 0;      ///< how many of its linears the source holds in this codec: they stay as they are
  bool in_block = true;              ///< false for lm_head and the embedding
  bool left_dense = false;           ///< an embedding in bf16 for a runtime that fuses: no plan speaks of it
  std::vector<std::string> choices;  ///< GGUF: the types that could have been chosen, which the shape decides
};

struct Plan {
  std::string fingerprint;  ///< of the model it was made for, or of its headers where no weight decided anything
  std::string target, preset, cost_signal;
  json request;  ///< what was asked for, for people
  std::vector<PlannedGroup> groups;
  json search = {};               ///< what a search did (measure/search.h); a JSON null when there was none
  double smoothing = 0.0;         ///< how channels are scaled before rounding (smoothing.h); 0: they are not
  double lower_bound = 0.0;       ///< no plan within the budget has a smaller estimated cost
  std::uint64_t bytes() const;    ///< of all groups
  std::uint64_t weights() const;  ///< of all groups
  /// Bytes of the linears of the blocks, which --bits counts.
  std::uint64_t block_bytes() const;
  double bits() const;  ///< block_bytes x 8 / weights of the blocks
  double cost() const;  ///< of all groups
  /// Average of the codes' widths over the linears of the blocks, scales not counted: the paper's figure.
  double nominal_bits() const;

  json to_json() const;
  /// The file is hostile: unknown codecs, broken fusion groups and other models' plans are an Error naming `where`.
  static Plan from_json(const json& value, const model::Model& model, const std::string& where);
};

/// Throws Error naming `where` unless the file says that it is a plan of a version known here.
void check_is_plan(const json& value, const std::string& where);

/// A codec for every fusion group (by index into Architecture::groups); `keep` is the original.
using Assignment = std::vector<const codec::Codec*>;

Assignment assignment_of(const Plan& plan);
/// The assignment that leaves every group as it is.
Assignment all_kept(const model::Architecture& architecture);
/// "int4_g64 keep fp8_channel ": the codecs' names in order, a space after each.
std::string names(const Assignment& assignment);

/// Bytes of a group's linears under a codec, side tensors included.
std::uint64_t bytes_of(std::size_t group, const codec::Codec& codec, const model::Architecture& architecture);
/// Which groups a sum is over: --bits counts the linears of the blocks only.
enum class Count { blocks, all };
std::uint64_t bytes_of(const Assignment& assignment, const model::Architecture& architecture, Count count);

/// The codec of every linear (by index into Architecture::linears).
std::vector<const codec::Codec*> codecs_by_linear(const Assignment& assignment,
                                                  const model::Architecture& architecture);
std::vector<const codec::Codec*> codecs_by_linear(const Plan& plan, const model::Architecture& architecture);

/// A plan with every group of the model, named, listed and weighed, whose codecs are those of the assignment. Costs are
/// 0, and the members beside the groups are empty.
Plan plan_of(const model::Model& model, const Assignment& assignment);

}  // namespace strata::pipeline
