// Measurements are known by what was measured, so that asking again, or running again with the journal, costs nothing.
// Groups that a plan shares with the one before stay as they are.
#include "pipeline/measure/meter.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/checked.h"
#include "core/hash.h"
#include "core/statistics.h"

namespace strata::pipeline {
namespace {

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

constexpr const char *kMeasure = "measure", *kRebase = "rebase";

/// The whole sequences that are measured on, of which ranks have shares.
std::size_t sequences_of(const importance::CalibrationSet& text, std::size_t tokens) {
  return std::min(text.sequences.size(), ceil_div(std::max<std::size_t>(1, tokens), text.sequences.front().size()));
}

importance::CalibrationSet share_of(const importance::CalibrationSet& text, std::size_t tokens, const Ranks& ranks) {
  const std::size_t count = sequences_of(text, tokens);
  const auto at = [&](std::size_t i) { return text.sequences.begin() + static_cast<std::ptrdiff_t>(i); };
  return importance::calibration_from_tokens({at(ranks.first_of(count)), at(ranks.end_of(count))}, text.source);
}

}  // namespace

Ranks PlanMeter::ranks_that_share(const importance::CalibrationSet& text, std::size_t tokens, const Ranks& ranks) {
  const bool alike = text.sequences.front().size() > kernel::kFewTokens;
  return {ranks.rank(), std::min(ranks.size(), alike ? sequences_of(text, tokens) : 1)};
}

PlanMeter::PlanMeter(engine::Engine& engine, const importance::CalibrationSet& text,
                     const importance::InputMeanSquare& inputs, std::size_t tokens,
                     const std::filesystem::path& journal, std::string_view job, codec::RoundedInputs rounded_inputs,
                     const MeterSharing& sharing)
    : engine_(engine),
      sharing_(sharing),
      inputs_(inputs),
      rounded_inputs_(std::move(rounded_inputs)),
      tokens_(sequences_of(text, tokens) * text.sequences.front().size()),
      meter_(engine, share_of(text, tokens, sharing.ranks), tokens),
      replacing_(engine) {
  base_ = now_ = all_kept(engine.architecture());
  original_perplexity_ = std::exp(mean(of_all(meter_.nll())));
  if (!journal.empty() && ranks_.is_first()) read_journal(journal, text, tokens, job);
  share_known();
}

void PlanMeter::read_journal(const std::filesystem::path& journal, const importance::CalibrationSet& text,
                             std::size_t tokens, std::string_view job) {
  journal_.emplace(journal, json{{"format", "strata journal"},
                                 {"version", 1},
                                 {"job", job},
                                 {"model", engine_.model().identity()},
                                 {"text", text.source.identity()},
                                 {"tokens", tokens},
                                 {"f32", engine_.precision() == kernel::Precision::f32}});
  const std::string where = journal.string();
  for (const json& unit : journal_->finished())
    known_[get<std::string>(unit, "point", where)] = {
        get<double>(unit, "kl", where), get<double>(unit, "stderr", where), get<double>(unit, "perplexity", where)};
}

void PlanMeter::share_known() {
  if (!ranks_.many()) return;
  json known = json::object();
  for (const auto& [key, m] : known_) known[key] = {m.kl, m.kl_standard_error, m.perplexity};
  ranks_.broadcast(known);
  for (const auto& [key, m] : known.items()) known_[key] = {m[0].get<double>(), m[1].get<double>(), m[2].get<double>()};
}

std::string PlanMeter::key_of(const Assignment& plan) const {
  std::string text;
  for (const codec::Codec* codec : plan) text += rounded_inputs_.text(*codec) + " ";
  return fmt::format("codecs {:016x}", fnv1a(std::as_bytes(std::span(text))));
}

std::string PlanMeter::key_of(const std::vector<bool>& cut) {
  std::string name = "without ";
  for (const bool block : cut) name += block ? '1' : '0';
  return name;
}

PlanMeter::Measured PlanMeter::measure(const Assignment& wanted) {
  return known_or_measured(key_of(wanted), [&] {
    order(kMeasure, wanted);
    use(wanted);
    return first_change(wanted);
  });
}

void PlanMeter::measure_all(const std::vector<Assignment>& plans, const std::function<void()>& tick) {
  measure_shared(
      plans, [&](const Assignment& plan) { return measure(plan); }, tick);
}

void PlanMeter::measure_all_without(const std::vector<std::vector<bool>>& cuts, const std::function<void()>& tick) {
  measure_shared(
      cuts, [&](const std::vector<bool>& blocks) { return measure_without(blocks); }, tick);
}

/// Each rank takes one of as many that are not known as there are ranks, and tells the others.
template <class Item, class Measure>
void PlanMeter::measure_shared(const std::vector<Item>& items, Measure measure, const std::function<void()>& tick) {
  std::vector<const Item*> left;
  std::set<std::string> keys;
  for (const Item& item : items)
    if (const std::string key = key_of(item); !known_.contains(key) && keys.insert(key).second)
      left.push_back(&item);
    else
      tick();
  for (std::size_t first = 0; first < left.size(); first += ranks_.size()) {
    const std::size_t end = std::min(left.size(), first + ranks_.size()), mine = first + ranks_.rank();
    Measured own;
    if (mine < end) own = measure(*left[mine]);
    for (std::size_t i = first; i < end; ++i) {
      Measured measured = own;
      ranks_.broadcast(std::as_writable_bytes(std::span(&measured, 1)), i - first);
      keep(key_of(*left[i]), measured);
      tick();
    }
  }
}

bool PlanMeter::knows(const Assignment& plan) const { return known_.contains(key_of(plan)); }

void PlanMeter::rebase(const Assignment& base) {
  order(kRebase, base);
  use(base);
  meter_.rebase(first_change(base));
  base_ = base;
}

std::size_t PlanMeter::first_change(const Assignment& wanted) const {
  const model::Architecture& a = engine_.architecture();
  std::size_t first = a.blocks;
  for (std::size_t g = 0; g < wanted.size(); ++g)
    if (wanted[g] != base_[g]) first = std::min(first, a.first_block(a.groups[g]));
  return first;
}

PlanMeter::Measured PlanMeter::measure_without(const std::vector<bool>& blocks) {
  STRATA_CHECK(!sharing_.ranks.many(), "blocks left out of a meter that {} ranks share", sharing_.ranks.size());
  return known_or_measured(key_of(blocks), [&] {
    use(all_kept(engine_.architecture()));
    meter_.cut(blocks);
    return std::size_t{0};
  });
}

template <class Prepare>
PlanMeter::Measured PlanMeter::known_or_measured(const std::string& key, Prepare prepare) {
  if (const auto it = known_.find(key); it != known_.end()) return it->second;
  const std::size_t first = prepare();
  const Estimate kl = estimate(of_all(meter_.measure(first)));
  // The original against itself leaves the rounding of the sums, which may fall below 0.
  const Measured result{std::max(0.0, kl.mean), kl.standard_error.value_or(0.0), std::exp(mean(of_all(meter_.nll())))};
  meter_.cut({});
  keep(key, result);
  return result;
}

void PlanMeter::keep(const std::string& key, const Measured& measured) {
  if (!known_.try_emplace(key, measured).second || !journal_) return;
  journal_->append({{"point", key},
                    {"kl", measured.kl},
                    {"stderr", measured.kl_standard_error},
                    {"perplexity", measured.perplexity}});
}

void PlanMeter::order(std::string_view what, const Assignment& wanted) const {
  if (!sharing_.ranks.many() || !sharing_.ranks.is_first()) return;
  json names = json::array();
  for (const codec::Codec* codec : wanted) names.push_back(codec->name);
  json order = {{"meter", sharing_.number}, {"do", what}, {"plan", names}};
  sharing_.ranks.broadcast(order);
}

void PlanMeter::follow(const json& order) {
  Assignment wanted;
  for (const json& name : order["plan"]) wanted.push_back(&codec::by_name(name.get<std::string>()));
  if (order["do"] == kRebase) return rebase(wanted);
  use(wanted);
  of_all(meter_.measure(first_change(wanted)));
  of_all(meter_.nll());
}

std::vector<double> PlanMeter::of_all(const std::vector<double>& own) const {
  return sharing_.ranks.many() ? sharing_.ranks.collect(std::span<const double>(own)) : own;
}

void PlanMeter::hold(const Assignment& wanted) {
  const model::Architecture& a = engine_.architecture();
  const Ranks& ranks = sharing_.ranks;
  std::vector<std::pair<importance::RoundedGroup*, std::size_t>> fresh;  // and the rank that rounds it
  for (std::size_t g = 0; g < wanted.size(); ++g) {
    if (wanted[g] == now_[g] || !wanted[g]->has_codes() || held_.contains({g, wanted[g]})) continue;
    const std::size_t owner = fresh.size() % ranks.size();
    const auto it = held_.emplace(std::pair(g, wanted[g]),
                                  importance::RoundedGroup(engine_.model(), a.groups[g], *wanted[g], inputs_,
                                                           rounded_inputs_.of(*wanted[g]), owner == ranks.rank()));
    fresh.emplace_back(&it.first->second, owner);
  }
  for (const auto& [group, owner] : fresh) group->share(ranks, owner);
}

void PlanMeter::use(const Assignment& wanted) {
  hold(wanted);
  for (std::size_t g = 0; g < wanted.size(); ++g) {
    if (wanted[g] == now_[g]) continue;
    now_[g] = wanted[g];
    importance::restore(replacing_, engine_.architecture().groups[g]);
    if (wanted[g]->has_codes()) held_.at({g, wanted[g]}).put_into(replacing_);
  }
}

void help_to_measure(const Ranks& ranks, std::span<PlanMeter* const> meters) {
  for (;;) {
    json order;
    ranks.broadcast(order);
    if (order.is_null()) return;
    meters[order["meter"].get<std::size_t>()]->follow(order);
  }
}

void end_measurements(const Ranks& ranks) {
  json nothing;
  ranks.broadcast(nothing);
}

}  // namespace strata::pipeline
