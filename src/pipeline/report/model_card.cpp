// The YAML head follows https://huggingface.co/docs/hub/model-cards. Versions of runtimes are those of tests/peers.
// What a model was called on the hub is read off the folder of its snapshot.
#include "pipeline/report/model_card.h"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "core/file.h"
#include "core/units.h"
#include "hub/cache.h"
#include "model/carried.h"
#include "model/model_name.h"
#include "pipeline/output/card_file.h"
#include "pipeline/plan/least_version.h"

namespace strata::pipeline {
namespace {

constexpr std::size_t kMostHeadLine = 200, kMostHead = 800;
constexpr double kNormal95 = 1.96;  ///< standard errors on each side of a 95 % interval

/// Keys of the source's head that hold for what is made from it.
constexpr std::array<std::string_view, 6> kKeptKeys = {"license",  "license_name", "license_link",
                                                       "language", "pipeline_tag", "library_name"};

/// How a runtime loads a folder, by the beginning of the target's name.
struct Loading {
  std::string_view runtime, text;
};
constexpr auto kLoading = std::to_array<Loading>({
    {"vllm", "vLLM (tried with 0.32) loads it: `vllm serve FOLDER`. How the weights are stored is in config.json."},
    {"transformers",
     "transformers (tried with 5.23 and compressed-tensors 0.20) loads it: "
     "`AutoModelForCausalLM.from_pretrained(\"FOLDER\")`."},
    {"mlx",
     "mlx_lm (tried with 0.32) loads it: `mlx_lm.generate --model FOLDER`. How each module is stored is in "
     "config.json."},
});

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    if (lines.back().ends_with('\r')) lines.back().pop_back();
    at = end + 1;
  }
  return lines;
}

bool is_plain(const std::string& line) {
  return line.size() <= kMostHeadLine &&
         std::ranges::all_of(line, [](unsigned char c) { return c >= 0x20 && c < 0x7F; });
}

std::string source_card(const model::Model& model) {
  constexpr std::uint64_t most_bytes = 16u << 20;
  for (const model::Companion& companion : model.companions())
    if (companion.name == kCardName && companion.bytes <= most_bytes && !companion.file.empty())
      return read_text_file(companion.file);
  return {};
}

std::string head(const CardFacts& facts) {
  std::string kept = kept_head(source_card(facts.model));
  const std::string hub = hub::repository_of(facts.model.path());
  std::string text = "---\n";
  if (!hub.empty()) text += fmt::format("base_model: {}\nbase_model_relation: quantized\n", hub);
  if (kept.find("library_name:") == std::string::npos) text += "library_name: transformers\n";
  text += kept;
  return text + "tags:\n- strata\n- quantized\n- compressed-tensors\n---\n";
}

/// "int4_g64 67 %, keep 33 %": shares of the plan's weights.
std::string codec_shares(const Plan& plan) {
  std::map<std::string_view, std::uint64_t> weights;
  for (const PlannedGroup& group : plan.groups)
    if (!group.left_dense) weights[group.codec->name] += group.weights;
  std::vector<std::pair<std::uint64_t, std::string_view>> order;
  for (const auto& [name, count] : weights) order.emplace_back(count, name);
  std::ranges::sort(
      order, [](const auto& a, const auto& b) { return std::tie(b.first, a.second) < std::tie(a.first, b.second); });
  std::vector<std::string> texts;
  for (const auto& [count, name] : order)
    texts.push_back(
        fmt::format("{} {:.1f} %", name, 100.0 * static_cast<double>(count) / static_cast<double>(plan.weights())));
  constexpr std::size_t shown = 10;
  if (texts.size() > shown) texts.resize(shown), texts.emplace_back("...");
  return fmt::format("{}", fmt::join(texts, ", "));
}

