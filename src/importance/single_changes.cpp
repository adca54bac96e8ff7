// The sequences are measured part by part, and in each part all units. The first unit that is really measured tells how
// long the rest will take.
#include "importance/single_changes.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <optional>
#include <tuple>

#include "core/journal.h"
#include "core/progress.h"
#include "core/ranks.h"
#include "core/seconds.h"
#include "model/damage.h"

namespace strata::importance {
namespace {

using Key = std::tuple<std::size_t, std::string, std::string>;  // part, group, codec
using Finished = std::map<Key, std::vector<double>>;

json job_of(const engine::Engine& engine, const CalibrationSet& set, std::size_t tokens) {
  return {{"format", "strata journal"},           {"version", 1},
          {"job", "changes of single groups"},    {"model", engine.model().identity()},
          {"calibration", set.source.identity()}, {"tokens", tokens}};
}

Finished finished_units(const std::vector<json>& units, const std::string& where) {
  Finished result;
  for (const json& unit : units)
    result[{get<std::size_t>(unit, "part", where), get<std::string>(unit, "group", where),
            get<std::string>(unit, "codec", where)}] = get<std::vector<double>>(unit, "kl", where);
  return result;
}

/// The first whole sequences that have `tokens` tokens in all, cut into parts.
std::vector<CalibrationSet> parts_of(const model::Architecture& a, const CalibrationSet& set, std::size_t tokens) {
  std::size_t floats = 0;
  for (const model::Linear& linear : a.linears)
    if (linear.block != model::kNoBlock) floats += linear.rows + linear.cols;
  const std::size_t per_sequence = set.source.seq_len * floats * sizeof(float);
  const std::size_t sequences_per_part = std::max<std::size_t>(1, kRecordingBytes / per_sequence);
  std::vector<CalibrationSet> parts;
  std::size_t measured = 0;
  for (const auto& sequence : set.sequences) {
    if (measured >= tokens) break;
    measured += sequence.size();
    if (parts.empty() || parts.back().sequences.size() == sequences_per_part) parts.push_back({{}, set.source});
    parts.back().sequences.push_back(sequence);
  }
  return parts;
}

class Measuring {
 public:
  Measuring(engine::Engine& engine, const CalibrationSet& set, const InputMeanSquare& inputs,
            const std::vector<SingleChange>& units, const MeasureRequest& request, const std::string& label)
      : engine_(engine),
        a_(engine.architecture()),
        inputs_(inputs),
        units_(units),
        request_(request),
        label_(label),
        parts_(parts_of(a_, set, request.tokens)) {
    if (!request.journal.empty()) {
      journal_.emplace(request.journal, job_of(engine, set, request.tokens));
      finished_ = finished_units(journal_->finished(), request.journal.string());
    }
    share_finished();
  }

  Samples run() {
    std::size_t work = 0;
    for (std::size_t p = 0; p < parts_.size(); ++p)
      for (const SingleChange& unit : units_) {
        work += blocks_of(unit);
        if (finished_.contains(key_of(p, unit))) continue;
        ++missing_;
        missing_blocks_ += blocks_of(unit);
      }
    Progress progress(label_, work);
    Samples result(units_.size());
    for (std::size_t p = 0; p < parts_.size(); ++p) {
      std::optional<DivergenceMeter> meter;
      // Each rank takes one of as many units in a row as there are ranks, which take about the same time.
      for (std::size_t first = 0; first < units_.size(); first += ranks_.size()) {
        const std::size_t end = std::min(units_.size(), first + ranks_.size());
        std::vector<double> mine;
        if (const std::size_t u = first + ranks_.rank(); u < end) {
          progress.note(fmt::format("{} {}", a_.groups[units_[u].group].name, units_[u].codec->name));
          mine = known_or_measured(p, units_[u], meter);
        }
        for (std::size_t u = first; u < end; ++u) {
          std::vector<double> values = u == first + ranks_.rank() ? mine : std::vector<double>();
          ranks_.broadcast(values, u - first);
          keep(p, units_[u], values);
          result[u].insert(result[u].end(), values.begin(), values.end());
          progress.advance(blocks_of(units_[u]));
        }
      }
    }
    return result;
  }

