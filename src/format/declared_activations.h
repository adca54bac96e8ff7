// How compressed-tensors names the ways to round activations ("input_activations" of a config group), both ways.
// Its presets: docs/formats/activations.md, "What is declared".
#pragma once
#include <cstdint>
#include <span>
#include <string_view>

#include "codec/activations.h"

namespace strata::format {

struct DeclaredActivations {
  std::int64_t num_bits;
  std::string_view type, strategy, dynamic;
  std::int64_t group_size;  ///< 0 unless the strategy has groups
  codec::ActivationRounding::Kind kind;
};

/// One row a kind that has a name.
std::span<const DeclaredActivations> declared_activations();

}  // namespace strata::format
