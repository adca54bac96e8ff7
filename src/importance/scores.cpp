// scores.json written, and scores as a part of a snapshot.
// Numbers are written with as many digits as reading them back exactly takes.
#include "importance/scores.h"

namespace strata::importance {
namespace {

json to_json(const LinearScores& linear) {
  json codecs = json::object();
  for (const CodecScore& score : linear.codecs)
    codecs[score.codec->name] = {{"bytes", score.bytes},
                                 {"error", score.error},
                                 {"stderr", score.standard_error},
                                 {"relative", linear.relative(score)}};
  return {{"module", linear.module}, {"normalizer", linear.normalizer}, {"codecs", std::move(codecs)}};
}

json to_json(const std::vector<LinearScores>& linears, codec::ScaleFit fit) {
  json list = json::array();
  for (const LinearScores& linear : linears) list.push_back(to_json(linear));
  return {{"scales", fit_name(fit)}, {"linears", std::move(list)}};
}

json to_json(const ItemScores& scores, const Signal& signal) {
  json value = {{"higher_is_important", signal.direction == Direction::higher_is_important}, {"values", scores.values}};
  if (!scores.standard_errors.empty()) value["stderr"] = scores.standard_errors;
  return value;
}

json to_json(const std::vector<std::vector<Measurement>>& choices) {
  json groups = json::array();
  for (const std::vector<Measurement>& group : choices) {
    json codecs = json::object();
    for (const Measurement& m : group) codecs[m.codec->name] = {{"value", m.value}, {"stderr", m.standard_error}};
    groups.push_back(std::move(codecs));
  }
  return {{"groups", std::move(groups)}};
}

/// Adds what both the file and each of its sets hold.
void add_values(json& value, const Scores& scores) {
  value["calibration"] = scores.calibration.to_json();
  for (const char* kind : {"blocks", "modules", "groups", "linears"}) value[kind] = json::object();
  for (const Signal& signal : signals()) {
    const std::string name(signal.name);
    const auto add = [&](const char* kind, const auto& values, const auto&... how) {
      if (const auto it = values.find(name); it != values.end()) value[kind][name] = to_json(it->second, how...);
    };
    add("blocks", scores.blocks, signal);
    add("modules", scores.modules, signal);
    add("groups", scores.groups, signal);
    add("linears", scores.linears, scores.fit);
    add("choices", scores.choices);
    if (const auto it = scores.stability.find(name); it != scores.stability.end())
      value["stability"][name] = it->second;
  }
}

}  // namespace

std::string_view fit_name(codec::ScaleFit fit) { return fit == codec::ScaleFit::search ? "search" : "minmax"; }

std::string_view combine_name(Combine how) { return how == Combine::mean ? "mean" : "max"; }

void visit(ItemScores& scores, Snapshot& snapshot) {
  snapshot(scores.values);
  snapshot(scores.standard_errors);
}

void visit(CodecScore& score, Snapshot& snapshot) {
  std::string name = snapshot.reads() ? std::string() : score.codec->name;
  snapshot(name);
  score.codec = codec::find(name);
  if (score.codec == nullptr) snapshot.damaged();
  snapshot(score.bytes);
  snapshot(score.error);
  snapshot(score.standard_error);
}

void visit(LinearScores& scores, Snapshot& snapshot) {
  snapshot(scores.module);
  snapshot(scores.normalizer);
  snapshot(scores.codecs);
}

double relative_error(const std::vector<LinearScores>& scores, const model::FusionGroup& group,
                      const codec::Codec& codec) {
  double sum = 0;
  for (const std::size_t l : group.linears)
    for (const CodecScore& score : scores[l].codecs)
      if (score.codec == &codec) sum += scores[l].relative(score);
  return sum;
}

std::vector<double> Scores::importance(std::string_view signal) const {
  const auto it = blocks.find(std::string(signal));
  if (it == blocks.end()) fail("the scores hold no signal '{}' of blocks; score the model with it", signal);
  std::vector<double> values = it->second.values;
  if (signal_by_name(signal).direction == Direction::smaller_is_important)
    for (double& value : values) value = -value;
  return values;
}

json Scores::to_json() const {
  json value = {{"format", "strata scores"}, {"version", kVersion}, {"model", {{"fingerprint", fingerprint}}}};
  if (!rounded_inputs.empty()) value["rounded_inputs"] = rounded_inputs;
  if (smoothing != 0.0) value["smoothing"] = smoothing;
  add_values(value, *this);
  if (!routed_tokens.empty()) value["routed_tokens"] = routed_tokens;
  if (sets.empty()) return value;
  value["combine"] = combine_name(combine);
  for (const Scores& set : sets) add_values(value["sets"].emplace_back(json::object()), set);
  for (std::size_t i = 0; i < sets.size(); ++i)
    for (std::size_t j = i + 1; j < sets.size(); ++j)
      value["agreement"].push_back({{"sets", {i, j}}, {"spearman", rank_agreement(sets[i], sets[j])}});
  return value;
}

}  // namespace strata::importance
