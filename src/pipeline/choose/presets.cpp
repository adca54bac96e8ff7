// The table of presets, and what they have in common: filling a plan, and saying what could not be done as asked.
#include "pipeline/choose/presets.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>

#include "core/suggest.h"
#include "pipeline/choose/limits.h"
#include "pipeline/choose/presets/makers.h"
#include "pipeline/choose/refusal.h"
#include "pipeline/plan/shapes.h"

namespace strata::pipeline {
namespace {

using codec::Codec;

constexpr auto kPresets = std::to_array<Preset>({
    {.name = "best",
     .usage = "best",
     .meaning = "least estimated cost within the budget, from the scores of every linear",
     .needs = Needs::linear_costs,
     .default_bits = 0.0,
     .follows_rules = false,
     .smallest = smallest_choices,
     .make = make_best},
    {.name = "uniform",
     .usage = "uniform:CODEC",
     .meaning = "one codec for all linears",
     .needs = Needs::nothing,
     .default_bits = 0.0,
     .follows_rules = false,
     .smallest = smallest_uniform,
     .make = make_uniform},
    {.name = "lwq",
     .usage = "lwq",
     .meaning = "blocks by importance: the first at a high codec, the others at a low one (arXiv 2406.17415)",
     .needs = Needs::block_signals,
     .default_bits = 0.0,
     .follows_rules = false,
     .smallest = smallest_lwq,
     .make = make_lwq},
    {.name = "three-tier",
     .usage = "three-tier",
     .meaning = "blocks by importance: bf16, FP8 and NVFP4 within 8 bits or the budget, the first and last block kept",
     .needs = Needs::block_signals,
     .default_bits = 8.0,
     .follows_rules = false,
     .smallest = smallest_three_tier,
     .make = make_three_tier},
    {.name = "prior",
     .usage = "prior",
     .meaning = "within the budget by rules of the literature, without any measurement",
     .needs = Needs::budget,
     .default_bits = 0.0,
     .follows_rules = true,
     .smallest = smallest_choices,
     .make = make_prior},
    {.name = "stock",
     .usage = "stock",
     .meaning = "the mix or the file that --like names, type by type",
     .needs = Needs::stock_mix,
     .default_bits = 0.0,
     .follows_rules = false,
     .smallest = smallest_stock,
     .make = make_stock},
});

}  // namespace

std::span<const Preset> presets() { return kPresets; }

std::string preset_usages() {
  std::string text;
  for (const Preset& preset : kPresets) text += (text.empty() ? "" : ", ") + std::string(preset.usage);
  return text;
}

const Preset& preset_named(std::string_view name) {
  const std::size_t colon = name.find(':');
  const std::string_view stem = name.substr(0, colon);
  std::vector<std::string> known;
  for (const Preset& preset : kPresets) {
    known.emplace_back(preset.name);
    if (preset.name != stem) continue;
    const bool takes_codec = preset.usage != preset.name;
    if (takes_codec != (colon != std::string_view::npos && colon + 1 < name.size()))
      fail_usage("--preset {}: write it as {}", name, preset.usage);
    return preset;
  }
  fail_usage("--preset {}: unknown{}; known are {}", name, did_you_mean(stem, known), preset_usages());
}

Made filled(const Problem& problem, const Assignment& wanted) {
  const model::Architecture& a = problem.architecture();
  Made made{plan_of(problem.model(), problem.given(wanted)), {}};
  std::map<std::string, std::size_t> replaced;  // why groups have smaller blocks than asked for -> how many
  for (std::size_t g = 0; g < wanted.size(); ++g) {
    PlannedGroup& group = made.plan.groups[g];
    const Codec* asked = problem.pinned(g) != nullptr ? problem.pinned(g) : wanted[g];
    if (const std::string why = problem.why_not(g, *asked); !why.empty() && asked->has_codes()) {
      if (group.codec->has_codes())
        ++replaced[fmt::format("{} instead of {}: {}", group.codec->name, asked->name, why)];
      else
        made.notes.push_back(fmt::format("{} stays in bf16: {}: {}", a.groups[g].name, asked->name, why));
    }
    const double estimated = problem.cost(g, *group.codec);
    group.cost = std::isfinite(estimated) ? estimated : 0.0;
  }
  check_experts(made.plan, a, problem.target(), fmt::format("preset {}", problem.request().preset));
  if (problem.target().one_expert_codec && a.experts.count != 0)
    made.notes.push_back(
        fmt::format("all experts have one codec, since {} loads one for the whole model", problem.target().name));
  for (const auto& [text, groups] : replaced) made.notes.push_back(fmt::format("{} groups are {}", groups, text));
  return made;
}

void check_within(const Problem& problem, ByteLimit limit, const Assignment& given) {
  const ByteLimit needed = needed_limit(problem, given, limit.counts());
  if (needed.blocks > limit.blocks || needed.all > limit.all || needed.main > limit.main) refuse(problem, limit, given);
}

void check_experts(const Plan& plan, const model::Architecture& a, const Target& target, const std::string& where) {
  if (std::ranges::none_of(plan.groups, [](const PlannedGroup& g) { return g.codec->has_codes(); })) return;
  const PlannedGroup* first = nullptr;
  for (std::size_t g = 0; g < a.groups.size(); ++g) {
    if (!a.linears[a.groups[g].linears.front()].routed()) continue;
    const PlannedGroup& group = plan.groups[g];
    if (const std::string why = why_not_experts(target, *group.codec, a.experts); !why.empty())
      fail("{}: {} cannot be {} for {}: {}", where, group.name, group.codec->name, target.name, why);
    if (first == nullptr) first = &group;
    if (target.one_expert_codec && group.codec != first->codec)
      fail(
          "{}: {} is {} and {} is {}, but {} loads one codec for all experts of a model; give them one with "
          "--assign '\\.experts\\.=CODEC', or use --for vllm",
          where, first->name, first->codec->name, group.name, group.codec->name, target.name);
  }
}

void check_plan(const Plan& plan, const model::Architecture& architecture, const Target& target, std::size_t parts,
                const std::string& where) {
  check_parts(target, architecture, parts);
  for (const PlannedGroup& group : plan.groups)
    if (const std::string why = target.why_not(*group.codec); !why.empty())
      fail("{}: {} cannot be {} for {}: {} (targets that can: {})", where, group.name, group.codec->name, target.name,
           why, targets_that_can(*group.codec));
  for (std::size_t g = 0; g < plan.groups.size(); ++g)
    if (const std::string why =
            why_not_fused(target, *plan.groups[g].codec, architecture, architecture.groups[g], parts);
        !why.empty())
      fail("{}: {} cannot be {} for {}: {}", where, plan.groups[g].name, plan.groups[g].codec->name, target.name, why);
  check_experts(plan, architecture, target, where);
}

const Codec& outside_blocks(const Problem& problem) {
  switch (problem.target().container) {
    case codec::Container::gguf:
      return problem.usable("q8_0");
    case codec::Container::mlx:
      return problem.usable("mlx8_g64");
    default:
      return codec::by_name("keep");
  }
}

}  // namespace strata::pipeline
