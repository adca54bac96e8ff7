// scores.json read. Everything is held against the model that the file claims to be of.
// Members that are not read here are for people, or of a later version.
#include <algorithm>
#include <cmath>

#include "importance/scores.h"

namespace strata::importance {
namespace {

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

/// A list by linear or by group as the model has them. Of runtimes that fuse alike, some have the embedding as the last
/// linear and group and some have not (Fusion), and scores serve them all; `nothing` is an entry without a score.
json fitted(json list, std::size_t wanted, const model::Architecture& a, const json& nothing) {
  const bool others_have_it = a.fusion == model::Fusion::fused && a.embedding_query != model::EmbeddingQuery::never;
  const bool others_lack_it = a.fusion == model::Fusion::fused_embedding && a.embedding() != model::kNoLinear;
  if (others_have_it && list.size() == wanted + 1) list.erase(wanted);
  if (others_lack_it && list.size() + 1 == wanted) list.push_back(nothing);
  return list;
}

std::vector<double> numbers(const json& list, std::size_t count, double least, const std::string& where) {
  if (list.size() != count)
    fail("{} has {} values where the model has {}; score it with the --for that it is planned for", where, list.size(),
         count);
  std::vector<double> result;
  for (const json& value : list) result.push_back(number(value, least, fmt::format("{}[{}]", where, result.size())));
  return result;
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
    const double spread = entry.contains("stderr") ? number(entry["stderr"], 0.0, place + ": 'stderr'") : 0.0;
    result.codecs.push_back({codec, bytes, number(entry["error"], 0.0, place + ": 'error'"), spread});
  }
  return result;
}

void check_known(const std::string& name, Level level, std::string_view kind, const std::string& where) {
  for (const Signal& signal : signals())
    if (signal.name == name && signal.level == level) return;
  fail("{}: there is no signal '{}' of {}; score the model again with this version", where, name, kind);
}

/// Reads the member "blocks", "modules" or "groups": `count` values a signal, none less than `least`.
std::map<std::string, ItemScores> read_values(const json& value, const char* kind, Level level,
                                              const model::Architecture& a, double least, const std::string& where) {
  const std::size_t count = level == Level::block    ? a.blocks
                            : level == Level::linear ? a.linears.size()
                                                     : a.groups.size();
  const auto list_of = [&](const json& entry, const char* key, const std::string& at) {
    const json& list = member(entry, key, json::value_t::array, at);
    return level == Level::block ? list : fitted(list, count, a, 0.0);
  };
  std::map<std::string, ItemScores> result;
  for (const auto& [name, entry] : member(value, kind, json::value_t::object, where).items()) {
    check_known(name, level, kind, where);
    const std::string at = fmt::format("{}: {}", where, name);
    ItemScores& scores = result[name];
    scores.values = numbers(list_of(entry, "values", at), count, least, at + ": values");
    if (entry.contains("stderr"))
      scores.standard_errors = numbers(list_of(entry, "stderr", at), count, 0.0, at + ": stderr");
  }
  return result;
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
    result.push_back({codec,
                      number(entry["value"], 0.0, place + ": 'value'"),
                      number(entry["stderr"], 0.0, place + ": 'stderr'"),
                      {}});
  }
  return result;
}

std::map<std::string, std::vector<LinearScores>> read_linears(const json& value, const model::Architecture& a,
                                                              codec::ScaleFit& fit, const std::string& where) {
  std::map<std::string, std::vector<LinearScores>> result;
  for (const auto& [name, entry] : value.items()) {
    check_known(name, Level::error, "linears", where);
    const std::string at = fmt::format("{}: {}", where, name);
    const auto scales = get<std::string>(entry, "scales", at);
    if (scales != "search" && scales != "minmax") fail("{}: 'scales' is \"{}\"", at, scales);
    fit = scales == "search" ? codec::ScaleFit::search : codec::ScaleFit::minmax;
    const json nothing = {{"module", a.linears.back().module}, {"normalizer", 0.0}, {"codecs", json::object()}};
    const json list = fitted(member(entry, "linears", json::value_t::array, at), a.linears.size(), a, nothing);
    if (list.size() != a.linears.size())
      fail(
          "{}: has {} linears, and the model has {} as this runtime groups them: the scores were made for another "
          "--for; "
          "score again with the --for that it is planned for",
          at, list.size(), a.linears.size());
    for (std::size_t i = 0; i < list.size(); ++i) result[name].push_back(read_linear(list[i], a.linears[i], at));
  }
  return result;
}

