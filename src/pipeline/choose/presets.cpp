// Presets. What a group gets in the end is Choices::given, whatever a preset wants for it.
#include "pipeline/choose/presets.h"

#include <algorithm>
#include <cmath>
#include <span>

#include "allocate/allocate.h"
#include "pipeline/choose/prior_costs.h"

namespace strata::pipeline {

using codec::Codec;

void check_experts(const Plan& plan, const model::Architecture& a, const Target& target, const std::string& where) {
  if (std::ranges::none_of(plan.groups, [](const PlannedGroup& g) { return g.codec->has_codes(); })) return;
  const PlannedGroup* first = nullptr;
  for (std::size_t g = 0; g < a.groups.size(); ++g) {
    if (!a.linears[a.groups[g].linears.front()].routed()) continue;
    const PlannedGroup& group = plan.groups[g];
    if (const std::string why = target.why_not_experts(*group.codec); !why.empty())
      fail("{}: {} cannot be {} for {}: {}", where, group.name, group.codec->name, target.name, why);
    if (first == nullptr) first = &group;
    if (target.one_expert_codec && group.codec != first->codec)
      fail(
          "{}: {} is {} and {} is {}, but {} loads one codec for all experts of a model; give them one with "
          "--assign '\\.experts\\.=CODEC', or use --for vllm",
          where, first->name, first->codec->name, group.name, group.codec->name, target.name);
  }
}

Presets::Presets(const model::Model& model, const Target& target, const PlanRequest& request, const Costs& costs)
    : model_(model),
      a_(model.architecture()),
      target_(target),
      request_(request),
      prior_costs_(request.preset == "prior" ? prior_costs(prior_of(request), a_) : Costs{}),
      costs_(request.preset == "prior" ? prior_costs_ : costs),
      choices_(a_, target, request, costs_) {}

Plan Presets::make(Budget budget) {
  notes_.clear();
  replaced_.clear();
  Plan plan = by_preset(budget);
  check_experts(plan, a_, target_, fmt::format("preset {}", request_.preset));
  if (target_.one_expert_codec && a_.experts.count != 0)
    notes_.push_back(fmt::format("all experts have one codec, since {} loads one for the whole model", target_.name));
  for (const auto& [text, groups] : replaced_) notes_.push_back(fmt::format("{} groups are {}", groups, text));
  const bool single = target_.fusion() == model::Fusion::single;
  for (std::size_t g = 0; single && g < a_.groups.size(); ++g)
    for (const Codec* codec : choices_.allowed().codecs)
      if (choices_.fits(g, *codec)) plan.groups[g].choices.push_back(codec->name);
  return plan;
}

Plan Presets::by_preset(Budget budget) {
  if (request_.preset == "best" || request_.preset == "prior") return best(budget);
  if (request_.preset == "lwq") return request_.levels.empty() ? lwq(budget) : lwq_levels(budget);
  if (request_.preset == "three-tier") return three_tier(budget);
  if (request_.preset.starts_with("uniform:")) {
    Plan plan = uniform(choices_.usable(request_.preset.substr(8)));
    check(plan, budget);
    return plan;
  }
  fail_usage("--preset {}: unknown; known are best, uniform:CODEC, lwq, three-tier, prior", request_.preset);
}

void Presets::check(const Plan& plan, Budget budget) const {
  const std::uint64_t counted = budget.blocks == budget.all ? plan.bytes() : plan.block_bytes();
  if (budget.blocks != kNoLimit && counted > budget.blocks) choices_.refuse(budget, counted);
}

const Codec& Presets::outside_blocks() const {
  return target_.fusion() == model::Fusion::single ? choices_.usable("q8_0") : codec::by_name("keep");
}

void Presets::give(Plan& plan, std::size_t group, const Codec& wanted) {
  const Codec* asked = choices_.pinned(group) != nullptr ? choices_.pinned(group) : &wanted;
  const Codec& codec = choices_.given(group, wanted);
  if (const std::string why = choices_.why_not(group, *asked); !why.empty() && asked->has_codes()) {
    if (codec.has_codes())
      ++replaced_[fmt::format("{} instead of {}: {}", codec.name, asked->name, why)];
    else
      notes_.push_back(fmt::format("{} stays in bf16: {}: {}", a_.groups[group].name, asked->name, why));
  }
  assign(plan.groups[group], codec, a_, group);
  const double estimated = choices_.cost(group, codec);
  plan.groups[group].cost = std::isfinite(estimated) ? estimated : 0.0;
}

std::vector<double> Presets::importance() const {
  const auto it = costs_.blocks.find(request_.signal);
  if (it == costs_.blocks.end())
    fail("the scores hold no signal '{}' per block; score with --signals {}", request_.signal, request_.signal);
  return it->second;
}

Plan Presets::uniform(const Codec& codec) {
  Plan plan = plan_of_keeps(model_);
  for (std::size_t g = 0; g < a_.groups.size(); ++g)
    give(plan, g, a_.groups[g].block != model::kNoBlock ? codec : outside_blocks());
  return plan;
}

Plan Presets::by_levels(const allocate::Levels& levels, const Codecs& codecs) {
  Plan plan = plan_of_keeps(model_);
  for (std::size_t g = 0; g < a_.groups.size(); ++g) {
    const std::size_t block = a_.groups[g].block;
    give(plan, g, block == model::kNoBlock ? outside_blocks() : *codecs[levels[block]]);
  }
  return plan;
}

allocate::LevelBytes Presets::level_bytes(const Codecs& codecs) const {
  allocate::LevelBytes result(a_.blocks, std::vector<std::uint64_t>(codecs.size(), 0));
  for (std::size_t g = 0; g < a_.groups.size(); ++g) {
    if (a_.groups[g].block == model::kNoBlock) continue;
    for (std::size_t level = 0; level < codecs.size(); ++level)
      result[a_.groups[g].block][level] += choices_.bytes(g, choices_.given(g, *codecs[level]));
  }
  return result;
}

Plan Presets::lwq(Budget budget) {
  const Codecs codecs = {&choices_.usable(request_.high), &choices_.usable(request_.low)};
  const allocate::Order order = allocate::by_importance(importance());
  if (request_.n_high) {
    if (*request_.n_high > a_.blocks) fail("--n-high {}: the model has {} blocks", *request_.n_high, a_.blocks);
    const std::size_t count = *request_.n_high;
    return by_levels(allocate::top_n(order, {&count, 1}), codecs);
  }
  if (budget.blocks == kNoLimit)
    fail_usage("preset lwq: give --n-high N, --levels, or a budget with --bits, --size or --fit");
  const allocate::LevelBytes bytes = level_bytes(codecs);
  for (std::size_t count = a_.blocks;; --count) {
    const allocate::Levels levels = allocate::top_n(order, {&count, 1});
    const std::uint64_t total = allocate::bytes_of(levels, bytes);
    if (total <= budget.blocks) return by_levels(levels, codecs);
    if (count == 0) choices_.refuse(budget, total);
  }
}

Plan Presets::lwq_levels(Budget budget) {
  Codecs codecs;
  std::vector<std::size_t> counts;
  std::vector<double> thresholds;
  for (const Level& level : request_.levels) {
    codecs.push_back(&choices_.usable(level.codec));
    if (level.count) counts.push_back(*level.count);
    if (level.threshold) thresholds.push_back(*level.threshold);
  }
  const std::vector<double> values = importance();
  const allocate::Levels levels = thresholds.empty() ? allocate::top_n(allocate::by_importance(values), counts)
                                                     : allocate::by_thresholds(values, thresholds);
  Plan plan = by_levels(levels, codecs);
  check(plan, budget);
  return plan;
}

Plan Presets::three_tier(Budget budget) {
  const Codecs codecs = {&codec::by_name("keep"), &choices_.usable("fp8_channel"), &choices_.usable("nvfp4")};
  const std::vector<std::size_t> pinned_blocks = {0, a_.blocks - 1};
  if (budget.blocks == kNoLimit) budget.blocks = allocate::budget_of_bits(8.0, a_.block_linear_weights());
  const allocate::Levels levels =
      allocate::tiers(allocate::by_importance(importance()), level_bytes(codecs), budget.blocks, pinned_blocks);
  return by_levels(levels, codecs);
}

namespace {

allocate::Group knapsack_group(const std::vector<Option>& options) {
  allocate::Group group;
  for (const Option& option : options) group.push_back({option.bytes, option.cost});
  return group;
}

/// What a byte saves in cost where the budget ends: the step of the hull that it would pay for next.
double price(std::span<const allocate::Group> groups, std::uint64_t budget) {
  const std::vector<allocate::Curve::Point> points = allocate::pareto(groups).points;
  if (points.size() < 2) return 0.0;
  std::size_t next = 1;
  while (next + 1 < points.size() && points[next].bytes <= budget) ++next;
  return (points[next - 1].cost - points[next].cost) / static_cast<double>(points[next].bytes - points[next - 1].bytes);
}

/// Bytes of the choice that is best when a byte costs `price`: --bits does not count the embedding and lm_head, so
/// they get what the last byte of the blocks is worth.
std::uint64_t bytes_at_price(const allocate::Group& choices, double price) {
  return std::ranges::min_element(
             choices, {},
             [&](const allocate::Choice& choice) { return choice.cost + price * static_cast<double>(choice.bytes); })
      ->bytes;
}

}  // namespace

Plan Presets::best(Budget budget) {
  std::vector<allocate::Group> blocks;
  std::vector<std::vector<Option>> options;
  std::vector<std::vector<std::size_t>> groups;
  std::vector<std::size_t> heads;
  for (std::vector<std::size_t>& bundle : choices_.bundles()) {
    if (a_.groups[bundle[0]].block == model::kNoBlock && budget.blocks != budget.all) {
      heads.push_back(bundle[0]);
      continue;
    }
    options.push_back(choices_.of(bundle));
    blocks.push_back(knapsack_group(options.back()));
    groups.push_back(std::move(bundle));
  }
  const std::uint64_t least = allocate::smallest(blocks);
  if (least > budget.blocks) choices_.refuse(budget, least);
  const allocate::Solution solution = allocate::solve(blocks, budget.blocks);
  Plan plan = plan_of_keeps(model_);
  for (std::size_t i = 0; i < groups.size(); ++i)
    for (const std::size_t g : groups[i]) give(plan, g, *options[i][solution.choice[i]].codec);
  plan.lower_bound = solution.lower_bound;
  std::uint64_t spent = solution.bytes;
  for (const std::size_t g : heads) {
    const std::vector<Option> of_head = choices_.of(g);
    const allocate::Group head = knapsack_group(of_head);
    std::uint64_t limit = budget.all - spent;
    if (target_.fusion() == model::Fusion::single)
      limit = bytes_at_price(head, price(blocks, budget.blocks));
    else if (allocate::smallest({&head, 1}) > limit)
      choices_.refuse({limit, limit}, allocate::smallest({&head, 1}));
    const allocate::Solution chosen = allocate::solve({&head, 1}, limit);
    give(plan, g, *of_head[chosen.choice[0]].codec);
    plan.lower_bound += chosen.lower_bound;
    spent += chosen.bytes;
  }
  return plan;
}

}  // namespace strata::pipeline
