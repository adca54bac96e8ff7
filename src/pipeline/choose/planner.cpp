// Budgets become limits in bytes for the linears; the presets spend them.
// A budget of the whole output depends on the plan a little, so that its limit is found in rounds.
#include "pipeline/choose/planner.h"

#include <algorithm>
#include <set>

#include "core/units.h"
#include "pipeline/choose/costs.h"
#include "pipeline/choose/limits.h"
#include "pipeline/choose/options.h"
#include "pipeline/choose/output_size.h"
#include "pipeline/choose/presets.h"
#include "pipeline/choose/refusal.h"
#include "pipeline/choose/runtime_memory.h"
#include "pipeline/choose/two_memories.h"
#include "pipeline/plan/least_version.h"

namespace strata::pipeline {
namespace {

/// Bytes that the whole output may have; nothing for budgets that say something else.
std::optional<std::uint64_t> size_budget(const Problem& problem) {
  const Budget& budget = problem.request().budget;
  if (const auto* size = std::get_if<SizeBudget>(&budget)) return size->bytes;
  check_two_memories(problem);
  if (const auto* memory = std::get_if<MemoryBudget>(&budget))
    return size_that_fits(problem.architecture(), problem.target(), *memory);
  return std::nullopt;
}

/// Throws Error when nothing is left for the linears.
void check_room(const Problem& problem, const Assignment& least, std::uint64_t size, std::uint64_t beside_linears) {
  if (size > beside_linears) return;
  const bool memory = std::holds_alternative<MemoryBudget>(problem.request().budget);
  const std::uint64_t smallest = beside_linears + needed_limit(problem, least, Count::all).all;
  fail("{}{}: what is not quantized takes {} already; the smallest {} about {}", text_of(problem.request().budget),
       memory ? fmt::format(" leaves {}", human_bytes(size)) : "", human_bytes(beside_linears),
       two_memories(problem.request()) != nullptr ? "plan needs, without experts," : "output has",
       human_bytes(smallest));
}

/// Bytes of main memory for the linears in it; no limit where one memory holds all.
std::uint64_t main_limit(const Problem& problem) {
  const MemoryBudget* const memory = two_memories(problem.request());
  if (memory == nullptr) return kNoLimit;
  return memory->expert_bytes - std::min(memory->expert_bytes, main_memory_beside(problem.architecture()));
}

/// The limit of the linears in an output of `size` bytes, of which `beside` are for other things. They are more for
/// plans of many codecs, whose names stand in config.json; whether the smallest plan fits is told by its own.
ByteLimit limit_of_size(const Problem& problem, const Assignment& least, const OutputSize& output, std::uint64_t size,
                        std::uint64_t beside) {
  check_room(problem, least, size, beside);
  std::uint64_t limit = size - beside;
  const std::uint64_t bytes = needed_limit(problem, least, Count::all).all;
  if (limit < bytes && weight_memory(problem, least, output.of(least)) <= size) limit = bytes;
  return {limit, limit, main_limit(problem)};
}

/// The smallest plan beside what main memory holds in another plan, which no limit of the GPU changes.
Assignment smallest_beside(const Problem& problem, const Plan& plan, Assignment least) {
  const model::Architecture& a = problem.architecture();
  if (two_memories(problem.request()) != nullptr)
    for (std::size_t g = 0; g < least.size(); ++g)
      if (in_main_memory(a, a.groups[g])) least[g] = plan.groups[g].codec;
  return least;
}

/// The plan whose whole output has at most `size` bytes; with two memories, what of it lies on the GPU.
Made plan_of_size(const Problem& problem, const Preset& preset, const OutputSize& output, std::uint64_t size) {
  Assignment least = preset.smallest(problem);
  // Everything but the linears depends on the plan only through a few names in config.json, and the copy of a stack
  // only on the experts, so this settles at once.
  std::uint64_t beside = output.beside_linears(all_kept(problem.architecture()));
  for (int round = 0;; ++round) {
    const ByteLimit limit = limit_of_size(problem, least, output, size, beside);
    check_within(problem, limit, least);
    Made made = preset.make(problem, limit);
    const std::uint64_t bytes = weight_memory(problem, assignment_of(made.plan), output.of(made.plan));
    if (bytes <= size) return made;
    STRATA_CHECK(round < 64, "{} bytes for {}", bytes, size);
    beside += bytes - size;
    least = smallest_beside(problem, made.plan, std::move(least));
  }
}

/// The parts that --fit counts, and those of --fit-experts with the command that the plan is for.
void add_notes_of_memory(const Problem& problem, const MemoryBudget& budget, PlanResult& result) {
  const model::Architecture& a = problem.architecture();
  const MemoryNeeds needs = memory_beside_weights(a, problem.target(), budget);
  const Assignment plan = assignment_of(result.plan);
  result.notes.push_back(
      fmt::format("in {}: weights {}, KV cache {} ({} x {} tokens), buffers {}, runtime {}", human_bytes(budget.bytes),
                  human_bytes(weight_memory(problem, plan, result.output_bytes)), human_bytes(needs.kv_cache),
                  budget.batch, budget.context, human_bytes(needs.buffers), human_bytes(needs.runtime)));
  if (two_memories(problem.request()) == nullptr) return;
  result.notes.push_back(fmt::format("in {} of main memory: experts and embedding {}, runtime {}",
                                     human_bytes(budget.expert_bytes), human_bytes(bytes_in_main_memory(plan, a)),
                                     human_bytes(main_memory_beside(a))));
  result.notes.push_back("it is served by: " + llama_server_command(budget, "FILE.gguf"));
}

/// Says which codecs of the plan are priced with other inputs than the target gives them.
void add_note_of_inputs(const Problem& problem, PlanResult& result) {
  const codec::RoundedInputs runs = rounded_inputs(problem.target());
  std::set<std::string> names;
  for (const codec::Codec* codec : assignment_of(result.plan)) {
    const auto priced = problem.costs().rounded_inputs.find(codec->name);
    const std::string_view kind = priced == problem.costs().rounded_inputs.end()
                                      ? codec::name_of(codec::ActivationRounding::Kind::none)
                                      : std::string_view(priced->second);
    if (kind != codec::name_of(runs.of(*codec))) names.insert(codec->name);
  }
  if (!names.empty())
    result.notes.push_back(fmt::format("the scores price {} with other inputs than {} reads; score with --for {}",
                                       fmt::join(names, ", "), problem.target().name, problem.target().name));
}

/// How the model is smoothed before it is rounded: as the user asks, or else as it was measured, or by the codecs.
void set_smoothing(const Problem& problem, PlanResult& result) {
  const Smoothing &asked = problem.request().smoothing, &measured = problem.costs().smoothing;
  const double wanted = asked      ? *asked
                        : measured ? *measured
                                   : automatic_smoothing(problem.target(), assignment_of(result.plan));
  result.plan.smoothing = possible_smoothing(wanted, problem.model());
  if (const std::string note = describe_smoothing(result.plan.smoothing, problem.model()); !note.empty())
    result.notes.push_back(note);
  if (wanted > 0.0 && result.plan.smoothing == 0.0 && asked)
    result.notes.push_back("--smooth: no channels of this model can be scaled without a change of it");
  if (measured && *measured != result.plan.smoothing)
    result.notes.push_back(
        fmt::format("the scores price a model with --smooth {}, which this plan is not for; score with --smooth {}",
                    smoothing_word(*measured), smoothing_word(result.plan.smoothing)));
}

/// vLLM looks up an embedding in codes; transformers, which loads most of its checkpoints, does not.
void note_coded_embedding(const Problem& problem, PlanResult& result) {
  const model::Architecture& a = problem.architecture();
  if (problem.target().fusion() != model::Fusion::fused_embedding || a.embedding() == model::kNoLinear) return;
  const codec::Codec& codec = *result.plan.groups[a.linears[a.embedding()].group].codec;
  if (codec.has_codes())
    result.notes.push_back(fmt::format(
        "the embedding is {}, which vLLM loads and transformers does not: --embed-codec keep leaves it dense",
        codec.name));
}

/// GGUF: the types that each group could have had, which its shape decides.
void list_choices(const Problem& problem, Plan& plan) {
  for (std::size_t g = 0; g < plan.groups.size(); ++g)
    for (const codec::Codec* codec : problem.allowed().codecs)
      if (problem.fits(g, *codec)) plan.groups[g].choices.push_back(codec->name);
}

}  // namespace

PlanResult make_plan(const Problem& problem) {
  const PlanRequest& request = problem.request();
  const Preset& preset = preset_named(request.preset);
  if (std::holds_alternative<KlBudget>(request.budget))
    fail_usage("{} is met by measuring plans: use strata quantize", text_of(request.budget));
  const OutputSize output(problem);
  const std::optional<std::uint64_t> size = size_budget(problem);
  const ByteLimit limit = size ? ByteLimit{} : limit_of(problem);
  Made made = size ? plan_of_size(problem, preset, output, *size) : preset.make(problem, limit);
  PlanResult result{std::move(made.plan), problem.allowed().left_out, std::move(made.notes), 0, {}};
  result.output_bytes = output.of(result.plan);
  result.least_version = least_version(problem.target(), result.plan, problem.architecture());
  if (!problem.target().fuses()) list_choices(problem, result.plan);
  const bool by_weights = preset.reads_scores() || !problem.costs().linears.empty();
  result.plan.fingerprint = by_weights ? problem.model().fingerprint() : problem.model().header_fingerprint();
  result.plan.target = problem.target().name;
  result.plan.preset = request.preset;
  result.plan.request = request_record(request);
  if (std::holds_alternative<StockBudget>(request.budget)) result.plan.request["like_bytes"] = limit.all;
  set_smoothing(problem, result);
  note_coded_embedding(problem, result);
  if (preset.needs == Needs::linear_costs) add_note_of_inputs(problem, result);
  if (preset.needs == Needs::linear_costs)
    for (LeftOut& item : without_costs(problem)) result.left_out.push_back(std::move(item));
  if (const auto* memory = std::get_if<MemoryBudget>(&request.budget)) add_notes_of_memory(problem, *memory, result);
  return result;
}

void check_request(const model::Model& model, const Target& target, const PlanRequest& request) {
  const Problem problem(model, target, request, {});
  const Preset& preset = preset_named(request.preset);
  const Assignment least = preset.smallest(problem);
  check_experts(plan_of(model, least), model.architecture(), target, fmt::format("preset {}", request.preset));
  const std::optional<std::uint64_t> size = size_budget(problem);
  if (!size) {
    check_within(problem, limit_of(problem), least);
    return;
  }
  const OutputSize output(problem);
  const std::uint64_t beside = output.beside_linears(all_kept(model.architecture()));
  const ByteLimit limit = limit_of_size(problem, least, output, *size, beside);
  check_within(problem, limit, least);
  if (weight_memory(problem, least, output.of(least)) > *size) refuse(problem, limit, least);
}

}  // namespace strata::pipeline
