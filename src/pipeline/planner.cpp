// The presets, each turning a budget in bytes into a plan; and the loop that turns a size on disk into such a budget.
// Every preset respects pins and falls back to `keep`, with a note, where its codec cannot hold a shape.
#include "pipeline/planner.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "allocate/allocate.h"
#include "allocate/orders.h"
#include "core/file.h"
#include "pipeline/checkpoint.h"
#include "pipeline/pins.h"
#include "pipeline/stock_mix.h"

namespace strata::pipeline {
namespace {

using codec::Codec;

/// Bytes the linears may take: of the blocks and of everything (with an untied lm_head); kNoLimit when there is none.
struct Budget {
  std::uint64_t blocks, all;
};
constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

constexpr const char* kHeadCodec = "q8_0";

struct Planner {
  const model::Model& model;
  const Target& target;
  const PlanRequest& request;
  const Costs& costs;
  const model::Architecture& a = model.architecture();
  std::vector<const Codec*> pins = pinned_codecs(a, target, request);
  AllowedCodecs allowed = allowed_codecs(target, request.codecs);
  std::vector<std::string> notes = {};
  std::map<std::string, std::size_t> replaced = {};  ///< why a group has smaller blocks than asked for -> groups

  std::uint64_t bytes(std::size_t group, const Codec& codec) const {
    std::uint64_t sum = 0;
    for (const std::size_t l : a.groups[group].linears)
      sum += codec::stored_bytes(codec, a.linears[l].rows, a.linears[l].cols);
    return sum;
  }
  bool fits(std::size_t group, const Codec& codec) const {
    return std::all_of(a.groups[group].linears.begin(), a.groups[group].linears.end(), [&](std::size_t l) {
      return why_not_shape(codec, a.linears[l].rows, a.linears[l].cols).empty();
    });
  }
  const Codec& usable(const std::string& name) const {
    const Codec& codec = codec::by_name(name);
    if (const std::string why = target.why_not(codec); !why.empty())
      fail("preset {}: {} cannot be used for {}: {} (targets that can: {})", request.preset, name, target.name, why,
           targets_that_can(codec));
    return codec;
  }
  double cost(std::size_t group, const Codec& codec) const {
    double sum = 0;
    for (const std::size_t l : a.groups[group].linears) {
      if (l >= costs.linears.size()) return 0;
      const auto it = costs.linears[l].find(&codec);
      if (it == costs.linears[l].end()) return std::numeric_limits<double>::quiet_NaN();
      sum += it->second;
    }
    return sum;
  }

  void give(Plan& plan, std::size_t group, const Codec& wanted) {
    const Codec* codec = pins[group] != nullptr ? pins[group] : &wanted;
    if (!fits(group, *codec)) {
      const model::Linear& first = a.linears[a.groups[group].linears.front()];
      const Codec* instead = target.gguf ? &smaller_blocks(*codec, first.rows, first.cols) : &codec::by_name("keep");
      if (instead->has_codes())
        ++replaced[fmt::format("{} instead of {}: {}", instead->name, codec->name,
                               codec::why_not(*codec, first.rows, first.cols))];
      else
        notes.push_back(fmt::format("{} stays in bf16: {} cannot hold its shape", a.groups[group].name, codec->name));
      codec = instead;
    }
    assign(plan.groups[group], *codec, a, group);
    const double estimated = cost(group, *codec);
    plan.groups[group].cost = std::isfinite(estimated) ? estimated : 0.0;
  }

  std::vector<double> importance() const {
    const auto it = costs.blocks.find(request.signal);
    if (it == costs.blocks.end())
      fail("the scores hold no signal '{}' per block; score with --signals {}", request.signal, request.signal);
    return it->second;
  }

  /// The codec of lm_head, or of the embedding of a GGUF file, in presets that have no costs.
  const Codec& outside_blocks() const { return target.gguf ? usable(kHeadCodec) : codec::by_name("keep"); }

  Plan uniform(const Codec& codec) {
    Plan plan = plan_of_keeps(model);
    for (std::size_t g = 0; g < a.groups.size(); ++g)
      give(plan, g, a.groups[g].block != model::kNoBlock ? codec : outside_blocks());
    return plan;
  }

  Plan by_levels(const allocate::Levels& levels, std::span<const Codec* const> codecs) {
    Plan plan = plan_of_keeps(model);
    for (std::size_t g = 0; g < a.groups.size(); ++g) {
      const std::size_t block = a.groups[g].block;
      give(plan, g, block == model::kNoBlock ? outside_blocks() : *codecs[levels[block]]);
    }
    return plan;
  }

