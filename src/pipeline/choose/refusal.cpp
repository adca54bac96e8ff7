// The sentence of a refusal, put together from the budget's kind.
#include "pipeline/choose/refusal.h"

#include <algorithm>

#include "core/units.h"
#include "pipeline/choose/limits.h"
#include "pipeline/choose/output_size.h"
#include "pipeline/choose/presets.h"
#include "pipeline/choose/runtime_memory.h"
#include "pipeline/choose/two_memories.h"
#include "pipeline/plan/shapes.h"

namespace strata::pipeline {
namespace {

constexpr double kStepOfBits = 0.001;

class Refusal {
 public:
  Refusal(const Problem& problem, ByteLimit limit, const Assignment& least)
      : problem_(problem), a_(problem.architecture()), preset_(preset_named(problem.request().preset)), limit_(limit) {
    budget_ = problem.request().budget;
    if (!is_given(budget_)) budget_ = BitsBudget{preset_.default_bits};
    needed_ = needed_limit(problem, least, limit.counts());
    // --bits is missed by the blocks, or only together with lm_head.
    count_ = limit.counts() == Count::blocks && needed_.blocks > limit.blocks ? Count::blocks : Count::all;
    for (const model::Linear& linear : a_.linears)
      if ((count_ == Count::all && problem.counts(linear.group)) || linear.block != model::kNoBlock)
        weights_ += static_cast<double>(linear.rows) * static_cast<double>(linear.cols);
    least_ = spent(least, pick(needed_));
  }

  std::string text() const {
    std::string text = fmt::format("{} cannot be met for {}: {} {}{}", budget(), problem_.target().name, subject(),
                                   amount(least_), advice());
    const std::string decisions = blame();
    return text + (decisions.empty() ? others() : decisions);
  }

 private:
  std::uint64_t pick(ByteLimit limit) const { return count_ == Count::blocks ? limit.blocks : limit.all; }

  template <class Kind>
  bool holds() const {
    return std::holds_alternative<Kind>(budget_);
  }

  /// What a plan takes of the budget: bytes of linears, of the whole output, or of memory. linears: those that count.
  std::uint64_t spent(const Assignment& plan, std::uint64_t linears) const {
    if (holds<SizeBudget>()) return OutputSize(problem_).of(plan);
    if (const auto* memory = std::get_if<MemoryBudget>(&budget_))
      return weight_memory(problem_, plan, OutputSize(problem_).of(plan)) +
             memory_beside_weights(a_, problem_.target(), *memory).total();
    return linears;
  }

  /// What the budget allows, in the terms of spent().
  std::uint64_t allowed() const {
    if (const auto* size = std::get_if<SizeBudget>(&budget_)) return size->bytes;
    if (const auto* memory = std::get_if<MemoryBudget>(&budget_)) return memory->bytes;
    return pick(limit_);
  }

  std::string amount(std::uint64_t bytes) const {
    if (!holds<BitsBudget>()) return human_bytes(bytes);
    return fmt::format("{:.3f} bits ({})", 8.0 * static_cast<double>(bytes) / weights_, human_bytes(bytes));
  }

  std::string budget() const {
    if (!is_given(problem_.request().budget))
      return fmt::format("the {} bits of preset {} ({} of linears)", preset_.default_bits, preset_.name,
                         human_bytes(pick(limit_)));
    const std::string text = text_of(budget_);
    if (holds<BitsBudget>() || holds<StockBudget>())
      return fmt::format("{} ({} of linears)", text, human_bytes(pick(limit_)));
    return text;
  }

  std::string subject() const {
    const std::string plan = preset_.spends()
                                 ? "the smallest plan"
                                 : fmt::format("the smallest plan of preset {}", problem_.request().preset);
    if (holds<SizeBudget>()) return fmt::format("the output of {} has", plan);
    if (two_memories(problem_.request()) != nullptr)
      return fmt::format("with cache and runtime, and without experts, {} takes", plan);
    if (holds<MemoryBudget>()) return fmt::format("with cache and runtime {} takes", plan);
    if (limit_.counts() == Count::blocks && count_ == Count::all) return fmt::format("with {}, {} has", heads(), plan);
    return plan + " has";
  }

  /// "lm_head as fp8_channel": what is outside of the blocks and counted.
  std::string heads() const {
    std::string text;
    for (const Bundle& bundle : problem_.bundles())
      if (!bundle.in_block && problem_.counts(bundle.groups.front())) {
        const Choice& least = *std::ranges::min_element(bundle.choices, {}, &Choice::bytes);
        text += fmt::format("{}{} as {}", text.empty() ? "" : " and ", a_.groups[bundle.groups.front()].name,
                            least.codec->name);
      }
    return text;
  }

