// Measurements are known by what was measured, so that asking again, or running again with the journal, costs nothing.
// Groups that a plan shares with the one before stay as they are.
#include "pipeline/measure/meter.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/hash.h"
#include "core/statistics.h"

namespace strata::pipeline {
namespace {

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

}  // namespace

PlanMeter::PlanMeter(engine::Engine& engine, const importance::CalibrationSet& text,
                     const importance::InputMeanSquare& inputs, std::size_t tokens,
                     const std::filesystem::path& journal, std::string_view job, codec::RoundedInputs rounded_inputs)
    : engine_(engine),
      inputs_(inputs),
      rounded_inputs_(std::move(rounded_inputs)),
      meter_(engine, text, tokens),
      replacing_(engine) {
  base_ = now_ = all_kept(engine.architecture());
  original_perplexity_ = std::exp(mean(meter_.nll()));
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
                                 {"tokens", tokens}});
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
  const Estimate kl = estimate(meter_.measure(first));
  // The original against itself leaves the rounding of the sums, which may fall below 0.
  const Measured result{std::max(0.0, kl.mean), kl.standard_error.value_or(0.0), std::exp(mean(meter_.nll()))};
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

void PlanMeter::use(const Assignment& wanted) {
  const model::Architecture& a = engine_.architecture();
  for (std::size_t g = 0; g < wanted.size(); ++g) {
    if (wanted[g] == now_[g]) continue;
    now_[g] = wanted[g];
    importance::restore(replacing_, a.groups[g]);
    if (!wanted[g]->has_codes()) continue;
    auto it = held_.find({g, wanted[g]});
    if (it == held_.end())
      it = held_
               .emplace(std::pair(g, wanted[g]), importance::RoundedGroup(engine_.model(), a.groups[g], *wanted[g],
                                                                          inputs_, rounded_inputs_.of(*wanted[g])))
               .first;
    it->second.put_into(replacing_);
  }
}

}  // namespace strata::pipeline
