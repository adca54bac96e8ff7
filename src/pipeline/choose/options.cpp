// Declares the options of plans. A budget is one of five, so every option of a budget sets the same variant.
#include "pipeline/choose/options.h"

#include "core/units.h"
#include "importance/signals/prior.h"
#include "pipeline/choose/presets.h"
#include "pipeline/choose/stock_mix.h"
#include "pipeline/plan/shapes.h"

namespace strata::pipeline {
namespace {

/// Declares one of the budgets, of which a request has at most one.
template <class Kind, class Read, class Show>
void declare_budget(OptionVisitor& v, const OptionInfo& info, Budget& budget, const Read& read, const Show& show,
                    const char* placeholder) {
  v.text(
      info, [&budget, read, info](const std::string& word) { give(budget, Kind{read(info, word)}); },
      [&budget, show] {
        const Kind* held = std::get_if<Kind>(&budget);
        return held == nullptr ? json() : json(show(*held));
      },
      placeholder);
}

std::uint64_t read_bytes(const OptionInfo& info, const std::string& word) { return parse_bytes(word, info.name); }

/// A member of the memory budget, which --fit must have begun. Read makes it of a word, Show a word or a number of it.
template <class Member, class Read, class Show>
void declare_in_memory(OptionVisitor& v, const OptionInfo& info, Budget& budget, Member MemoryBudget::*member,
                       const char* use, const Read& read, const Show& show, const char* placeholder) {
  const auto set = [&budget, info, member, use, read](const std::string& word) {
    MemoryBudget* held = std::get_if<MemoryBudget>(&budget);
    if (held == nullptr) fail_usage("{}: says {}; give --fit too, such as --fit 8GiB", info.name, use);
    held->*member = read(info, word);
  };
  const auto get = [&budget, member, show] {
    const MemoryBudget* held = std::get_if<MemoryBudget>(&budget);
    return held == nullptr ? json() : show(held->*member);
  };
  v.text(info, set, get, placeholder);
}

void declare_size_in_memory(OptionVisitor& v, const OptionInfo& info, Budget& budget,
                            std::size_t MemoryBudget::*member) {
  declare_in_memory(
      v, info, budget, member, "what must fit beside the weights", parse_count,
      [](std::size_t count) { return json(count); }, "N");
}

void declare_expert_memory(OptionVisitor& v, Budget& budget) {
  declare_in_memory(
      v,
      {.name = "--fit-experts",
       .help = "llama.cpp: main memory that holds a mixture's experts, --fit being a GPU's that holds all else",
       .example = "96GiB"},
      budget, &MemoryBudget::expert_bytes, "where experts lie that do not fit on a GPU", read_bytes,
      [](std::uint64_t bytes) { return bytes == 0 ? json() : json(exact_size(bytes)); }, "SIZE");
}

/// The levels as the user gave them, since what a threshold means depends on the signal.
void declare_levels(OptionVisitor& v, PlanRequest& r) {
  v.option({.name = "--levels",
            .help = "lwq: blocks by importance, such as int8_channel:5,int4_g64:10,int2_g32 (counts) or "
                    "int8_channel>=-0.1,int4_g64 (the signal's values; <= for zd)",
            .example = "int8_channel:1,int4_g64"},
           r.levels);
}

/// "best: least estimated cost ...; uniform:CODEC: one codec ...".
std::string preset_meanings() {
  std::string text;
  for (const Preset& preset : presets())
    text += fmt::format("{}{}: {}", text.empty() ? "" : "; ", preset.usage, preset.meaning);
  return text;
}

void declare_lwq(OptionVisitor& v, PlanRequest& r) {
  v.heading("Presets lwq and three-tier");
  v.option({.name = "--signal", .help = "The signal that orders the blocks", .example = "zd"}, r.signal);
  v.option({.name = "--high", .help = "lwq: codec of the important blocks", .example = "int8_channel"}, r.high);
  v.option({.name = "--low", .help = "lwq: codec of the others", .example = "int3_g64"}, r.low);
  declare_levels(v, r);
  v.option({.name = "--n-high",
            .help = "lwq: number of important blocks (default: as many as the budget allows)",
            .example = "10"},
           r.n_high);
}

void declare_prior(OptionVisitor& v, PlanRequest& r) {
  v.text(
      {.name = "--prior",
       .help = "Rules (docs/files.md) in place of the literature's; with presets other than prior, only what they "
               "keep in bf16 counts",
       .example = "rules.json"},
      [&r](const std::string& file) {
        r.prior = read_json_file(file);
        importance::Prior::from_json(r.prior, file);
      },
      [&r] { return r.prior; });
}

void declare_codecs(OptionVisitor& v, PlanRequest& r) {
  v.heading("Codecs");
  v.comma_list({.name = "--codecs",
                .help = "Codecs to choose from, separated by commas (default, or stock: all of the target)",
                .example = "int4_g64,int8_channel"},
               r.codecs, "stock");
  v.list({.name = "--keep",
          .help = "Leave linears that match this regular expression in bf16 (repeatable)",
          .example = "down_proj"},
         r.keep);
  v.pairs({.name = "--assign",
           .help = "REGEX=CODEC: give linears that match this codec (repeatable)",
           .example = "down_proj=int8_channel"},
          r.assign, "REGEX=CODEC");
  v.pairs({.name = "--at-least",
           .help = "REGEX=CODEC: give linears that match no fewer bytes than this codec has (repeatable)",
           .example = "down_proj=int8_channel"},
          r.at_least, "REGEX=CODEC");
  v.option(
      {.name = "--embed-codec",
       .help =
           "Codec of the embedding (default: chosen by its cost, for vllm where --size or --fit count it; in presets "
           "without costs 8 bits for llama.cpp and mlx, else bf16)",
       .example = "q6_k"},
      r.embed_codec);
  declare_prior(v, r);
}

}  // namespace

void visit(Budget& budget, OptionVisitor& v) {
  v.heading("Budget (give one)");
  declare_budget<BitsBudget>(
      v,
      {.name = "--bits",
       .help = "Bytes written x 8 / weights, over all linears of the blocks",
       .example = "4.5",
       .least = 0.01,
       .most = 64},
      budget, parse_number, [](const BitsBudget& b) { return b.bits; }, "NUMBER");
  declare_budget<SizeBudget>(
      v, {.name = "--size", .help = "The whole output on disk", .example = "90MiB"}, budget, read_bytes,
      [](const SizeBudget& b) { return exact_size(b.bytes); }, "SIZE");
  declare_budget<KlBudget>(
      v,
      {.name = "--max-kl",
       .help = "The smallest model whose measured KL divergence, in nats per token, stays under "
               "this",
       .example = "0.05",
       .least = 1e-9,
       .most = 1e3},
      budget, parse_number, [](const KlBudget& b) { return b.nats; }, "NUMBER");
  declare_budget<MemoryBudget>(
      v,
      {.name = "--fit",
       .help = "Memory of the runtime with the model, its KV cache and buffers in it",
       .example = "8GiB"},
      budget, read_bytes, [](const MemoryBudget& b) { return exact_size(b.bytes); }, "SIZE");
  declare_expert_memory(v, budget);
  declare_size_in_memory(v,
                         {.name = "--ctx",
                          .help = "--fit: tokens of a sequence in the KV cache (default: 4096)",
                          .example = "8192",
                          .least = 1,
                          .most = 1 << 30},
                         budget, &MemoryBudget::context);
  declare_size_in_memory(v,
                         {.name = "--batch",
                          .help = "--fit: sequences at a time (default: 1)",
                          .example = "8",
                          .least = 1,
                          .most = 1 << 20},
                         budget, &MemoryBudget::batch);
  declare_budget<StockBudget>(
      v,
      {.name = "--like",
       .help = "llama.cpp: the bytes of a GGUF file of this model (its path ends in .gguf), or of llama-quantize's own "
               "mix, better spent: " +
               stock_mix_names(),
       .example = "Q4_K_M"},
      budget, [](const OptionInfo&, const std::string& word) { return word; },
      [](const StockBudget& b) { return b.mix; }, "MIX|FILE");
}

void visit(PlanRequest& r, OptionVisitor& v) {
  visit(r.budget, v);
  v.heading("Plan");
  v.option({.name = "--preset", .help = "How the budget is spent. " + preset_meanings(), .example = "prior"}, r.preset);
  v.option({.name = "--tp",
            .help = "vLLM: number of GPUs that will hold a part of every layer each (tensor_parallel_size; default: 1)",
            .example = "4",
            .least = 1,
            .most = static_cast<double>(kMostParts)},
           r.parts);
  v.choice(
      {.name = "--kv",
       .help = "vLLM: how keys and values are kept while the model runs. fp8: with scales of the calibration text, "
               "which the output holds; its cost is in the measurement of the result",
       .example = "fp8"},
      r.fp8_cache, {{"as-is", false}, {"fp8", true}});
  declare_smoothing(r.smoothing, v);
  v.bytes({.name = "--shard-size", .help = "Largest weight file (default: one file)", .example = "5GB"}, r.shard_bytes);
  declare_codecs(v, r);
  declare_lwq(v, r);
}

json request_record(const PlanRequest& request) {
  json record = {{"preset", request.preset}};
  if (request.method != PlanRequest().method) record["method"] = request.method;
  record.update(record_of(request));
  return record;
}

void check_options(const PlanRequest& request) {
  const Preset& preset = preset_named(request.preset);
  if (!request.levels.empty()) {
    if (preset.name != "lwq") fail_usage("--levels needs --preset lwq, not {}", request.preset);
    if (request.n_high) fail_usage("--levels and --n-high contradict each other; give one");
    parse_levels(request.levels, request.signal);
  }
  if (std::holds_alternative<KlBudget>(request.budget) && preset.needs != Needs::linear_costs)
    fail_usage("--max-kl needs preset best, not {}", request.preset);
  if (preset.spends() && !is_given(request.budget))
    fail_usage(
        "give a budget: --bits 4.5, --size 90MiB, --fit 8GiB or --max-kl 0.05 (or a preset that needs none, such as "
        "--preset uniform:int8_channel)");
}

}  // namespace strata::pipeline
