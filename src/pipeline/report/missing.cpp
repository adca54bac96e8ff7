// One entry for each part that a report can have.
// A command that was run already is not given as advice again unless something is different this time.
#include "pipeline/report/missing.h"

#include <algorithm>
#include <vector>

#include "pipeline/report/data.h"
#include "pipeline/report/text_in.h"

namespace strata::pipeline {
namespace {

/// The path of a part as a shell word, or the placeholder where the data does not know it.
std::string path_of(const json& data, const char* part, const char* placeholder) {
  const std::string path = text_in(data, part, "path");
  return path.empty() ? placeholder : shell_command(std::vector{path});
}

/// "lim, zd"; empty without scores.
std::string signal_names(const json& data) {
  std::string names;
  if (const auto list = data.find("signals"); list != data.end() && list->is_array())
    for (const json& signal : *list) names += (names.empty() ? "" : ", ") + text_in(signal, "name");
  return names;
}

bool has_costs(const json& data) { return !text_in(data, "plan", "cost_signal").empty(); }

std::string why_no_costs(const json& data, const std::string& signals) {
  if (!signals.empty())
    return fmt::format(
        "The scores hold {}, and none of these prices what a codec costs a linear; score without --signals.", signals);
  return text_in(data, "plan", "preset") == "prior" ? "The preset prior follows rules; nothing was measured for it."
                                                    : "";
}

}  // namespace

json missing_parts(const json& data) {
  const std::string model = path_of(data, "model", "MODEL"), out = path_of(data, "output", "OUT");
  const std::string signals = signal_names(data), with_ref = fmt::format("strata report {} --ref {}", out, model);
  const std::string score = fmt::format("strata score {} -o scores.json", model),
                    add_scores = with_ref + " --scores scores.json";
  json missing = json::array();
  const auto add = [&](const char* part, const char* title, const std::string& why, std::vector<std::string> commands) {
    missing.push_back({{"part", part}, {"title", title}, {"commands", std::move(commands)}});
    if (!why.empty()) missing.back()["why"] = why;
  };
  const auto lacks = [&](const char* part) { return !data.contains(part); };
  if (lacks("plan"))
    add("plan", "Bits of every linear", "", {fmt::format("strata quantize {} -o {} --bits 4.5", model, out)});
  if (lacks("evaluations"))
    add("evaluations", "What it cost", "",
        {fmt::format("strata eval {} --ref {} --text FILE -o eval.json", out, model),
         fmt::format("strata report {} --eval eval.json", out)});
  if (lacks("signals")) add("signals", "Importance signals", "", {score, add_scores});
  if (lacks("pareto")) add("pareto", "Other sizes", why_no_costs(data, signals), {score, add_scores});
  if (!lacks("plan") && !has_costs(data))
    add("losses", "Where the loss comes from", why_no_costs(data, signals), {score, add_scores});
  if (lacks("judge"))
    add("judge", "How good each signal is",
        (", " + signals + ",").find(", kl,") == std::string::npos ? "" : "The scores hold kl of too few groups.",
        {score + " --judge", add_scores});
  if (lacks("sweep"))
    add("sweep", "Lowering blocks one after another", "",
        {fmt::format("strata sweep {} -o sweep", model), fmt::format("strata report {} --sweep sweep", out)});
  if (lacks("texts")) add("texts", "Text of both models", "", {with_ref + " --texts"});
  return missing;
}

}  // namespace strata::pipeline
