// Choices of groups.
// A codec that a shape forbids is never an error here: something that holds the shape takes its place.
#include "pipeline/choose/choices.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/file.h"

namespace strata::pipeline {

using codec::Codec;

Choices::Choices(const model::Architecture& architecture, const Target& target, const PlanRequest& request,
                 const Costs& costs)
    : a_(architecture),
      target_(target),
      request_(request),
      costs_(costs),
      pins_(resolve_pins(a_, target, request)),
      allowed_(allowed_codecs(target, request.codecs)) {}

std::uint64_t Choices::bytes(std::size_t group, const Codec& codec) const {
  std::uint64_t sum = 0;
  for (const std::size_t l : a_.groups[group].linears)
    sum += codec::stored_bytes(codec, a_.linears[l].rows, a_.linears[l].cols);
  return sum;
}

double Choices::cost(std::size_t group, const Codec& codec) const {
  double sum = 0;
  for (const std::size_t l : a_.groups[group].linears) {
    if (l >= costs_.linears.size()) return 0;
    const auto it = costs_.linears[l].find(&codec);
    if (it == costs_.linears[l].end()) return std::numeric_limits<double>::quiet_NaN();
    sum += it->second;
  }
  return sum;
}

std::string Choices::why_not(std::size_t group, const Codec& codec) const {
  const std::vector<std::size_t>& linears = a_.groups[group].linears;
  if (a_.linears[linears.front()].routed())
    if (std::string why = target_.why_not_experts(codec); !why.empty()) return why;
  for (const std::size_t l : linears)
    if (std::string why = why_not_shape(codec, a_.linears[l].rows, a_.linears[l].cols); !why.empty()) return why;
  return {};
}

std::vector<std::vector<std::size_t>> Choices::bundles() const {
  std::vector<std::vector<std::size_t>> result;
  std::vector<std::size_t> experts;
  for (std::size_t g = 0; g < a_.groups.size(); ++g)
    if (target_.one_expert_codec && a_.linears[a_.groups[g].linears.front()].routed())
      experts.push_back(g);
    else
      result.push_back({g});
  if (!experts.empty()) result.insert(result.begin(), std::move(experts));
  return result;
}

std::vector<Option> Choices::of(std::span<const std::size_t> bundle) const {
  const auto option_of = [&](const Codec& codec, bool costs) {
    Option option{&codec, 0, 0.0};
    for (const std::size_t g : bundle) {
      option.bytes += bytes(g, codec);
      if (costs) option.cost += cost(g, codec);
    }
    return option;
  };
  if (const Codec* pin = pins_.exact[bundle.front()]) return {option_of(*pin, false)};
  std::uint64_t least = 0;
  for (const std::size_t g : bundle)
    if (const Codec* floor = pins_.floor[g]) least += bytes(g, *floor);
  std::vector<Option> options;
  for (const Codec* codec : allowed_.codecs) {
    const Option option = option_of(*codec, true);
    if (option.bytes >= least && std::isfinite(option.cost) &&
        std::ranges::all_of(bundle, [&](std::size_t g) { return fits(g, *codec); }))
      options.push_back(option);
  }
  if (options.empty()) options.push_back(option_of(codec::by_name("keep"), false));
  return options;
}

const Codec& Choices::given(std::size_t group, const Codec& wanted) const {
  const Codec* codec = pins_.exact[group] != nullptr ? pins_.exact[group] : &wanted;
  if (const Codec* floor = pins_.floor[group])
    if (bytes(group, *floor) > bytes(group, *codec)) codec = floor;
  if (!codec->has_codes() || fits(group, *codec)) return *codec;
  for (const std::size_t l : a_.groups[group].linears)
    if (const model::Linear& linear = a_.linears[l]; !why_not_shape(*codec, linear.rows, linear.cols).empty())
      if (const Codec& smaller = smaller_blocks(*codec, linear.rows, linear.cols); fits(group, smaller)) return smaller;
  return codec::by_name("keep");
}

const Codec& Choices::usable(const std::string& name) const {
  const Codec& codec = codec::by_name(name);
  if (const std::string why = target_.why_not(codec); !why.empty())
    fail("preset {}: {} cannot be used for {}: {} (targets that can: {})", request_.preset, name, target_.name, why,
         targets_that_can(codec));
  return codec;
}

bool Choices::holds(std::size_t group, const Codec& codec) const {
  return std::ranges::all_of(a_.groups[group].linears, [&](std::size_t l) {
    return why_not_shape(codec, a_.linears[l].rows, a_.linears[l].cols).empty();
  });
}

void Choices::refuse(Budget limit, std::uint64_t least) const {
  const bool blocks_only = limit.blocks != limit.all;
  const std::uint64_t budget = limit.blocks;
  double weights = 0;
  for (const model::Linear& linear : a_.linears)
    if (!blocks_only || linear.block != model::kNoBlock) weights += static_cast<double>(linear.rows * linear.cols);
  std::string others;
  for (const Target& other : targets()) {
    if (other.name == target_.name || !request_.codecs.empty()) continue;
    std::uint64_t sum = 0;
    for (std::size_t g = 0; g < a_.groups.size(); ++g) {
      std::uint64_t smallest = bytes(g, codec::by_name("keep"));
      for (const Codec& codec : codec::all())
        if (why_not_group(other, codec, a_, a_.groups[g]).empty() && holds(g, codec))
          smallest = std::min(smallest, bytes(g, codec));
      if (!blocks_only || a_.groups[g].block != model::kNoBlock) sum += smallest;
    }
    if (sum <= budget)
      others += fmt::format("{}--for {} (down to {:.3f} bits)", others.empty() ? "; possible with " : ", ", other.name,
                            8.0 * static_cast<double>(sum) / weights);
  }
  fail("the budget of {:.3f} bits ({}) for the linears cannot be met for {}: the smallest plan has {:.3f} bits ({}){}",
       8.0 * static_cast<double>(budget) / weights, human_bytes(budget), target_.name,
       8.0 * static_cast<double>(least) / weights, human_bytes(least), others);
}

}  // namespace strata::pipeline
