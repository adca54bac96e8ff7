// scores.json written and read. Everything read is held against the model that it claims to be of.
// Numbers are written with as many digits as reading them back exactly takes.
#include "importance/scores.h"

#include <cmath>

namespace strata::importance {
namespace {

constexpr const char* kFormat = "strata scores";

std::string_view fit_name(codec::ScaleFit fit) { return fit == codec::ScaleFit::search ? "search" : "minmax"; }

/// object[key], which must be of a kind; `where` opens the sentence.
const json& member(const json& object, const char* key, json::value_t kind, const std::string& where) {
  const auto it = object.find(key);
  if (it == object.end()) fail("{}: '{}' is missing; the file is not a complete scores file", where, key);
  if (it->type() != kind)
    fail("{}: '{}' is a JSON {}, expected {}", where, key, it->type_name(), json(kind).type_name());
  return *it;
}

/// A finite number >= `least`.
double number(const json& value, double least, const std::string& where) {
  if (!value.is_number()) fail("{} is a JSON {}, expected a number", where, value.type_name());
  const auto result = value.get<double>();
  if (!std::isfinite(result)) fail("{} is not finite", where);
  if (result < least) fail("{} is {}, less than {}", where, result, least);
  return result;
}

std::vector<double> numbers(const json& list, std::size_t count, double least, const std::string& where) {
  if (list.size() != count)
    fail("{} has {} values where the model has {}; score it with the --for that it is planned for", where, list.size(),
         count);
  std::vector<double> result;
  for (const json& value : list) result.push_back(number(value, least, fmt::format("{}[{}]", where, result.size())));
  return result;
}

json to_json(const LinearScores& linear) {
  json codecs = json::object();
  for (const CodecScore& score : linear.codecs)
    codecs[score.codec->name] = {{"bytes", score.bytes}, {"error", score.error}, {"relative", linear.relative(score)}};
  return {{"module", linear.module}, {"normalizer", linear.normalizer}, {"codecs", std::move(codecs)}};
}

LinearScores read_linear(const json& value, const model::Linear& linear, const std::string& where) {
  LinearScores result;
  result.module = get<std::string>(value, "module", where);
  if (result.module != linear.module) fail("{}: is '{}' where the model has '{}'", where, result.module, linear.module);
  const std::string at = fmt::format("{}: {}", where, linear.module);
  if (!value.contains("normalizer")) fail("{}: 'normalizer' is missing", at);
  result.normalizer = number(value["normalizer"], 0.0, at + ": 'normalizer'");
  for (const auto& [name, entry] : member(value, "codecs", json::value_t::object, at).items()) {
    const codec::Codec* codec = codec::find(name);
    if (codec == nullptr) fail("{}: there is no codec '{}'; score the model again with this version", at, name);
    const std::string place = fmt::format("{}: {}", at, name);
    if (const std::string why = codec::why_not(*codec, linear.rows, linear.cols); !why.empty())
      fail("{}: the codec cannot hold this linear: {}", place, why);
    const auto bytes = get<std::uint64_t>(entry, "bytes", place);
    const std::uint64_t exact = codec::stored_bytes(*codec, linear.rows, linear.cols);
    if (bytes != exact) fail("{}: 'bytes' is {}, but the codec needs {}", place, bytes, exact);
    if (!entry.contains("error")) fail("{}: 'error' is missing", place);
    result.codecs.push_back({codec, bytes, number(entry["error"], 0.0, place + ": 'error'")});
  }
  return result;
}

/// What a signal has a value of, as the member of the file is called.
std::string_view kind_of(const Signal& signal) {
  if (signal.of_linear != nullptr) return "linears";
  if (signal.of_choices != nullptr) return "choices";
  return signal.of_groups != nullptr ? "groups" : "blocks";
}

void check_known(const std::string& name, std::string_view kind, const std::string& where) {
  for (const Signal& signal : signals())
    if (signal.name == name && kind_of(signal) == kind) return;
  fail("{}: there is no signal '{}' of {}; score the model again with this version", where, name, kind);
}

json to_json(const BlockScores& scores, const Signal& signal) {
  json value = {{"higher_is_important", signal.direction == Direction::higher_is_important}, {"values", scores.values}};
  if (!scores.standard_errors.empty()) value["stderr"] = scores.standard_errors;
  return value;
}

/// The member "blocks" or "groups": `count` values a signal.
std::map<std::string, BlockScores> read_values(const json& value, const char* kind, std::size_t count,
                                               const std::string& where) {
  std::map<std::string, BlockScores> result;
  for (const auto& [name, entry] : member(value, kind, json::value_t::object, where).items()) {
    check_known(name, kind, where);
    const std::string at = fmt::format("{}: {}", where, name);
    BlockScores& scores = result[name];
    const double least = std::string_view(kind) == "groups" ? 0.0 : -INFINITY;
    scores.values = numbers(member(entry, "values", json::value_t::array, at), count, least, at + ": values");
    if (entry.contains("stderr"))
      scores.standard_errors = numbers(member(entry, "stderr", json::value_t::array, at), count, 0.0, at + ": stderr");
  }
  return result;
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

std::vector<Measurement> read_measurements(const json& value, const model::Architecture& a,
                                           const model::FusionGroup& group, const std::string& where) {
  const std::string at = fmt::format("{}: {}", where, group.name);
  if (!value.is_object()) fail("{}: is a JSON {}, expected object", at, value.type_name());
  std::vector<Measurement> result;
  for (const auto& [name, entry] : value.items()) {
    const codec::Codec* codec = codec::find(name);
    if (codec == nullptr) fail("{}: there is no codec '{}'; score the model again with this version", at, name);
    for (const std::size_t l : group.linears)
      if (const std::string why = codec::why_not(*codec, a.linears[l].rows, a.linears[l].cols); !why.empty())
        fail("{}: {}: the codec cannot hold this group: {}", at, name, why);
    const std::string place = fmt::format("{}: {}", at, name);
    for (const char* key : {"value", "stderr"})
      if (!entry.contains(key)) fail("{}: '{}' is missing", place, key);
    result.push_back(
        {codec, number(entry["value"], 0.0, place + ": 'value'"), number(entry["stderr"], 0.0, place + ": 'stderr'")});
  }
  return result;
}

}  // namespace

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
  json value = {{"format", kFormat}, {"version", kVersion}, {"model", {{"fingerprint", fingerprint}}}};
  value["calibration"] = calibration.to_json();
  json of_blocks = json::object(), of_groups = json::object(), of_linears = json::object(), of_choices = json::object();
  for (const Signal& signal : signals()) {
    const std::string name(signal.name);
    if (const auto it = blocks.find(name); it != blocks.end())
      of_blocks[name] = importance::to_json(it->second, signal);
    if (const auto it = groups.find(name); it != groups.end())
      of_groups[name] = importance::to_json(it->second, signal);
    if (const auto it = choices.find(name); it != choices.end()) of_choices[name] = importance::to_json(it->second);
    if (const auto it = linears.find(name); it != linears.end()) {
      json list = json::array();
      for (const LinearScores& linear : it->second) list.push_back(importance::to_json(linear));
      of_linears[name] = {{"scales", fit_name(fit)}, {"linears", std::move(list)}};
    }
  }
  value["blocks"] = std::move(of_blocks);
  value["groups"] = std::move(of_groups);
  value["linears"] = std::move(of_linears);
  if (!of_choices.empty()) value["choices"] = std::move(of_choices);
  return value;
}

Scores Scores::from_json(const json& value, const model::Model& model, const std::string& where) {
  const model::Architecture& a = model.architecture();
  if (!value.is_object() || value.value("format", json()) != kFormat)
    fail("{}: is not a scores file; make one with `strata score`", where);
  if (const auto version = get<std::uint64_t>(value, "version", where); version != kVersion)
    fail("{}: has version {}, and this program reads {}; score the model again", where, version, kVersion);
  Scores scores;
  scores.fingerprint = get<std::string>(member(value, "model", json::value_t::object, where), "fingerprint", where);
  if (scores.fingerprint != model.fingerprint())
    fail("{}: are the scores of another model (fingerprint {}, {} has {}); score this one", where, scores.fingerprint,
         model.path().string(), model.fingerprint());
  scores.calibration =
      CalibrationSource::from_json(member(value, "calibration", json::value_t::object, where), where + ": calibration");
  scores.blocks = read_values(value, "blocks", a.blocks, where);
  scores.groups = read_values(value, "groups", a.groups.size(), where);
  for (const auto& [name, entry] : member(value, "linears", json::value_t::object, where).items()) {
    check_known(name, "linears", where);
    const std::string at = fmt::format("{}: {}", where, name);
    const auto scales = get<std::string>(entry, "scales", at);
    if (scales != "search" && scales != "minmax") fail("{}: 'scales' is \"{}\"", at, scales);
    scores.fit = scales == "search" ? codec::ScaleFit::search : codec::ScaleFit::minmax;
    const json& list = member(entry, "linears", json::value_t::array, at);
    if (list.size() != a.linears.size())
      fail("{}: has {} linears for the model's {}", at, list.size(), a.linears.size());
    for (std::size_t i = 0; i < list.size(); ++i)
      scores.linears[name].push_back(read_linear(list[i], a.linears[i], at));
  }
  if (!value.contains("choices")) return scores;
  for (const auto& [name, entry] : member(value, "choices", json::value_t::object, where).items()) {
    check_known(name, "choices", where);
    const std::string at = fmt::format("{}: {}", where, name);
    const json& list = member(entry, "groups", json::value_t::array, at);
    if (list.size() != a.groups.size()) fail("{}: has {} groups for the model's {}", at, list.size(), a.groups.size());
    for (std::size_t g = 0; g < list.size(); ++g)
      scores.choices[name].push_back(read_measurements(list[g], a, a.groups[g], at));
  }
  return scores;
}

}  // namespace strata::importance
