// Signals and kl as columns over blocks or groups, compared by rank.
// An error of linears is summed over a group, of other values of linears the largest counts; alpha times act_mse is
// what the preset best adds up.
#include "importance/judge.h"

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

#include "core/statistics.h"

namespace strata::importance {
namespace {

using Column = std::vector<double>;

const std::vector<std::vector<Measurement>>& measured(const Scores& scores) {
  const auto it = scores.choices.find("kl");
  if (it == scores.choices.end()) fail("the scores hold no kl to judge by; score with --signals all");
  return it->second;
}

std::optional<double> at_codec(const std::vector<Measurement>& group, const codec::Codec& codec) {
  for (const Measurement& m : group)
    if (m.codec == &codec) return m.value;
  return std::nullopt;
}

/// Indices of the quarter (rounded up) with the highest values; of equals the earlier.
std::vector<std::size_t> top_quarter(const Column& column) {
  std::vector<std::size_t> order(column.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t x, std::size_t y) { return column[x] > column[y]; });
  order.resize((order.size() + 3) / 4);
  std::ranges::sort(order);
  return order;
}

Judgement compare(std::string signal, std::string_view level, const Column& column, const Column& truth) {
  const std::vector<std::size_t> ours = top_quarter(column), theirs = top_quarter(truth);
  std::vector<std::size_t> both;
  std::ranges::set_intersection(ours, theirs, std::back_inserter(both));
  return {std::move(signal), level, spearman(column, truth),
          static_cast<double>(both.size()) / static_cast<double>(theirs.size())};
}

/// The groups that were measured, with the columns of all signals that have a value of groups.
struct Groups {
  std::vector<std::size_t> index;
  Column truth;
  std::map<std::string, Column> columns;
};

Groups groups_of(const Scores& scores, const model::Architecture& a, const codec::Codec& codec) {
  Groups result;
  const auto& kl = measured(scores);
  for (std::size_t g = 0; g < a.groups.size(); ++g) {
    const std::optional<double> truth = at_codec(kl[g], codec);
    if (!truth) continue;
    result.index.push_back(g);
    result.truth.push_back(*truth);
    for (const auto& [name, signal] : scores.groups) result.columns[name].push_back(signal.values[g]);
    for (const auto& [name, signal] : scores.modules) {
      double largest = 0;
      for (const std::size_t l : a.groups[g].linears) largest = std::max(largest, signal.values[l]);
      result.columns[name].push_back(largest);
    }
    for (const auto& [name, linears] : scores.linears) {
      const double error = relative_error(linears, a.groups[g], codec);
      result.columns[name].push_back(error);
      if (signal_by_name(name).in_nats) continue;
      for (const auto& [other, signal] : scores.groups)
        result.columns[fmt::format("{} x {}", other, name)].push_back(signal.values[g] * error);
    }
  }
  if (result.index.size() < 4) fail("kl was measured for too few groups with {} to judge by", codec.name);
  return result;
}

}  // namespace

std::vector<const codec::Codec*> judged_codecs(const Scores& scores) {
  std::map<const codec::Codec*, std::size_t> counts;  // pointers into the table: its order
  for (const auto& group : measured(scores))
    for (const Measurement& m : group) ++counts[m.codec];
  std::size_t most = 0;
  for (const auto& [codec, count] : counts) most = std::max(most, count);
  if (most == 0) fail("kl was measured for no group");
  std::vector<const codec::Codec*> result;
  for (const auto& [codec, count] : counts)
    if (count == most) result.push_back(codec);
  return result;
}

const codec::Codec& judged_codec(const Scores& scores) { return *judged_codecs(scores).front(); }

std::vector<Judgement> judge(const Scores& scores, const model::Architecture& a, const codec::Codec& codec) {
  const Groups groups = groups_of(scores, a, codec);
  std::vector<Judgement> result;
  for (const auto& [name, column] : groups.columns) result.push_back(compare(name, "group", column, groups.truth));
  Column truth(a.blocks, 0.0);
  for (std::size_t i = 0; i < groups.index.size(); ++i)
    if (const std::size_t block = a.groups[groups.index[i]].block; block < a.blocks) truth[block] += groups.truth[i];
  if (a.blocks >= 2)
    for (const auto& [name, signal] : scores.blocks)
      result.push_back(compare(name, "block", scores.importance(name), truth));
  std::ranges::stable_sort(result, [](const Judgement& x, const Judgement& y) {
    return x.level != y.level ? x.level > y.level : x.spearman > y.spearman;
  });
  return result;
}

}  // namespace strata::importance
