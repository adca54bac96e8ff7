// Which activations a model runs with: what its files declare, as far as the kernels of a target do it.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "codec/rounded_inputs.h"
#include "model/model.h"

namespace strata::pipeline {

struct Target;

/// A set of ways to round what linears read.
struct Roundings {
  std::uint32_t bits = 0;  ///< one for each ActivationRounding::Kind
  constexpr Roundings() = default;
  constexpr Roundings(std::initializer_list<codec::ActivationRounding::Kind> kinds) {
    for (const auto kind : kinds) bits |= 1u << static_cast<unsigned>(kind);
  }
  constexpr bool hold(codec::ActivationRounding::Kind kind) const {
    return (bits >> static_cast<unsigned>(kind) & 1u) != 0;
  }
  friend constexpr Roundings operator|(Roundings a, Roundings b) {
    a.bits |= b.bits;
    return a;
  }
};

/// How linears of every codec read their inputs when a target runs an output: as its files declare it, where the
/// target's kernels do it. Plans are priced and measured with this.
codec::RoundedInputs rounded_inputs(const Target& target);

/// What linears and attention read when a target runs a model.
struct RunInputs {
  std::vector<codec::ActivationRounding> by_linear;  ///< by index into Architecture::linears; `none` where not rounded
  std::vector<model::CacheScales> cache;             ///< by block, or empty where keys and values are kept as they are
  bool any = false;                                  ///< something is rounded
  /// What a reader of the figures must know: declared roundings that the target does not do, and those that are not
  /// known here. Empty or sentences.
  std::vector<std::string> remarks;
};
RunInputs run_inputs(const Target& target, const model::Model& model);

}  // namespace strata::pipeline
