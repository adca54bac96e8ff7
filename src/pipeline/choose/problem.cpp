// The choices of every group. A codec that a shape forbids is never an error here: a codec that holds the shape takes
// its place.
#include "pipeline/choose/problem.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "pipeline/plan/shapes.h"

namespace strata::pipeline {

using codec::Codec;

Problem::Problem(const model::Model& model, const Target& target, PlanRequest request, Costs costs)
    : model_(&model),
      target_(&target),
      request_(std::move(request)),
      costs_(std::make_shared<const Costs>(std::move(costs))),
      pins_(resolve_pins(model.architecture(), target, request_)),
      allowed_(allowed_codecs(target, request_.codecs)) {
  check_parts(target, model.architecture(), request_.parts);
  make_bundles();
}

Problem Problem::with(Costs costs) const {
  Problem result = *this;
  result.costs_ = std::make_shared<const Costs>(std::move(costs));
  result.make_bundles();
  return result;
}

Problem Problem::with(Budget budget) const {
  Problem result = *this;
  result.request_.budget = std::move(budget);
  result.make_bundles();
  return result;
}

Problem Problem::without_decisions() const {
  PlanRequest free = request_;
  free.keep.clear();
  free.assign.clear();
  free.at_least.clear();
  free.embed_codec.clear();
  free.prior = {};
  return {*model_, *target_, std::move(free), *costs_};
}

void Problem::make_bundles() {
  const model::Architecture& a = architecture();
  std::vector<std::vector<std::size_t>> lists;
  std::vector<std::size_t> experts;
  for (std::size_t g = 0; g < a.groups.size(); ++g)
    if (target_->one_expert_codec && a.linears[a.groups[g].linears.front()].routed())
      experts.push_back(g);
    else
      lists.push_back({g});
  if (!experts.empty()) lists.insert(lists.begin(), std::move(experts));
  bundles_.clear();
  for (std::vector<std::size_t>& groups : lists) {
    const bool decided = std::ranges::any_of(
        groups, [&](std::size_t g) { return pins_.exact[g] != nullptr || pins_.floor[g] != nullptr; });
    const bool in_block = a.groups[groups.front()].block != model::kNoBlock;
    std::vector<Choice> choices = choices_of(groups);
    bundles_.push_back({std::move(groups), std::move(choices), in_block, decided});
  }
}

bool Problem::counts(std::size_t group) const {
  const model::Linear& first = architecture().linears[architecture().groups[group].linears.front()];
  if (first.role != model::Role::embed || !target_->fuses()) return true;
  return std::holds_alternative<SizeBudget>(request_.budget) || std::holds_alternative<MemoryBudget>(request_.budget);
}

double Problem::cost(std::size_t group, const Codec& codec) const {
  double sum = 0;
  for (const std::size_t l : architecture().groups[group].linears) {
    if (l >= costs_->linears.size()) return 0;
    const auto it = costs_->linears[l].find(&codec);
    if (it == costs_->linears[l].end()) return std::numeric_limits<double>::quiet_NaN();
    sum += it->second;
  }
  return sum;
}

std::string Problem::why_not(std::size_t group, const Codec& codec) const {
  const model::Architecture& a = architecture();
  const std::vector<std::size_t>& linears = a.groups[group].linears;
  if (a.linears[linears.front()].routed())
    if (std::string why = target_->why_not_experts(codec); !why.empty()) return why;
  for (const std::size_t l : linears)
    if (std::string why = why_not_shape(codec, a.linears[l].rows, a.linears[l].cols); !why.empty()) return why;
  return why_not_fused(*target_, codec, a, a.groups[group], request_.parts);
}

std::vector<Choice> Problem::choices_of(std::span<const std::size_t> groups) const {
  const auto sum_of = [&](const Codec& codec, bool costs) {
    Choice sum{&codec, 0, 0.0};
    for (const std::size_t g : groups) {
      sum.bytes += bytes(g, codec);
      if (costs) sum.cost += cost(g, codec);
    }
    return sum;
  };
  if (const Codec* pin = pins_.exact[groups.front()]) return {sum_of(*pin, false)};
  std::uint64_t least = 0;
  for (const std::size_t g : groups)
    if (const Codec* floor = pins_.floor[g]) least += bytes(g, *floor);
  const bool kept = least == 0 && !counts(groups.front());
  std::vector<Choice> choices;
  for (const Codec* codec : allowed_.codecs) {
    if (kept && codec->has_codes()) continue;
    const Choice choice = sum_of(*codec, true);
    if (choice.bytes >= least && std::isfinite(choice.cost) &&
        std::ranges::all_of(groups, [&](std::size_t g) { return fits(g, *codec); }))
      choices.push_back(choice);
  }
  if (choices.empty()) choices.push_back(sum_of(codec::by_name("keep"), false));
  return choices;
}

const Codec& Problem::given(std::size_t group, const Codec& wanted) const {
  const Codec* codec = pins_.exact[group] != nullptr ? pins_.exact[group] : &wanted;
  if (const Codec* floor = pins_.floor[group])
    if (bytes(group, *floor) > bytes(group, *codec)) codec = floor;
  if (!codec->has_codes() || fits(group, *codec)) return *codec;
  for (const std::size_t l : architecture().groups[group].linears)
    if (const model::Linear& linear = architecture().linears[l];
        !why_not_shape(*codec, linear.rows, linear.cols).empty())
      if (const Codec& smaller = smaller_blocks(*codec, linear.rows, linear.cols); fits(group, smaller)) return smaller;
  return codec::by_name("keep");
}

Assignment Problem::given(const Assignment& wanted) const {
  Assignment result;
  for (std::size_t g = 0; g < wanted.size(); ++g) result.push_back(&given(g, *wanted[g]));
  return result;
}

const Codec& Problem::usable(const std::string& name) const {
  const Codec& codec = codec::by_name(name);
  if (const std::string why = target_->why_not(codec); !why.empty())
    fail("preset {}: {} cannot be used for {}: {} (targets that can: {})", request_.preset, name, target_->name, why,
         targets_that_can(codec));
  return codec;
}

allocate::Group knapsack(std::span<const Choice> choices) {
  allocate::Group group;
  for (const Choice& choice : choices) group.push_back({choice.bytes, choice.cost});
  return group;
}

std::vector<allocate::Group> knapsack(std::span<const std::vector<Choice>> choices) {
  std::vector<allocate::Group> groups;
  for (const std::vector<Choice>& of_group : choices) groups.push_back(knapsack(of_group));
  return groups;
}

double price(const allocate::Curve& curve, std::uint64_t bytes) {
  const std::vector<allocate::Curve::Point>& points = curve.points;
  if (points.empty() || points.back().bytes <= bytes) return 0.0;
  std::size_t next = 1;
  while (points[next].bytes <= bytes) ++next;
  return (points[next - 1].cost - points[next].cost) / static_cast<double>(points[next].bytes - points[next - 1].bytes);
}

}  // namespace strata::pipeline