  std::string advice() const {
    if (holds<BitsBudget>()) return fmt::format("; give --bits {:.3f} or more", bits_for(a_, needed_, kStepOfBits));
    if (holds<SizeBudget>())
      return fmt::format("; give --size {} or more ({})", exact_size(least_), human_bytes(least_));
    if (holds<MemoryBudget>())
      return fmt::format("; give --fit {} or more ({})", exact_size(least_), human_bytes(least_));
    return "; name a larger mix or file";
  }

  /// What the user has decided about groups, when the budget could be met without it.
  std::string blame() const {
    const PlanRequest& request = problem_.request();
    std::vector<std::string> options;
    if (!request.keep.empty()) options.emplace_back("--keep");
    if (!request.assign.empty()) options.emplace_back("--assign");
    if (!request.at_least.empty()) options.emplace_back("--at-least");
    if (!request.embed_codec.empty()) options.emplace_back("--embed-codec");
    if (!request.prior.is_null()) options.emplace_back("--prior");
    if (options.empty()) return "";
    const Problem free = problem_.without_decisions();
    const Assignment least = preset_.smallest(free);
    const ByteLimit needed = needed_limit(free, least, limit_.counts());
    if (needed.blocks > limit_.blocks || needed.all > limit_.all) return "";
    return fmt::format("; {} stand{} in the way: without {}, {} {}", fmt::join(options, " and "),
                       options.size() == 1 ? "s" : "", options.size() == 1 ? "it" : "them", subject(),
                       amount(spent(least, pick(needed))));
  }

  /// The targets that the budget can be met for, of presets that choose among the target's codecs.
  std::string others() const {
    if (!preset_.spends() || !problem_.request().codecs.empty() || two_memories(problem_.request()) != nullptr)
      return "";
    std::string text;
    for (const Target& other : targets()) {
      if (other.name == problem_.target().name) continue;
      if (!why_not_family(other, a_).empty()) continue;
      std::uint64_t sum = 0;
      for (std::size_t g = 0; g < a_.groups.size(); ++g)
        if ((count_ == Count::all && problem_.counts(g)) || a_.groups[g].block != model::kNoBlock)
          sum += smallest_for(other, g);
      if (sum + least_ - pick(needed_) <= allowed())
        text += fmt::format("{}--for {} (down to {})", text.empty() ? "; possible with " : ", ", other.name,
                            amount(sum + least_ - pick(needed_)));
    }
    return text;
  }

  std::uint64_t smallest_for(const Target& other, std::size_t group) const {
    std::uint64_t smallest = problem_.bytes(group, codec::by_name("keep"));
    for (const codec::Codec& codec : codec::all())
      if (why_not_group(other, codec, a_, a_.groups[group], other.cuts ? problem_.request().parts : 1).empty() &&
          holds(group, codec))
        smallest = std::min(smallest, problem_.bytes(group, codec));
    return smallest;
  }

  bool holds(std::size_t group, const codec::Codec& codec) const {
    return std::ranges::all_of(a_.groups[group].linears, [&](std::size_t l) {
      return why_not_shape(codec, a_.linears[l].rows, a_.linears[l].cols).empty();
    });
  }

  const Problem& problem_;
  const model::Architecture& a_;
  const Preset& preset_;
  ByteLimit limit_, needed_;
  Count count_ = Count::all;
  Budget budget_;
  double weights_ = 0.0;     ///< of the linears that count
  std::uint64_t least_ = 0;  ///< what the smallest plan takes of the budget
};

/// The refusal of main memory that cannot hold what lies in it, which takes `needed` bytes at least.
[[noreturn]] void refuse_experts(const Problem& problem, std::uint64_t needed) {
  const model::Architecture& a = problem.architecture();
  const std::uint64_t least = needed + main_memory_beside(a);
  fail(
      "--fit-experts {} cannot be met for {}: with the runtime, experts and embedding of the smallest plan take {}; "
      "give "
      "--fit-experts {} or more ({})",
      exact_size(two_memories(problem.request())->expert_bytes), problem.target().name, human_bytes(least),
      exact_size(least), human_bytes(least));
}

}  // namespace

void refuse(const Problem& problem, ByteLimit limit, const Assignment& least) {
  if (const std::uint64_t needed = needed_limit(problem, least, Count::all).main; needed > limit.main)
    refuse_experts(problem, needed);
  fail("{}", Refusal(problem, limit, least).text());
}

}  // namespace strata::pipeline