  allocate::LevelBytes level_bytes(std::span<const Codec* const> codecs) const {
    allocate::LevelBytes result(a.blocks, std::vector<std::uint64_t>(codecs.size(), 0));
    const Codec& keep = codec::by_name("keep");
    for (std::size_t g = 0; g < a.groups.size(); ++g) {
      if (a.groups[g].block == model::kNoBlock) continue;
      for (std::size_t level = 0; level < codecs.size(); ++level) {
        const Codec* codec = pins[g] != nullptr ? pins[g] : codecs[level];
        result[a.groups[g].block][level] += bytes(g, fits(g, *codec) ? *codec : keep);
      }
    }
    return result;
  }

  Plan lwq(Budget budget) {
    const std::array<const Codec*, 2> codecs = {&usable(request.high), &usable(request.low)};
    const allocate::Order order = allocate::by_importance(importance());
    if (request.n_high) {
      if (*request.n_high > a.blocks) fail("--n-high {}: the model has {} blocks", *request.n_high, a.blocks);
      const std::size_t count = *request.n_high;
      return by_levels(allocate::top_n(order, {&count, 1}), codecs);
    }
    if (budget.blocks == kNoLimit) fail_usage("preset lwq: give --n-high N, or a budget with --bits or --size");
    const allocate::LevelBytes bytes = level_bytes(codecs);
    for (std::size_t count = a.blocks;; --count) {
      const allocate::Levels levels = allocate::top_n(order, {&count, 1});
      const std::uint64_t total = allocate::bytes_of(levels, bytes);
      if (total <= budget.blocks) return by_levels(levels, codecs);
      if (count == 0) refuse(budget, total);
    }
  }

  Plan three_tier(Budget budget) {
    const std::array<const Codec*, 3> codecs = {&codec::by_name("keep"), &usable("fp8_channel"), &usable("nvfp4")};
    const std::vector<std::size_t> pinned_blocks = {0, a.blocks - 1};
    if (budget.blocks == kNoLimit) budget.blocks = allocate::budget_of_bits(8.0, a.block_linear_weights());
    const allocate::Levels levels =
        allocate::tiers(allocate::by_importance(importance()), level_bytes(codecs), budget.blocks, pinned_blocks);
    return by_levels(levels, codecs);
  }

  Plan best(Budget budget) {
    std::vector<allocate::Group> blocks;
    std::vector<std::vector<const Codec*>> codecs;
    std::vector<std::size_t> groups, heads;
    for (std::size_t g = 0; g < a.groups.size(); ++g) {
      if (a.groups[g].block == model::kNoBlock && budget.blocks != budget.all) {
        heads.push_back(g);
        continue;
      }
      auto [choices, choice_codecs] = choices_of(g);
      blocks.push_back(std::move(choices));
      codecs.push_back(std::move(choice_codecs));
      groups.push_back(g);
    }
    const std::uint64_t least = allocate::smallest(blocks);
    if (least > budget.blocks) refuse(budget, least);
    const allocate::Solution solution = allocate::solve(blocks, budget.blocks);
    Plan plan = plan_of_keeps(model);
    for (std::size_t i = 0; i < groups.size(); ++i) give(plan, groups[i], *codecs[i][solution.choice[i]]);
    plan.lower_bound = solution.lower_bound;
    std::uint64_t spent = solution.bytes;
    for (const std::size_t g : heads) {
      auto [choices, choice_codecs] = choices_of(g);
      std::uint64_t limit = budget.all - spent;
      if (target.gguf)
        limit = bytes_at_price(choices, price(blocks, budget.blocks));
      else if (allocate::smallest({&choices, 1}) > limit)
        refuse({limit, limit}, allocate::smallest({&choices, 1}));
      const allocate::Solution head = allocate::solve({&choices, 1}, limit);
      give(plan, g, *choice_codecs[head.choice[0]]);
      plan.lower_bound += head.lower_bound;
      spent += head.bytes;
    }
    return plan;
  }

  /// What a byte saves in cost where the budget ends: the step of the hull that it would pay for next.
  static double price(std::span<const allocate::Group> groups, std::uint64_t budget) {
    const std::vector<allocate::Curve::Point> points = allocate::pareto(groups).points;
    if (points.size() < 2) return 0.0;
    std::size_t next = 1;
    while (next + 1 < points.size() && points[next].bytes <= budget) ++next;
    return (points[next - 1].cost - points[next].cost) /
           static_cast<double>(points[next].bytes - points[next - 1].bytes);
  }
  /// Bytes of the choice that is best when a byte costs `price`: --bits does not count the embedding and lm_head, so
  /// they get what the last byte of the blocks is worth.
  static std::uint64_t bytes_at_price(const allocate::Group& choices, double price) {
    return std::ranges::min_element(
               choices, {},
               [&](const allocate::Choice& choice) { return choice.cost + price * static_cast<double>(choice.bytes); })
        ->bytes;
  }

