// Corrections are logarithms of measured over predicted divergence. docs/results.md has what they are on a real model.
#include "pipeline/choose/gradient_costs.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "core/statistics.h"

namespace strata::pipeline {
namespace {

using importance::LinearScores;
using importance::Signal;

/// A mean over few groups is drawn towards no correction, as if so many more had shown none.
constexpr double kUncorrected = 4.0;
/// What sets a group apart under one kind of grid is seen by this share under another: the correlation of corrections
/// of nvfp4 and int4_g64 is 0.46 on SmolLM2 (docs/results.md).
constexpr double kAcrossKinds = 0.4;
/// No correction is believed beyond this factor: a divergence that is nearly 0 has no meaningful logarithm.
const double kMostCorrection = std::log(4.0);

/// The row whose alpha prices the codec stands for its kind of grid; null for a codec without codes.
const Signal* kind_of(const codec::Codec& codec) {
  for (const Signal& signal : importance::signals())
    if (signal.prices && signal.prices->contain(codec)) return &signal;
  return nullptr;
}

const std::vector<LinearScores>* find(const importance::Scores& scores, const char* signal) {
  const auto it = scores.linears.find(signal);
  return it == scores.linears.end() ? nullptr : &it->second;
}

/// What is alike in groups: the kind of grid, and the role of their linears.
struct Likeness {
  const Signal* kind;
  model::Role role;
  auto operator<=>(const Likeness&) const = default;
};

double drawn_mean(const std::vector<double>& values) {
  const auto count = static_cast<double>(values.size());
  return values.empty() ? 0.0 : estimate(values).mean * count / (count + kUncorrected);
}

class Corrections {
 public:
  Corrections(const importance::Scores& scores, const model::Architecture& a) : points_(a.groups.size()) {
    for (const model::FusionGroup& group : a.groups) roles_.push_back(a.linears[group.linears.front()].role);
    const auto kl = scores.choices.find("kl");
    if (kl == scores.choices.end()) return;
    std::map<const Signal*, std::vector<double>> of_kind;
    for (std::size_t g = 0; g < a.groups.size(); ++g)
      for (const importance::Measurement& m : kl->second[g]) {
        const double predicted = relative_error(*find(scores, "fisher"), a.groups[g], *m.codec);
        if (!(predicted > 0)) continue;
        const double least = predicted * std::exp(-kMostCorrection);
        const double correction = std::min(kMostCorrection, std::log(std::max(m.value, least) / predicted));
        points_[g].push_back({m.codec, kind_of(*m.codec), correction});
        of_kind[kind_of(*m.codec)].push_back(correction);
      }
    for (const auto& [kind, values] : of_kind) by_kind_[kind] = drawn_mean(values);
    std::map<Likeness, std::vector<double>> apart;
    for (std::size_t g = 0; g < points_.size(); ++g)
      for (const Point& point : points_[g])
        apart[{point.kind, roles_[g]}].push_back(point.correction - by_kind_[point.kind]);
    for (const auto& [likeness, values] : apart) by_likeness_[likeness] = drawn_mean(values);
  }

  /// The logarithm of what a codec costs a group over what fisher says.
  double of(std::size_t group, const codec::Codec& codec) const {
    const Signal* kind = kind_of(codec);
    std::vector<double> same, apart;
    for (const Point& point : points_[group]) {
      if (point.codec == &codec) return point.correction;
      if (point.kind == kind) same.push_back(point.correction);
      apart.push_back(point.correction - mean_of(group, point.kind));
    }
    if (!same.empty()) return estimate(same).mean;
    return mean_of(group, kind) + (apart.empty() ? 0.0 : kAcrossKinds * estimate(apart).mean);
  }

 private:
  struct Point {
    const codec::Codec* codec;
    const Signal* kind;
    double correction;
  };
  /// What groups of this role and kind of grid show.
  double mean_of(std::size_t group, const Signal* kind) const {
    const auto of_kind = by_kind_.find(kind);
    const auto alike = by_likeness_.find({kind, roles_[group]});
    return (of_kind == by_kind_.end() ? 0.0 : of_kind->second) + (alike == by_likeness_.end() ? 0.0 : alike->second);
  }

  std::vector<std::vector<Point>> points_;  ///< by group
  std::vector<model::Role> roles_;          ///< by group
  std::map<const Signal*, double> by_kind_;
  std::map<Likeness, double> by_likeness_;  ///< beside that of the kind
};

/// The codec that the first kind of grid among the scored codecs is measured with, where the linear has a score for it.
const codec::Codec* first_reference(const LinearScores& scores) {
  const auto scored = [&](const codec::Codec& codec) {
    return std::ranges::any_of(scores.codecs, [&](const importance::CodecScore& s) { return s.codec == &codec; });
  };
  for (const Signal& signal : importance::signals()) {
    const bool among = signal.prices && std::ranges::any_of(scores.codecs, [&](const importance::CodecScore& s) {
                         return signal.prices->contain(*s.codec);
                       });
    if (!among) continue;
    for (const std::string_view name : signal.measured_with)
      if (!name.empty() && scored(codec::by_name(name))) return &codec::by_name(name);
    return nullptr;
  }
  return nullptr;
}

}  // namespace

bool has_gradient_costs(const importance::Scores& scores) {
  const auto prices = [&](const Signal& signal) {
    return signal.prices && scores.groups.contains(std::string(signal.name));
  };
  if (find(scores, "fisher") == nullptr) return false;
  return find(scores, "act_mse") == nullptr || std::ranges::none_of(importance::signals(), prices);
}

Costs gradient_costs(const importance::Scores& scores, const model::Architecture& a, Pricing pricing) {
  const std::vector<LinearScores>& fisher = *find(scores, "fisher");
  const std::vector<LinearScores>* const errors = find(scores, "act_mse");
  const Corrections corrections(scores, a);
  Costs costs;
  costs.signal = scores.choices.contains("kl") ? "fisher, kl" : "fisher";
  costs.linears.resize(a.linears.size());
  for (std::size_t g = 0; g < a.groups.size(); ++g) {
    const model::FusionGroup& group = a.groups[g];
    // Nats that a unit of relative error costs, corrected.
    const auto slope = [&](const codec::Codec& codec) -> std::optional<double> {
      const double error = errors == nullptr ? 0.0 : relative_error(*errors, group, codec);
      const double nats = relative_error(fisher, group, codec) * std::exp(corrections.of(g, codec));
      return error > 0 && nats > 0 ? std::optional(nats / error) : std::nullopt;
    };
    const codec::Codec* const first =
        pricing == Pricing::mean ? first_reference(fisher[group.linears.front()]) : nullptr;
    const std::optional<double> first_slope = first == nullptr ? std::nullopt : slope(*first);
    std::map<const codec::Codec*, double> factors;  // one for all linears of the group: a block's experts are hundreds
    const auto factor_of = [&](const codec::Codec& codec) {
      const double corrected = std::exp(corrections.of(g, codec));
      const std::optional<double> own = first_slope ? slope(codec) : std::nullopt;
      return own ? corrected * std::sqrt(*first_slope / *own) : corrected;
    };
    for (const std::size_t l : group.linears)
      for (const importance::CodecScore& score : fisher[l].codecs) {
        const auto [factor, missing] = factors.try_emplace(score.codec);
        if (missing) factor->second = factor_of(*score.codec);
        costs.linears[l][score.codec] = factor->second * fisher[l].relative(score);
      }
  }
  return costs;
}

}  // namespace strata::pipeline
