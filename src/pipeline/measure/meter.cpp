// Measurements are known by what was measured, so that asking again, or running again with the journal, costs nothing.
// Groups that a plan shares with the one before stay as they are.
#include "pipeline/measure/meter.h"

#include <algorithm>
#include <cmath>

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
  if (journal.empty()) return;
  journal_.emplace(journal, json{{"format", "strata journal"},
                                 {"version", 1},
                                 {"job", job},
                                 {"model", engine.model().fingerprint()},
                                 {"text", text.source.identity()},
                                 {"tokens", tokens}});
  const std::string where = journal.string();
  for (const json& unit : journal_->finished())
    known_[get<std::string>(unit, "point", where)] = {
        get<double>(unit, "kl", where), get<double>(unit, "stderr", where), get<double>(unit, "perplexity", where)};
}

PlanMeter::Measured PlanMeter::measure(const Assignment& wanted) {
  std::string text;
  for (const codec::Codec* codec : wanted) text += rounded_inputs_.text(*codec) + " ";
  return known_or_measured(fmt::format("codecs {:016x}", fnv1a(std::as_bytes(std::span(text)))), [&] {
    use(wanted);
    return first_change(wanted);
  });
}

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
  std::string name;
  for (const bool cut : blocks) name += cut ? '1' : '0';
  return known_or_measured("without " + name, [&] {
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
  if (journal_)
    journal_->append(
        {{"point", key}, {"kl", result.kl}, {"stderr", result.kl_standard_error}, {"perplexity", result.perplexity}});
  return known_[key] = result;
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