  std::pair<allocate::Group, std::vector<const Codec*>> choices_of(std::size_t g) const {
    std::pair<allocate::Group, std::vector<const Codec*>> result;
    const auto consider = [&](const Codec& codec) {
      const double estimated = cost(g, codec);
      if (!fits(g, codec) || !std::isfinite(estimated)) return;
      result.first.push_back({bytes(g, codec), estimated});
      result.second.push_back(&codec);
    };
    if (pins[g] != nullptr) {
      result.first.push_back({bytes(g, *pins[g]), 0.0});
      result.second.push_back(pins[g]);
      return result;
    }
    for (const Codec* codec : allowed.codecs) consider(*codec);
    if (result.first.empty()) {
      result.first.push_back({bytes(g, codec::by_name("keep")), 0.0});
      result.second.push_back(&codec::by_name("keep"));
    }
    return result;
  }

  [[noreturn]] void refuse(Budget limit, std::uint64_t least) const {
    const bool blocks_only = limit.blocks != limit.all;
    const std::uint64_t budget = limit.blocks;
    double weights = 0;
    for (const model::Linear& linear : a.linears)
      if (!blocks_only || linear.block != model::kNoBlock) weights += static_cast<double>(linear.rows * linear.cols);
    std::string others;
    for (const Target& other : targets()) {
      if (other.name == target.name || !request.codecs.empty()) continue;
      std::uint64_t sum = 0;
      for (std::size_t g = 0; g < a.groups.size(); ++g) {
        std::uint64_t smallest = bytes(g, codec::by_name("keep"));
        for (const Codec& codec : codec::all())
          if (other.why_not(codec).empty() && fits(g, codec)) smallest = std::min(smallest, bytes(g, codec));
        if (!blocks_only || a.groups[g].block != model::kNoBlock) sum += smallest;
      }
      if (sum <= budget)
        others += fmt::format("{}--for {} (down to {:.3f} bits)", others.empty() ? "; possible with " : ", ",
                              other.name, 8.0 * static_cast<double>(sum) / weights);
    }
    fail(
        "the budget of {:.3f} bits ({}) for the linears cannot be met for {}: the smallest plan has {:.3f} bits ({}){}",
        8.0 * static_cast<double>(budget) / weights, human_bytes(budget), target.name,
        8.0 * static_cast<double>(least) / weights, human_bytes(least), others);
  }

  Plan make(Budget budget) {
    notes.clear();
    replaced.clear();
    Plan plan = by_preset(budget);
    for (const auto& [text, groups] : replaced) notes.push_back(fmt::format("{} groups are {}", groups, text));
    for (std::size_t g = 0; target.gguf && g < a.groups.size(); ++g)
      for (const Codec* codec : allowed.codecs)
        if (fits(g, *codec)) plan.groups[g].choices.push_back(codec->name);
    return plan;
  }

