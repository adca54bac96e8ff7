// Signals and the judge as a report shows them.
// Values are given by block, linear or group, in the model's order; docs/files.md has the schema.
#include "pipeline/report/score_parts.h"

#include <algorithm>

#include "importance/judge.h"

namespace strata::pipeline {
namespace {

json signal_json(const importance::Signal& signal, const char* of) {
  return {{"name", signal.name},
          {"of", of},
          {"meaning", signal.meaning},
          {"higher_is_important", signal.direction == importance::Direction::higher_is_important}};
}

json values_json(const importance::Signal& signal, const char* of, const importance::ItemScores& scores) {
  json entry = signal_json(signal, of);
  entry["values"] = scores.values;
  if (!scores.standard_errors.empty()) entry["stderr"] = scores.standard_errors;
  return entry;
}

/// A signal that has a value for every codec is drawn at int4_g64, or else at the first codec that it was scored with.
json linears_json(const importance::Signal& signal, const std::vector<importance::LinearScores>& scores) {
  const codec::Codec* shown = nullptr;
  for (const importance::LinearScores& linear : scores)
    for (const importance::CodecScore& score : linear.codecs)
      if (score.codec->has_codes() && (shown == nullptr || score.codec->name == std::string_view("int4_g64")))
        shown = score.codec;
  if (shown == nullptr) return {};
  json entry = signal_json(signal, "linear");
  entry["codec"] = shown->name;
  entry["values"] = json::array();
  for (const importance::LinearScores& linear : scores) {
    const auto it = std::ranges::find(linear.codecs, shown, &importance::CodecScore::codec);
    entry["values"].push_back(it == linear.codecs.end() ? json() : json(linear.relative(*it)));
  }
  return entry;
}

json choices_json(const importance::Signal& signal, const std::vector<std::vector<importance::Measurement>>& groups,
                  const codec::Codec& shown) {
  json entry = signal_json(signal, "group");
  entry["codec"] = shown.name;
  entry["values"] = entry["stderr"] = json::array();
  for (const auto& group : groups) {
    const auto it = std::ranges::find(group, &shown, &importance::Measurement::codec);
    entry["values"].push_back(it == group.end() ? json() : json(it->value));
    entry["stderr"].push_back(it == group.end() ? json() : json(it->standard_error));
  }
  return entry;
}

json entry_of(const importance::Signal& signal, const importance::Scores& scores) {
  const std::string name(signal.name);
  if (const auto it = scores.blocks.find(name); it != scores.blocks.end())
    return values_json(signal, "block", it->second);
  if (const auto it = scores.modules.find(name); it != scores.modules.end())
    return values_json(signal, "linear", it->second);
  if (const auto it = scores.groups.find(name); it != scores.groups.end())
    return values_json(signal, "group", it->second);
  if (const auto it = scores.linears.find(name); it != scores.linears.end()) return linears_json(signal, it->second);
  if (const auto it = scores.choices.find(name); it != scores.choices.end())
    return choices_json(signal, it->second, importance::judged_codec(scores));
  return {};
}

}  // namespace

json signals_part(const importance::Scores& scores, const std::string& command) {
  json list = json::array();
  for (const importance::Signal& signal : importance::signals()) {
    json entry = entry_of(signal, scores);
    if (entry.is_null()) continue;
    entry["calibration"] = scores.calibration.text();
    if (const auto it = scores.stability.find(std::string(signal.name)); it != scores.stability.end())
      entry["stability"] = it->second;
    entry["command"] = command;
    list.push_back(std::move(entry));
  }
  return list;
}

json judge_part(const importance::Scores& scores, const model::Architecture& a,
                const std::map<std::string, double>& seconds, const std::string& command) {
  if (!scores.choices.contains("kl")) return {};
  try {
    const codec::Codec& codec = importance::judged_codec(scores);
    json rows = json::array();
    for (const importance::Judgement& j : importance::judge(scores, a, codec)) {
      const auto it = seconds.find(j.signal);
      rows.push_back({{"signal", j.signal},
                      {"of", j.level},
                      {"spearman", j.spearman},
                      {"top_quarter", j.top_quarter},
                      {"seconds", it == seconds.end() ? json() : json(it->second)}});
    }
    return {{"codec", codec.name}, {"signals", rows}, {"command", command}};
  } catch (const Error&) {
    return {};  // kl was measured for too few groups to rank them; the signals are shown all the same
  }
}

}  // namespace strata::pipeline