std::string figures(const CardFacts& facts) {
  std::string text = fmt::format(
      "| | |\n|---|---|\n| bits per weight in the blocks | {:.3f} |\n| size of all files | {} bytes ({}) |\n"
      "| codecs, by weights | {} |\n| rounding | {} |\n",
      facts.plan.bits(), facts.bytes, human_bytes(facts.bytes), codec_shares(facts.plan), facts.method);
  if (facts.plan.smoothing != 0.0)
    text += fmt::format("| scaled before rounding | channels of what linears read (SmoothQuant, alpha {}) |\n",
                        facts.plan.smoothing);
  if (!facts.model.architecture().why_not_runnable.empty())
    return text + "\nNothing was run and so nothing was measured, since strata does not know this model_type.\n";
  const eval::Evaluation* measured = facts.measured;
  if (measured == nullptr || !measured->kl_divergence)
    return text + "\nThe result was not measured against the original (`--no-verify`).\n";
  const eval::KlDivergence& kl = *measured->kl_divergence;
  const double half = kNormal95 * kl.standard_error.value_or(0.0);
  text += fmt::format("| KL divergence from the original | {:.5f} nats a token", kl.mean);
  if (kl.standard_error)
    text += fmt::format(", 95 % interval {:.5f} to {:.5f}", std::max(0.0, kl.mean - half), kl.mean + half);
  text += " |\n";
  if (measured->as_it_runs && measured->as_it_runs->kl_divergence)
    text += fmt::format("| with activations as they are rounded when it runs ({}) | {:.5f} nats a token |\n",
                        measured->as_it_runs->describe(), measured->as_it_runs->kl_divergence->mean);
  if (measured->top1_agreement)
    text += fmt::format("| same most likely token | {:.2f} % of positions |\n", 100.0 * *measured->top1_agreement);
  if (measured->ref_perplexity)
    text +=
        fmt::format("| perplexity | {:.3f} (original: {:.3f}) |\n", measured->perplexity, *measured->ref_perplexity);
  return text + fmt::format("\nMeasured on {}.\n", measured->measured_on().substr(0, kMostHeadLine));
}

/// " It needs vLLM 0.29 or newer."; empty where the target says no version.
std::string needed_version(const CardFacts& facts) {
  const std::string_view version = least_version(facts.target, facts.plan, facts.model.architecture());
  return version.empty() ? "" : fmt::format(" It needs {} or newer.", version);
}

std::string loading(const CardFacts& facts) {
  const Target& target = facts.target;
  if (!facts.model.architecture().why_not_runnable.empty())
    return fmt::format("Made for {} ({}); whether it loads models of this type was not tried.\n", target.name,
                       target.description);
  for (const Loading& row : kLoading)
    if (target.name.starts_with(row.runtime))
      return fmt::format("Made for {} ({}). {}{}\n", target.name, target.description, row.text, needed_version(facts));
  return fmt::format("Made for {} ({}).\n", target.name, target.description);
}

}  // namespace

std::string kept_head(const std::string& card) {
  const std::vector<std::string> lines = lines_of(card);
  if (lines.empty() || lines.front() != "---") return {};
  const auto end = std::find(lines.begin() + 1, lines.end(), "---");
  if (end == lines.end()) return {};
  std::string kept, entry;
  bool keeps = false;
  const auto take = [&] {
    if (keeps && kept.size() + entry.size() <= kMostHead) kept += entry;
    entry.clear();
  };
  for (auto line = lines.begin() + 1; line != end; ++line) {
    const bool continues = line->empty() || line->front() == ' ' || line->front() == '-';
    if (!continues) {
      take();
      keeps = std::ranges::count(kKeptKeys, std::string_view(*line).substr(0, line->find(':'))) != 0;
    }
    keeps = keeps && is_plain(*line);
    if (!line->empty()) entry += *line + "\n";
  }
  take();
  return kept;
}

std::string model_card(const CardFacts& facts) {
  const std::string parts = model::describe_carried(model::carried_parts(facts.model));
  std::string text = head(facts);
  text += fmt::format("\n# {0}, quantized\n\nMade from {0} by strata.\n", model::model_name(facts.model.path()));
  std::string rest = fmt::format("\n{}\n{}", figures(facts), loading(facts));
  if (!parts.empty())
    rest += fmt::format("\nCarried over byte for byte from the original, neither run nor measured: {}.\n", parts);
  if (!source_card(facts.model).empty()) rest += fmt::format("\nThe card of the original: {}.\n", kSourceCardName);
  const std::size_t fence = 16, room = most_card_text() - std::min(most_card_text(), text.size() + rest.size() + fence);
  std::string command = facts.command.substr(0, room);
  if (command.size() < facts.command.size() && room > 4) command.replace(room - 4, 4, " ...");
  if (!command.empty()) text += fmt::format("\n```\n{}\n```\n", command);
  text += rest;
  return text.substr(0, most_card_text());
}

}  // namespace strata::pipeline