  Plan by_preset(Budget budget) {
    if (request.preset == "best") return best(budget);
    if (request.preset == "lwq") return lwq(budget);
    if (request.preset == "three-tier") return three_tier(budget);
    if (request.preset.starts_with("uniform:")) {
      Plan plan = uniform(usable(request.preset.substr(8)));
      const std::uint64_t counted = budget.blocks == budget.all ? plan.bytes() : plan.block_bytes();
      if (budget.blocks != kNoLimit && counted > budget.blocks) refuse(budget, counted);
      return plan;
    }
    fail_usage("--preset {}: unknown; known are best, uniform:CODEC, lwq, three-tier", request.preset);
  }
};

Budget budget_of_bits(const model::Architecture& a, double bits) {
  if (!std::isfinite(bits) || bits <= 0 || bits > 64)
    fail_usage("--bits {}: expected a number above 0 and at most 64", bits);
  std::uint64_t all = 0;
  for (const model::Linear& linear : a.linears) all += linear.rows * linear.cols;
  return {allocate::budget_of_bits(bits, a.block_linear_weights()), allocate::budget_of_bits(bits, all)};
}

/// The bytes of llama-quantize's mix, with the user's type for the embedding on both sides.
Budget budget_like(const model::Architecture& a, const Target& target, const PlanRequest& request,
                   std::span<const Codec* const> pins) {
  if (!target.gguf) fail_usage("--like {}: is a mix of GGUF types; it needs --for llama.cpp", request.like);
  if (request.preset != "best") fail_usage("--like {} needs preset best, not {}", request.like, request.preset);
  const std::vector<StockTensor> stock = stock_mix(a, request.like);
  std::uint64_t total = 0;
  for (std::size_t l = 0; l < stock.size(); ++l) {
    const model::Linear& linear = a.linears[l];
    const bool pinned = linear.role == model::Role::embed && pins[linear.group] != nullptr;
    total += pinned ? codec::stored_bytes(*pins[linear.group], linear.rows, linear.cols) : stock[l].bytes;
  }
  return {total, total};
}

}  // namespace

bool needs_linear_costs(const PlanRequest& request) { return request.preset == "best"; }
bool needs_block_signals(const PlanRequest& request) {
  return request.preset == "lwq" || request.preset == "three-tier";
}

json PlanRequest::to_json() const {
  json value = {{"preset", preset}};
  if (bits) value["bits"] = *bits;
  if (size_bytes) value["size_bytes"] = *size_bytes;
  if (max_kl) value["max_kl"] = *max_kl;
  if (!codecs.empty()) value["codecs"] = codecs;
  if (!keep.empty()) value["keep"] = keep;
  for (const auto& [expression, codec] : assign) value["assign"].push_back({expression, codec});
  if (!like.empty()) value["like"] = like;
  if (!embed_codec.empty()) value["embed_codec"] = embed_codec;
  if (needs_block_signals(*this)) value["signal"] = signal;
  if (preset == "lwq") {
    value["high"] = high;
    value["low"] = low;
    if (n_high) value["n_high"] = *n_high;
  }
  return value;
}

PlanResult make_plan(const model::Model& model, const Target& target, const PlanRequest& request, const Costs& costs) {
  if (request.bits && request.size_bytes) fail_usage("--bits and --size contradict each other; give one");
  Planner planner{model, target, request, costs};
  const auto companions = model.companion_files();
  const auto size_of = [&](const Plan& plan) {
    return lay_out(model, plan, target, request.shard_bytes, companions).total_bytes;
  };

  PlanResult result;
  std::optional<Budget> like;
  if (request.size_bytes) {
    // Everything but the linears depends on the plan only through a few names in config.json, so this settles at once.
    const Plan keeps = plan_of_keeps(model);
    const std::uint64_t fixed = size_of(keeps) - keeps.bytes();
    std::uint64_t overhead = fixed;
    for (int round = 0;; ++round) {
      if (*request.size_bytes <= overhead)
        fail("--size {}: what is not quantized takes {} already", human_bytes(*request.size_bytes),
             human_bytes(overhead));
      const std::uint64_t budget = *request.size_bytes - overhead;
      result.plan = planner.make({budget, budget});
      result.output_bytes = size_of(result.plan);
      if (result.output_bytes <= *request.size_bytes) break;
      STRATA_CHECK(round < 64, "{} bytes for {}", result.output_bytes, *request.size_bytes);
      overhead += result.output_bytes - *request.size_bytes;
    }
  } else {
    Budget budget{kNoLimit, kNoLimit};
    if (!request.like.empty())
      like = budget = budget_like(model.architecture(), target, request, planner.pins);
    else if (request.bits)
      budget = budget_of_bits(model.architecture(), *request.bits);
    else if (request.preset == "best")
      fail_usage("preset best needs a budget: --bits, --size or --like");
    result.plan = planner.make(budget);
    result.output_bytes = size_of(result.plan);
  }
  result.plan.target = target.name;
  result.plan.preset = request.preset;
  result.plan.request = request.to_json();
  if (like) result.plan.request["like_bytes"] = like->all;
  result.plan.cost_signal = needs_linear_costs(request)    ? costs.signal
                            : needs_block_signals(request) ? request.signal
                                                           : "";
  result.left_out = std::move(planner.allowed.left_out);
  result.notes = std::move(planner.notes);
  return result;
}

void check_request(const model::Model& model, const Target& target, const PlanRequest& request) {
  const model::Architecture& a = model.architecture();
  Costs costs;
  costs.linears.resize(a.linears.size());
  for (auto& row : costs.linears)
    for (const Codec& codec : codec::all()) row[&codec] = 0.0;
  costs.blocks[request.signal].assign(a.blocks, 0.0);
  make_plan(model, target, request, costs);
}

}  // namespace strata::pipeline
