// A planning problem: a model, a target, a request and costs, with everything that follows from them for each group:
// pins and floors, the codecs it may have, their bytes and costs. It is one value that travels whole.
#pragma once
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "allocate/allocate.h"
#include "model/model.h"
#include "pipeline/choose/pins.h"
#include "pipeline/plan/plan.h"
#include "pipeline/plan/request.h"
#include "pipeline/plan/target.h"

namespace strata::pipeline {

inline constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

/// Bytes that the linears may take: those of the blocks, and all (with an untied lm_head, and the embedding of a GGUF
/// file). Where both are equal, only the sum over all linears counts. Both are kNoLimit without a budget. With two
/// memories (two_memories.h) these are on the GPU, and `main` is for those in main memory; it is kNoLimit otherwise.
struct ByteLimit {
  std::uint64_t blocks = kNoLimit, all = kNoLimit, main = kNoLimit;
  bool given() const { return blocks != kNoLimit; }
  Count counts() const { return blocks == all ? Count::all : Count::blocks; }
};

/// A codec that a group may have.
struct Choice {
  const codec::Codec* codec;
  std::uint64_t bytes;  ///< of the group's linears, side tensors included
  double cost;          ///< estimated; 0 where it is not known
};

/// Groups that must have one codec: each group alone, but all experts together for a target that loads one scheme for
/// all experts of a model.
struct Bundle {
  std::vector<std::size_t> groups;
  std::vector<Choice> choices;  ///< bytes and costs are sums over the groups; never empty
  bool in_block;                ///< false for lm_head and the embedding
  bool decided;                 ///< the user has pinned a group, or set a floor for it
};

class Problem {
 public:
  /// Throws Error for pins that cannot be (pins.h) and for codecs that the target has no kernel for; UsageError for an
  /// unknown preset. The model and the target must outlive this and its copies. Empty costs make every choice cost 0.
  Problem(const model::Model& model, const Target& target, PlanRequest request, Costs costs);

  /// Copies with other costs, with another budget, and without what the user has decided about groups (--keep,
  /// --assign,
  /// --at-least, --embed-codec and rules of a file).
  Problem with(Costs costs) const;
  Problem with(Budget budget) const;
  Problem without_decisions() const;

  const model::Model& model() const { return *model_; }
  const model::Architecture& architecture() const { return model_->architecture(); }
  const Target& target() const { return *target_; }
  const PlanRequest& request() const { return request_; }
  const Costs& costs() const { return *costs_; }
  const AllowedCodecs& allowed() const { return allowed_; }

  /// All bundles, experts that share a codec first, then in the order of the groups.
  std::span<const Bundle> bundles() const { return bundles_; }
  /// What a group alone may have, in the order of the codec table: its pin, or else all codecs that are allowed, fit,
  /// have a cost and are no smaller than the floor, or else `keep`.
  std::vector<Choice> choices(std::size_t group) const { return choices_of({&group, 1}); }

  /// Whether the budget counts the group. --bits and --max-kl count no embedding of runtimes that fuse, so that it
  /// stays in bf16 where the user has not decided otherwise.
  bool counts(std::size_t group) const;

  /// The codec that the user has decided on, or nullptr.
  const codec::Codec* pinned(std::size_t group) const { return pins_.exact[group]; }
  std::uint64_t bytes(std::size_t group, const codec::Codec& codec) const {
    return bytes_of(group, codec, architecture());
  }
  /// Sum of the costs of the group's linears; 0 without any costs; NaN when a linear has none for the codec.
  double cost(std::size_t group, const codec::Codec& codec) const;
  /// Why the group cannot have a codec that the target has a kernel for: a linear's shape, or that the runtime has no
  /// kernel for it in experts. Empty when it can.
  std::string why_not(std::size_t group, const codec::Codec& codec) const;
  bool fits(std::size_t group, const codec::Codec& codec) const { return why_not(group, codec).empty(); }

  /// What a group gets when a preset wants `codec`: the pin, the floor when that is larger, or `keep` (GGUF: a type of
  /// smaller blocks) where the shape does not fit.
  const codec::Codec& given(std::size_t group, const codec::Codec& wanted) const;
  Assignment given(const Assignment& wanted) const;
  /// A codec that a preset names; throws Error when the target has no kernel for it.
  const codec::Codec& usable(const std::string& name) const;

 private:
  std::vector<Choice> choices_of(std::span<const std::size_t> groups) const;
  void make_bundles();

  const model::Model* model_;
  const Target* target_;
  PlanRequest request_;
  std::shared_ptr<const Costs> costs_;
  Pins pins_;
  AllowedCodecs allowed_;
  std::vector<Bundle> bundles_;
};

allocate::Group knapsack(std::span<const Choice> choices);
/// A knapsack of one group for each list of choices.
std::vector<allocate::Group> knapsack(std::span<const std::vector<Choice>> choices);

/// What a byte saves in cost where a budget of `bytes` ends: the slope of the step of the curve that it would pay for
/// next. 0 where the budget pays for the whole curve. `bytes` is at least the curve's least.
double price(const allocate::Curve& curve, std::uint64_t bytes);

}  // namespace strata::pipeline
