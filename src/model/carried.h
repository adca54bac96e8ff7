// The parts of a model that the engine does not run and that are carried from source to output as they are: vision
// towers, projectors, other heads, blocks that predict several tokens at once.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "model/model.h"

namespace strata::model {

/// A part: what its tensors' names share, up to where they leave the text model's.
struct CarriedPart {
  std::string name;     ///< "model.visual", "model.layers.46", "score"
  std::string pattern;  ///< "re:.*\bvisual\b": matches the part's modules under whatever prefix a runtime has
  std::size_t tensors = 0;
  std::uint64_t bytes = 0;
};

/// The parts of Model::carried(), in the order of their names. Parts that differ in their prefix alone are one.
/// is_left_out: of these tensors alone; all without it.
std::vector<CarriedPart> carried_parts(const Model& model,
                                       const std::function<bool(const TensorInfo&)>& is_left_out = {});

/// Whether some of these parts predict several tokens at once: blocks behind the last, and what is named mtp.
bool carries_blocks_ahead(const Model& model);

/// How many such blocks config.json announces, for the model or in the part that is about its text model.
std::uint64_t announced_blocks_ahead(const json& config);
/// Makes config.json announce none: a runtime looks for the tensors of those that it finds announced.
void announce_no_blocks_ahead(json& config);

/// "model.visual (12 tensors, 3.0 MiB), score (1 tensor, 8 bytes)", of more than 8 parts the first; empty without
/// parts.
std::string describe_carried(const std::vector<CarriedPart>& parts);

}  // namespace strata::model
