// Scores held against each other by rank, and several made into one.
// A set's values are normalised by their mean, since a text that is harder for the model diverges more everywhere.
#include <algorithm>
#include <cmath>
#include <functional>

#include "importance/scores.h"

namespace strata::importance {
namespace {

using Column = std::vector<double>;

/// Values of a signal under each codec that has them, over linears or groups: by codec, then item.
using ByCodec = std::map<const codec::Codec*, std::map<std::size_t, double>>;

ByCodec by_codec(const std::vector<LinearScores>& linears) {
  ByCodec result;
  for (std::size_t l = 0; l < linears.size(); ++l)
    for (const CodecScore& score : linears[l].codecs) result[score.codec][l] = linears[l].relative(score);
  return result;
}

ByCodec by_codec(const std::vector<std::vector<Measurement>>& choices) {
  ByCodec result;
  for (std::size_t g = 0; g < choices.size(); ++g)
    for (const Measurement& m : choices[g]) result[m.codec][g] = m.value;
  return result;
}

std::optional<double> agreement(const Column& a, const Column& b) {
  if (a.size() != b.size() || a.size() < 2) return std::nullopt;
  return spearman(a, b);
}

/// Mean over the codecs of which both sides have at least two items; those without any error say nothing.
std::optional<double> agreement(const ByCodec& a, const ByCodec& b) {
  double sum = 0.0;
  std::size_t count = 0;
  for (const auto& [codec, items] : a) {
    const auto other = b.find(codec);
    if (!codec->has_codes() || other == b.end()) continue;
    Column x, y;
    for (const auto& [item, value] : items)
      if (const auto it = other->second.find(item); it != other->second.end()) {
        x.push_back(value);
        y.push_back(it->second);
      }
    if (const std::optional<double> one = agreement(x, y)) {
      sum += *one;
      ++count;
    }
  }
  if (count == 0) return std::nullopt;
  return sum / static_cast<double>(count);
}

double combined(std::span<const double> values, Combine how) {
  return how == Combine::max ? std::ranges::max(values) : estimate(values).mean;
}

/// Standard error of what combined() gives; sets are independent.
double combined_error(std::span<const double> values, std::span<const double> errors, Combine how) {
  if (how == Combine::max) return errors[static_cast<std::size_t>(std::ranges::max_element(values) - values.begin())];
  double squares = 0.0;
  for (const double error : errors) squares += error * error;
  return std::sqrt(squares) / static_cast<double>(errors.size());
}

double mean_of(const Column& column) { return column.empty() ? 0.0 : estimate(column).mean; }

/// The factors that bring each set's values to the mean of their means.
Column factors_of(const Column& means) {
  const double common = mean_of(means);
  Column result;
  for (const double mean : means) result.push_back(mean > 0.0 ? common / mean : 1.0);
  return result;
}

/// factors: by set; sign: -1 where smaller is more important, so that max takes the most important.
ItemScores combine_items(std::span<const ItemScores* const> sets, const Column& factors, double sign, Combine how) {
  ItemScores result;
  for (std::size_t i = 0; i < sets[0]->values.size(); ++i) {
    Column values, errors;
    for (std::size_t s = 0; s < sets.size(); ++s) {
      values.push_back(sign * factors[s] * sets[s]->values[i]);
      if (!sets[s]->standard_errors.empty()) errors.push_back(factors[s] * sets[s]->standard_errors[i]);
    }
    result.values.push_back(sign * combined(values, how));
    if (errors.size() == sets.size()) result.standard_errors.push_back(combined_error(values, errors, how));
  }
  return result;
}

[[noreturn]] void differ(const std::string& name) {
  fail("the calibration sets were not scored alike: {} is not of the same things in all", name);
}

std::map<std::string, ItemScores> combine_items(const std::vector<Scores>& sets, Combine how,
                                                std::map<std::string, ItemScores> Scores::*member, bool normalise) {
  std::map<std::string, ItemScores> result;
  for (const auto& [name, first] : sets[0].*member) {
    std::vector<const ItemScores*> items;
    Column means;
    for (const Scores& set : sets) {
      const auto it = (set.*member).find(name);
      if (it == (set.*member).end() || it->second.values.size() != first.values.size()) differ(name);
      items.push_back(&it->second);
      means.push_back(normalise ? mean_of(it->second.values) : 1.0);
    }
    const double sign = signal_by_name(name).direction == Direction::smaller_is_important ? -1.0 : 1.0;
    result[name] = combine_items(items, factors_of(means), sign, how);
  }
  return result;
}

/// Relative errors are combined, and come back to errors by the mean normalizer.
std::vector<LinearScores> combine_linears(const std::vector<Scores>& sets, const std::string& name, Combine how) {
  std::vector<LinearScores> result = sets[0].linears.at(name);
  for (std::size_t l = 0; l < result.size(); ++l) {
    Column normalizers;
    for (const Scores& set : sets) {
      const auto it = set.linears.find(name);
      if (it == set.linears.end() || it->second[l].codecs.size() != result[l].codecs.size()) differ(name);
      normalizers.push_back(it->second[l].normalizer);
    }
    result[l].normalizer = mean_of(normalizers);
    for (std::size_t c = 0; c < result[l].codecs.size(); ++c) {
      CodecScore& score = result[l].codecs[c];
      Column values, errors;
      for (const Scores& set : sets) {
        const LinearScores& linear = set.linears.at(name)[l];
        const CodecScore& one = linear.codecs[c];
        if (one.codec != score.codec) differ(name);
        values.push_back(linear.relative(one) * result[l].normalizer);
        errors.push_back(linear.normalizer > 0.0 ? one.standard_error / linear.normalizer * result[l].normalizer : 0.0);
      }
      score.error = combined(values, how);
      score.standard_error = combined_error(values, errors, how);
    }
  }
  return result;
}

std::vector<std::vector<Measurement>> combine_choices(const std::vector<Scores>& sets, const std::string& name,
                                                      Combine how) {
  std::vector<std::vector<Measurement>> result = sets[0].choices.at(name);
  Column means;
  for (const Scores& set : sets) {
    const auto it = set.choices.find(name);
    if (it == set.choices.end()) differ(name);
    Column all;
    for (const auto& group : it->second)
      for (const Measurement& m : group) all.push_back(m.value);
    means.push_back(mean_of(all));
  }
  const Column factors = factors_of(means);
  for (std::size_t g = 0; g < result.size(); ++g)
    for (std::size_t c = 0; c < result[g].size(); ++c) {
      Column values, errors;
      for (std::size_t s = 0; s < sets.size(); ++s) {
        const auto& group = sets[s].choices.at(name)[g];
        if (group.size() != result[g].size() || group[c].codec != result[g][c].codec) differ(name);
        values.push_back(factors[s] * group[c].value);
        errors.push_back(factors[s] * group[c].standard_error);
      }
      result[g][c] = {result[g][c].codec, combined(values, how), combined_error(values, errors, how), {}};
    }
  return result;
}

/// One source for all sets: their files in turn.
CalibrationSource combine_sources(const std::vector<Scores>& sets) {
  CalibrationSource result = sets[0].calibration;
  for (const Scores& set : std::span(sets).subspan(1)) {
    result.files.insert(result.files.end(), set.calibration.files.begin(), set.calibration.files.end());
    result.samples += set.calibration.samples;
    result.hash = (result.hash ^ set.calibration.hash) * 0x100000001b3u;
  }
  return result;
}

}  // namespace

std::map<std::string, double> rank_agreement(const Scores& a, const Scores& b) {
  std::map<std::string, double> result;
  const auto add = [&](const auto& x, const auto& y, const auto& values_of) {
    for (const auto& [name, scores] : x)
      if (const auto it = y.find(name); it != y.end())
        if (const std::optional<double> one = agreement(values_of(scores), values_of(it->second))) result[name] = *one;
  };
  const auto items = [](const ItemScores& scores) { return scores.values; };
  const auto codecs = [](const auto& scores) { return by_codec(scores); };
  add(a.blocks, b.blocks, items);
  add(a.modules, b.modules, items);
  add(a.groups, b.groups, items);
  add(a.linears, b.linears, codecs);
  add(a.choices, b.choices, codecs);
  return result;
}

Scores combine(std::vector<Scores> sets, Combine how) {
  STRATA_CHECK(!sets.empty());
  if (sets.size() == 1) return std::move(sets.front());
  Scores result;
  result.fingerprint = sets[0].fingerprint;
  result.fit = sets[0].fit;
  result.rounded_inputs = sets[0].rounded_inputs;
  result.smoothing = sets[0].smoothing;
  result.calibration = combine_sources(sets);
  result.combine = how;
  result.blocks = combine_items(sets, how, &Scores::blocks, false);
  result.modules = combine_items(sets, how, &Scores::modules, true);
  result.groups = combine_items(sets, how, &Scores::groups, true);
  for (const auto& [name, linears] : sets[0].linears) result.linears[name] = combine_linears(sets, name, how);
  for (const auto& [name, choices] : sets[0].choices) result.choices[name] = combine_choices(sets, name, how);
  result.stability = sets[0].stability;
  for (const Scores& set : sets)
    for (auto& [name, value] : result.stability)
      if (const auto it = set.stability.find(name); it != set.stability.end()) value = std::min(value, it->second);
  result.sets = std::move(sets);
  return result;
}

}  // namespace strata::importance