 private:
  /// Every rank gets what the first one has found in the journal.
  void share_finished() {
    if (!ranks_.many()) return;
    json units = json::array();
    for (const auto& [key, values] : finished_)
      units.push_back(
          {{"part", std::get<0>(key)}, {"group", std::get<1>(key)}, {"codec", std::get<2>(key)}, {"kl", values}});
    ranks_.broadcast(units);
    finished_ = finished_units(units.get<std::vector<json>>(), "what the first rank sent");
  }
  std::size_t first_block(const SingleChange& unit) const { return a_.first_block(a_.groups[unit.group]); }
  /// The blocks that a unit runs, with the head as one more.
  std::size_t blocks_of(const SingleChange& unit) const { return a_.blocks + 1 - first_block(unit); }
  Key key_of(std::size_t part, const SingleChange& unit) const {
    return {part, a_.groups[unit.group].name, request_.rounded_inputs.text(*unit.codec)};
  }

  std::vector<double> known_or_measured(std::size_t part, const SingleChange& unit,
                                        std::optional<DivergenceMeter>& meter) {
    const Key key = key_of(part, unit);
    const CalibrationSet& set = parts_[part];
    if (const auto it = finished_.find(key); it != finished_.end()) {
      if (it->second.size() != set.sequences.size())
        fail("{}: {} {} has {} values for {} sequences; remove the file to begin anew", request_.journal.string(),
             std::get<1>(key), std::get<2>(key), it->second.size(), set.sequences.size());
      return it->second;
    }
    if (!meter) meter.emplace(engine_, set, request_.tokens, MeterProducts::changes);
    const auto begin = std::chrono::steady_clock::now();
    const model::FusionGroup& group = a_.groups[unit.group];
    const RoundedGroup rounded(engine_.model(), group, *unit.codec, inputs_, request_.rounded_inputs.of(*unit.codec));
    engine::Replacing replacing(engine_);
    rounded.put_into(replacing);
    const std::vector<double> values = meter->measure_sequences(first_block(unit));
    if (!std::ranges::all_of(values, [](double value) { return std::isfinite(value); }))
      model::fail_not_finite(engine_.model(), "the logits are not finite",
                             fmt::format("{} at {} makes them so: leave it out of the codecs that are measured",
                                         unit.codec->name, group.name));
    if (!announced_ && request_.announce) {
      const double seconds = seconds_since(begin);
      request_.announce(
          label_, missing_,
          seconds * static_cast<double>(missing_blocks_) / static_cast<double>(blocks_of(unit) * ranks_.size()));
    }
    announced_ = true;
    return values;
  }

  void keep(std::size_t part, const SingleChange& unit, const std::vector<double>& values) {
    const Key key = key_of(part, unit);
    const bool fresh = finished_.try_emplace(key, values).second;
    if (journal_ && fresh)
      journal_->append({{"part", part}, {"group", std::get<1>(key)}, {"codec", std::get<2>(key)}, {"kl", values}});
  }

  engine::Engine& engine_;
  const model::Architecture& a_;
  const Ranks ranks_ = ranks_at_work();
  const InputMeanSquare& inputs_;
  const std::vector<SingleChange>& units_;
  const MeasureRequest& request_;
  const std::string& label_;
  const std::vector<CalibrationSet> parts_;
  std::optional<Journal> journal_;
  Finished finished_;
  std::size_t missing_ = 0, missing_blocks_ = 0;
  bool announced_ = false;
};

}  // namespace

void check_journal(const engine::Engine& engine, const CalibrationSet& set, const MeasureRequest& request) {
  std::error_code code;
  if (!request.journal.empty() && std::filesystem::exists(request.journal, code))
    Journal(request.journal, job_of(engine, set, request.tokens));
}

Samples measure_changes(engine::Engine& engine, const CalibrationSet& set, const InputMeanSquare& inputs,
                        const std::vector<SingleChange>& units, const MeasureRequest& request,
                        const std::string& label) {
  return Measuring(engine, set, inputs, units, request, label).run();
}

}  // namespace strata::importance
