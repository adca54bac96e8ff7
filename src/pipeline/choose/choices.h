// What every group of a model may become for a target and a request: pins, floors, shapes, kernels.
// The presets choose among these; the search over measured plans and `plan --explain` look at them too.
#pragma once
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "model/architecture.h"
#include "pipeline/choose/pins.h"
#include "pipeline/plan/request.h"
#include "pipeline/plan/target.h"

namespace strata::pipeline {

/// Bytes the linears may take: of the blocks and of everything (with an untied lm_head, and the embedding of a GGUF
/// file). Where both are the same, only the sum counts; kNoLimit when there is none.
struct Budget {
  std::uint64_t blocks, all;
};
inline constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

/// A codec that a group may have.
struct Option {
  const codec::Codec* codec;
  std::uint64_t bytes;  ///< of the group's linears, side tensors included
  double cost;          ///< estimated; 0 where it is not known
};

class Choices {
 public:
  /// Throws Error for pins that cannot be (pins.h) and codecs that the target has no kernel for. The arguments must
  /// outlive this.
  Choices(const model::Architecture& architecture, const Target& target, const PlanRequest& request,
          const Costs& costs);

  const model::Architecture& architecture() const { return a_; }
  const AllowedCodecs& allowed() const { return allowed_; }
  /// The codec that the user has decided on, or nullptr.
  const codec::Codec* pinned(std::size_t group) const { return pins_.exact[group]; }

  std::uint64_t bytes(std::size_t group, const codec::Codec& codec) const;
  /// Sum of the linears' costs; 0 without any costs; NaN when a linear has none for the codec.
  double cost(std::size_t group, const codec::Codec& codec) const;
  /// Why the group cannot have a codec that the target has a kernel for: a linear's shape, or that the runtime has none
  /// for experts. Empty when it can.
  std::string why_not(std::size_t group, const codec::Codec& codec) const;
  bool fits(std::size_t group, const codec::Codec& codec) const { return why_not(group, codec).empty(); }
  /// Groups that must have one codec: each alone, but all experts together for a target that loads one scheme for them.
  std::vector<std::vector<std::size_t>> bundles() const;
  /// What preset `best` may choose from, in the order of the codec table; never empty: a pin, or else all that are
  /// allowed, fit, have a cost and are no smaller than the floor, or else `keep`.
  std::vector<Option> of(std::size_t group) const { return of(std::span(&group, 1)); }
  /// The same of groups that must have one codec: bytes and costs of all.
  std::vector<Option> of(std::span<const std::size_t> bundle) const;
  /// What a group gets when a preset wants `codec`: the pin, the floor when that is larger, or `keep` (GGUF: a type of
  /// smaller blocks) where the shape does not fit.
  const codec::Codec& given(std::size_t group, const codec::Codec& wanted) const;
  /// A codec that a preset names; throws Error when the target has no kernel for it.
  const codec::Codec& usable(const std::string& name) const;

  /// Throws the Error of a budget that is below the smallest plan, of `least` bytes.
  [[noreturn]] void refuse(Budget limit, std::uint64_t least) const;

 private:
  bool holds(std::size_t group, const codec::Codec& codec) const;  ///< by its linears' shapes

  const model::Architecture& a_;
  const Target& target_;
  const PlanRequest& request_;
  const Costs& costs_;
  Pins pins_;
  AllowedCodecs allowed_;
};

}  // namespace strata::pipeline
