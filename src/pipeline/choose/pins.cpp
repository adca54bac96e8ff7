// Resolves what the user has decided to groups.
// Nothing is silent: what matches nothing or contradicts is an error. Only rules of a prior may match nothing, since
// one file serves models of every kind.
#include "pipeline/choose/pins.h"

#include <regex>

#include "core/expression.h"
#include "pipeline/choose/presets.h"
#include "pipeline/choose/prior_costs.h"
#include "pipeline/plan/shapes.h"

namespace strata::pipeline {

using codec::Codec;

namespace {

class Resolver {
 public:
  Resolver(const model::Architecture& a, const Target& target, std::size_t parts)
      : a_(a), target_(target), parts_(parts) {
    pins.exact.assign(a.groups.size(), nullptr);
    pins.floor.assign(a.groups.size(), nullptr);
  }

  void exact(const std::string& expression, const std::string& name, const std::string& option) {
    const Codec& codec = usable(expression, name, option);
    for (const std::size_t l : matches(expression, option)) pin(codec, a_.linears[l], expression, option);
  }

  void embedding(const std::string& name, const std::string& option) {
    pin(usable(name, name, option), a_.linears[a_.embedding()], name, option);
  }

  void floor(const std::string& expression, const std::string& name, const std::string& option) {
    const Codec& codec = usable(expression, name, option);
    for (const std::size_t l : matches(expression, option)) {
      const model::Linear& linear = a_.linears[l];
      hold(codec, linear, option);
      if (const Codec* exact = pins.exact[linear.group];
          exact != nullptr && bytes(linear, *exact) < bytes(linear, codec))
        fail("{} '{}': {} is to be {}, which has fewer bytes than {}", option, expression, linear.module, exact->name,
             codec.name);
      const Codec*& slot = pins.floor[linear.group];
      if (slot == nullptr || bytes(linear, *slot) < bytes(linear, codec)) slot = &codec;
    }
  }

  Pins pins;

 private:
  void pin(const Codec& codec, const model::Linear& linear, const std::string& given, const std::string& option) {
    hold(codec, linear, option);
    const Codec*& slot = pins.exact[linear.group];
    if (slot != nullptr && slot != &codec)
      fail("{} '{}': {} is already to be {}; its group {} can have one codec only", option, given, linear.module,
           slot->name, a_.groups[linear.group].name);
    slot = &codec;
  }
  static std::uint64_t bytes(const model::Linear& linear, const Codec& codec) {
    return codec::stored_bytes(codec, linear.rows, linear.cols);
  }
  const Codec& usable(const std::string& expression, const std::string& name, const std::string& option) const {
    const Codec& codec = codec::by_name(name);
    if (const std::string why = target_.why_not(codec); !why.empty())
      fail("{} '{}': {} cannot be used for {}: {} (targets that can: {})", option, expression, codec.name, target_.name,
           why, targets_that_can(codec));
    return codec;
  }
  void hold(const Codec& codec, const model::Linear& linear, const std::string& option) const {
    if (linear.routed())
      if (const std::string why = why_not_experts(target_, codec, a_.experts); !why.empty())
        fail("{}: {} cannot be {} for {}: {}", option, a_.groups[linear.group].name, codec.name, target_.name, why);
    if (const std::string why = why_not_shape(codec, linear.rows, linear.cols); !why.empty())
      fail("{}: {} cannot hold {}: {}", option, codec.name, linear.module, why);
    const model::FusionGroup& group = a_.groups[linear.group];
    if (const std::string why = why_not_fused(target_, codec, a_, group, parts_); !why.empty())
      fail("{}: {} cannot be {} for {}: {}", option, group.name, codec.name, target_.name, why);
  }
  std::vector<std::size_t> matches(const std::string& expression, const std::string& option) const {
    const std::regex regex = compile_regex(expression, option);
    std::vector<std::size_t> result;
    for (std::size_t l = 0; l < a_.linears.size(); ++l)
      if (std::regex_search(a_.linears[l].module, regex)) result.push_back(l);
    if (result.empty())
      fail("{} '{}': matches no linear; they are named like {}", option, expression, a_.linears.front().module);
    return result;
  }

  const model::Architecture& a_;
  const Target& target_;
  std::size_t parts_;
};

/// A pin of some experts holds for all.
void pin_all_experts(const model::Architecture& a, const Target& target, std::vector<const Codec*>& pinned) {
  const Codec* codec = nullptr;
  for (const model::Linear& linear : a.linears) {
    const Codec* slot = pinned[linear.group];
    if (!linear.routed() || slot == nullptr) continue;
    if (codec != nullptr && slot != codec)
      fail("experts are to be {} and {}, but {} loads one codec for all experts of a model", codec->name, slot->name,
           target.name);
    codec = slot;
  }
  for (const model::Linear& linear : a.linears)
    if (linear.routed() && codec != nullptr) pinned[linear.group] = codec;
}

}  // namespace

Pins resolve_pins(const model::Architecture& a, const Target& target, const PlanRequest& request) {
  Resolver resolver(a, target, request.parts);
  for (const std::string& expression : request.keep) resolver.exact(expression, "keep", "--keep");
  for (const auto& [expression, name] : request.assign) resolver.exact(expression, name, "--assign");
  if (!request.embed_codec.empty()) {
    if (a.embedding() == model::kNoLinear)
      fail_usage("--embed-codec {}: {} keeps the embedding of {} models in bf16", request.embed_codec, target.name,
                 a.model_type);
    resolver.embedding(request.embed_codec, "--embed-codec");
  }
  if (target.one_expert_codec) pin_all_experts(a, target, resolver.pins.exact);
  for (const auto& [expression, name] : request.at_least) resolver.floor(expression, name, "--at-least");
  Pins pins = std::move(resolver.pins);
  if (preset_named(request.preset).follows_rules || !request.prior.is_null()) {
    for (const std::size_t g : prior_of(request).kept(a))
      if (pins.exact[g] == nullptr) pins.exact[g] = &codec::by_name("keep");
  }
  for (std::size_t g = 0; g < a.groups.size(); ++g)
    if (pins.exact[g] != nullptr) pins.floor[g] = nullptr;
  return pins;
}

}  // namespace strata::pipeline
