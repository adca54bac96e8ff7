// Group by group, codec by codec; each measurement is a unit of the journal.
// The first measurement tells how long all will take.
#include "importance/kl.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <optional>

#include "core/progress.h"
#include "core/statistics.h"

namespace strata::importance {
namespace {

using Key = std::pair<std::string, std::string>;

json job_of(const engine::Engine& engine, const CalibrationSet& set, std::size_t tokens) {
  return {
      {"format", "strata journal"},          {"version", 1},    {"job", "kl"}, {"model", engine.model().fingerprint()},
      {"calibration", set.source.to_json()}, {"tokens", tokens}};
}

std::map<Key, Estimate> read_finished(const Journal& journal, const std::string& where) {
  std::map<Key, Estimate> result;
  for (const json& unit : journal.finished())
    result[{get<std::string>(unit, "group", where), get<std::string>(unit, "codec", where)}] = {
        get<double>(unit, "kl", where), get<double>(unit, "stderr", where)};
  return result;
}

struct Unit {
  std::size_t group;
  const codec::Codec* codec;
};

std::vector<Unit> units_of(const model::Architecture& a, const MeasureRequest& request) {
  std::vector<Unit> units;
  for (std::size_t g = 0; g < a.groups.size(); ++g)
    for (const codec::Codec* codec : request.codecs)
      if (codec->has_codes() && fits(*codec, a, a.groups[g])) units.push_back({g, codec});
  return units;
}

}  // namespace

std::vector<std::vector<Measurement>> kl(engine::Engine& engine, const CalibrationSet& set,
                                         const InputMeanSquare& inputs, const MeasureRequest& request) {
  const model::Architecture& a = engine.architecture();
  const std::vector<Unit> units = units_of(a, request);
  std::optional<Journal> journal;
  std::map<Key, Estimate> finished;
  if (!request.journal.empty()) {
    journal.emplace(request.journal, job_of(engine, set, request.tokens));
    finished = read_finished(*journal, request.journal.string());
  }
  DivergenceMeter meter(engine, set, request.tokens);
  std::vector<std::vector<Measurement>> result(a.groups.size());
  const auto cost = [&](const Unit& unit) { return a.blocks + 1 - a.first_block(a.groups[unit.group]); };
  std::size_t work = 0;
  for (const Unit& unit : units) work += cost(unit);
  Progress progress("kl", work);
  for (const Unit& unit : units) {
    const model::FusionGroup& group = a.groups[unit.group];
    const Key key = {group.name, unit.codec->name};
    progress.note(fmt::format("{} {}", group.name, unit.codec->name));
    auto it = finished.find(key);
    if (it == finished.end()) {
      const RoundedGroup rounded(engine.model(), group, *unit.codec, inputs);
      rounded.put_into(engine);
      Estimate value = estimate(meter.measure(a.first_block(group)));
      restore(engine, group);
      // A group without influence leaves the rounding of the sums, which may fall below 0.
      value.mean = std::max(0.0, value.mean);
      it = finished.emplace(key, value).first;
      if (journal)
        journal->append({{"group", group.name},
                         {"codec", unit.codec->name},
                         {"kl", value.mean},
                         {"stderr", value.standard_error.value_or(0.0)}});
    }
    result[unit.group].push_back({unit.codec, it->second.mean, it->second.standard_error.value_or(0.0)});
    progress.advance(cost(unit));
  }
  return result;
}

}  // namespace strata::importance
