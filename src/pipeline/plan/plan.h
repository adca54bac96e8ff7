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
  bool in_block = true;              ///< not lm_head, nor the embedding
  std::vector<std::string> choices;  ///< GGUF: the types that could have been chosen, which the shape decides
};

struct Plan {
  std::string fingerprint;  ///< of the model it was made for
  std::string target, preset, cost_signal;
  json request;  ///< what was asked for, for people
  std::vector<PlannedGroup> groups;
  json search = {};               ///< what a search did (plan_search.h); null without one
  double lower_bound = 0.0;       ///< no plan within the budget has a smaller estimated cost
  std::uint64_t bytes() const;    ///< of all groups
  std::uint64_t weights() const;  ///< of all groups
  /// Of the linears of the blocks, which --bits counts.
  std::uint64_t block_bytes() const;
  double bits() const;
  double cost() const;
  /// Average of the codes' widths over the linears of the blocks, scales not counted: the paper's figure.
  double nominal_bits() const;

  json to_json() const;
  /// The file is hostile: unknown codecs, broken fusion groups and other models' plans are an Error naming `where`.
  static Plan from_json(const json& value, const model::Model& model, const std::string& where);
};

/// The codec of a linear (index into Architecture::linears).
std::vector<const codec::Codec*> codecs_by_linear(const Plan& plan, const model::Architecture& architecture);

/// An empty group list with names, linears and weights filled in; every codec is `keep`.
Plan plan_of_keeps(const model::Model& model);
/// Sets a group's codec and its bytes.
void assign(PlannedGroup& group, const codec::Codec& codec, const model::Architecture& architecture, std::size_t index);

}  // namespace strata::pipeline