std::map<std::string, std::vector<std::vector<Measurement>>> read_choices(const json& value,
                                                                          const model::Architecture& a,
                                                                          const std::string& where) {
  std::map<std::string, std::vector<std::vector<Measurement>>> result;
  for (const auto& [name, entry] : value.items()) {
    check_known(name, Level::choice, "choices", where);
    const std::string at = fmt::format("{}: {}", where, name);
    const json list = fitted(member(entry, "groups", json::value_t::array, at), a.groups.size(), a, json::object());
    if (list.size() != a.groups.size())
      fail(
          "{}: has {} groups, and the model has {} as this runtime groups the linears: the scores were made for "
          "another "
          "--for; score again with the --for that it is planned for",
          at, list.size(), a.groups.size());
    for (std::size_t g = 0; g < list.size(); ++g)
      result[name].push_back(read_measurements(list[g], a, a.groups[g], at));
  }
  return result;
}

/// Reads what both the file and each of its sets hold.
Scores read_values_of_set(const json& value, const model::Architecture& a, const std::string& where) {
  Scores scores;
  scores.calibration =
      CalibrationSource::from_json(member(value, "calibration", json::value_t::object, where), where + ": calibration");
  scores.blocks = read_values(value, "blocks", Level::block, a, -INFINITY, where);
  scores.groups = read_values(value, "groups", Level::group, a, 0.0, where);
  if (value.contains("modules")) scores.modules = read_values(value, "modules", Level::linear, a, 0.0, where);
  scores.linears = read_linears(member(value, "linears", json::value_t::object, where), a, scores.fit, where);
  if (value.contains("choices"))
    scores.choices = read_choices(member(value, "choices", json::value_t::object, where), a, where);
  if (value.contains("stability"))
    for (const auto& [name, entry] : member(value, "stability", json::value_t::object, where).items()) {
      if (std::ranges::find(signals(), name, &Signal::name) == signals().end())
        fail("{}: stability: there is no signal '{}'; score the model again with this version", where, name);
      scores.stability[name] = number(entry, -1.0, fmt::format("{}: stability of '{}'", where, name));
    }
  return scores;
}

}  // namespace

Scores Scores::from_json(const json& value, const model::Model& model, const std::string& where) {
  if (!value.is_object() || value.value("format", json()) != "strata scores")
    fail("{}: is not a scores file; make one with `strata score`", where);
  if (const auto version = get<std::uint64_t>(value, "version", where); version != kVersion)
    fail("{}: has version {}, and this program reads {}; score the model again", where, version, kVersion);
  const auto fingerprint = get<std::string>(member(value, "model", json::value_t::object, where), "fingerprint", where);
  if (fingerprint != model.fingerprint())
    fail("{}: are the scores of another model (fingerprint {}, {} has {}); score this one", where, fingerprint,
         model.path().string(), model.fingerprint());
  Scores scores = read_values_of_set(value, model.architecture(), where);
  scores.fingerprint = fingerprint;
  if (value.contains("rounded_inputs"))
    for (const auto& [codec, kind] : member(value, "rounded_inputs", json::value_t::object, where).items())
      scores.rounded_inputs[codec] = convert<std::string>(kind, codec.c_str(), where + ": rounded_inputs");
  if (value.contains("smoothing")) {
    scores.smoothing = number(value["smoothing"], 0.0, where + ": 'smoothing'");
    if (scores.smoothing > 1.0) fail("{}: 'smoothing' is {}, more than 1", where, scores.smoothing);
  }
  if (!value.contains("sets")) return scores;
  const auto how = get<std::string>(value, "combine", where);
  if (how != "mean" && how != "max") fail("{}: 'combine' is \"{}\", expected \"mean\" or \"max\"", where, how);
  scores.combine = how == "mean" ? Combine::mean : Combine::max;
  for (const json& set : member(value, "sets", json::value_t::array, where)) {
    const std::string at = fmt::format("{}: set {}", where, scores.sets.size() + 1);
    if (!set.is_object()) fail("{}: is a JSON {}, expected object", at, set.type_name());
    scores.sets.push_back(read_values_of_set(set, model.architecture(), at));
    scores.sets.back().fingerprint = fingerprint;
    scores.sets.back().rounded_inputs = scores.rounded_inputs;
    scores.sets.back().smoothing = scores.smoothing;
  }
  if (scores.sets.size() < 2)
    fail("{}: 'sets' has {} members; there are two or more, or none", where, scores.sets.size());
  try {
    return importance::combine(std::move(scores.sets), scores.combine);
  } catch (const Error& error) {
    fail("{}: {}", where, error.what());
  }
}

}  // namespace strata::importance
