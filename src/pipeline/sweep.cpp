// A point is an assignment of codecs to groups (or a set of blocks cut out), measured once whichever curve asks for it.
// Rounded groups are held, so that a point costs one forward pass.
#include "pipeline/sweep.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "allocate/allocate.h"
#include "allocate/orders.h"
#include "core/file.h"
#include "core/journal.h"
#include "core/progress.h"
#include "core/statistics.h"
#include "importance/divergence.h"
#include "importance/score.h"
#include "pipeline/planner.h"
#include "pipeline/scoring.h"

namespace strata::pipeline {
namespace {

using codec::Codec;
using Assignment = std::vector<const Codec*>;  // by group

struct Measured {
  double kl, kl_standard_error, perplexity;
};

double mean(const std::vector<double>& values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

class Points {
 public:
  Points(engine::Engine& engine, const importance::CalibrationSet& text, const importance::InputMeanSquare& inputs,
         const SweepRequest& request)
      : engine_(engine), inputs_(inputs), meter_(engine, text, request.tokens) {
    now_.assign(engine.architecture().groups.size(), &codec::by_name("keep"));
    original_perplexity_ = std::exp(mean(meter_.nll()));
    if (request.journal.empty()) return;
    journal_.emplace(request.journal, json{{"format", "strata journal"},
                                           {"version", 1},
                                           {"job", "sweep"},
                                           {"model", engine.model().fingerprint()},
                                           {"text", text.source.to_json()},
                                           {"tokens", request.tokens}});
    const std::string where = request.journal.string();
    for (const json& unit : journal_->finished())
      known_[get<std::string>(unit, "point", where)] = {
          get<double>(unit, "kl", where), get<double>(unit, "stderr", where), get<double>(unit, "perplexity", where)};
  }

  double original_perplexity() const { return original_perplexity_; }
  std::size_t tokens() const { return meter_.tokens(); }

  Measured of(const Assignment& wanted) {
    std::string name;
    for (const Codec* codec : wanted) name += codec->name + " ";
    return measured("codecs " + hash(name), [&] { use(wanted); });
  }
  Measured without(const std::vector<bool>& blocks) {
    std::string name;
    for (const bool cut : blocks) name += cut ? '1' : '0';
    return measured("without " + name, [&] {
      use(Assignment(now_.size(), &codec::by_name("keep")));
      meter_.cut(blocks);
    });
  }

 private:
  static std::string hash(const std::string& text) {
    return fmt::format("{:016x}", fnv1a(std::as_bytes(std::span(text))));
  }

  template <class Prepare>
  Measured measured(const std::string& key, Prepare prepare) {
    if (const auto it = known_.find(key); it != known_.end()) return it->second;
    prepare();
    const Estimate kl = estimate(meter_.measure(0));
    const Measured result{std::max(0.0, kl.mean), kl.standard_error.value_or(0.0), std::exp(mean(meter_.nll()))};
    meter_.cut({});
    if (journal_)
      journal_->append(
          {{"point", key}, {"kl", result.kl}, {"stderr", result.kl_standard_error}, {"perplexity", result.perplexity}});
    return known_[key] = result;
  }

  void use(const Assignment& wanted) {
    const model::Architecture& a = engine_.architecture();
    for (std::size_t g = 0; g < wanted.size(); ++g) {
      if (wanted[g] == now_[g]) continue;
      now_[g] = wanted[g];
      importance::restore(engine_, a.groups[g]);
      if (!wanted[g]->has_codes()) continue;
      auto it = held_.find({g, wanted[g]});
      if (it == held_.end())
        it = held_
                 .emplace(std::pair(g, wanted[g]),
                          importance::RoundedGroup(engine_.model(), a.groups[g], *wanted[g], inputs_))
                 .first;
      it->second.put_into(engine_);
    }
  }

  engine::Engine& engine_;
  const importance::InputMeanSquare& inputs_;
  importance::DivergenceMeter meter_;
  std::optional<Journal> journal_;
  std::map<std::string, Measured> known_;
  std::map<std::pair<std::size_t, const Codec*>, importance::RoundedGroup> held_;
  Assignment now_;
  double original_perplexity_;
};

class Sweep {
 public:
  Sweep(engine::Engine& engine, const SweepRequest& request, const importance::ScoreResult& scored, Points& points)
      : a_(engine.architecture()), model_(engine.model()), request_(request), scored_(scored), points_(points) {
    const std::size_t step = request.step != 0 ? request.step : std::max<std::size_t>(1, a_.blocks / 15);
    for (std::size_t n = 0; n < a_.blocks; n += step) counts_.push_back(n);
    counts_.push_back(a_.blocks);
  }

  SweepResult run() {
    SweepResult result;
    result.high = request_.high->name;
    result.low = request_.low->name;
    result.blocks = a_.blocks;
    result.tokens = points_.tokens();
    result.perplexity = points_.original_perplexity();
    std::vector<std::pair<std::string, allocate::Order>> orders;
    for (const char* signal : {"lim", "zd"}) {
      const allocate::Order order = allocate::by_importance(scored_.scores.importance(signal));
      orders.emplace_back(signal, order);
      orders.emplace_back(std::string(signal) + " reversed", allocate::reversed(order));
    }
    orders.emplace_back("first", allocate::first_blocks(a_.blocks));
    orders.emplace_back("last", allocate::last_blocks(a_.blocks));
    orders.emplace_back("first and last", allocate::first_and_last(a_.blocks));
    for (std::size_t seed = 0; seed < request_.random_orders; ++seed)
      orders.emplace_back(fmt::format("random {}", seed), allocate::random_order(a_.blocks, seed));
    progress_.emplace("sweep", (orders.size() + 3) * counts_.size() + a_.blocks + 5);
    orders.emplace_back("kl", allocate::by_importance(single_blocks()));
    for (const auto& [name, order] : orders) result.curves.push_back(curve(name, order));
    result.curves.push_back(best());
    result.curves.push_back(pruned(orders[0].second));
    add_plans(result);
    return result;
  }

 private:
  const Codec* held(std::size_t group, const Codec& codec) const {
    for (const std::size_t l : a_.groups[group].linears)
      if (!codec::why_not(codec, a_.linears[l].rows, a_.linears[l].cols).empty()) return &codec::by_name("keep");
    return &codec;
  }
  Assignment lowered(const std::vector<bool>& blocks) const {
    Assignment result;
    for (std::size_t g = 0; g < a_.groups.size(); ++g) {
      const std::size_t block = a_.groups[g].block;
      result.push_back(block == model::kNoBlock ? &codec::by_name("keep")
                                                : held(g, blocks[block] ? *request_.low : *request_.high));
    }
    return result;
  }
  std::vector<bool> least(const allocate::Order& order, std::size_t count) const {
    std::vector<bool> blocks(a_.blocks, false);
    for (std::size_t i = 0; i < count; ++i) blocks[order[a_.blocks - 1 - i]] = true;
    return blocks;
  }
  std::uint64_t bytes_of(const Assignment& assignment) const {
    std::uint64_t bytes = 0;
    for (std::size_t g = 0; g < assignment.size(); ++g)
      if (a_.groups[g].block != model::kNoBlock)
        for (const std::size_t l : a_.groups[g].linears)
          bytes += codec::stored_bytes(*assignment[g], a_.linears[l].rows, a_.linears[l].cols);
    return bytes;
  }
  double bits_of(const Assignment& assignment) const {
    return allocate::true_bits(bytes_of(assignment), a_.block_linear_weights());
  }

  SweepPoint point(std::size_t count, const Assignment& assignment) {
    const Measured m = points_.of(assignment);
    progress_->advance();
    return {count, bits_of(assignment), m.kl, m.kl_standard_error, m.perplexity};
  }

  SweepCurve curve(const std::string& name, const allocate::Order& order) {
    SweepCurve result{name, {}};
    progress_->note(name);
    for (const std::size_t count : counts_) result.points.push_back(point(count, lowered(least(order, count))));
    return result;
  }

  /// KL with one block lowered, all others at the high codec.
  std::vector<double> single_blocks() {
    std::vector<double> result;
    progress_->note("single blocks");
    for (std::size_t b = 0; b < a_.blocks; ++b) {
      std::vector<bool> blocks(a_.blocks, false);
      blocks[b] = true;
      result.push_back(point(1, lowered(blocks)).kl);
    }
    return result;
  }

  /// The two codecs by group instead of by block, at the bytes of every point of the other curves.
  SweepCurve best() {
    SweepCurve result{"best", {}};
    progress_->note("best");
    const Costs costs = costs_of(scored_.scores, a_);
    std::vector<allocate::Group> groups;
    std::vector<std::vector<const Codec*>> codecs;
    for (std::size_t g = 0; g < a_.groups.size(); ++g) {
      if (a_.groups[g].block == model::kNoBlock) continue;
      groups.emplace_back();
      codecs.emplace_back();
      for (const Codec* codec : {held(g, *request_.high), held(g, *request_.low)}) {
        allocate::Choice choice;
        for (const std::size_t l : a_.groups[g].linears) {
          choice.bytes += codec::stored_bytes(*codec, a_.linears[l].rows, a_.linears[l].cols);
          choice.cost += codec->has_codes() ? costs.linears[l].at(codec) : 0.0;
        }
        groups.back().push_back(choice);
        codecs.back().push_back(codec);
      }
    }
    for (const std::size_t count : counts_) {
      const std::uint64_t budget = bytes_of(lowered(least(allocate::first_blocks(a_.blocks), count)));
      const allocate::Solution solution = allocate::solve(groups, budget);
      Assignment assignment;
      std::size_t next = 0;
      for (const model::FusionGroup& group : a_.groups)
        if (group.block == model::kNoBlock) {
          assignment.push_back(&codec::by_name("keep"));
        } else {
          assignment.push_back(codecs[next][solution.choice[next]]);
          ++next;
        }
      result.points.push_back(point(count, assignment));
    }
    return result;
  }

  SweepCurve pruned(const allocate::Order& order) {
    SweepCurve result{"pruned", {}};
    progress_->note("pruned");
    for (const std::size_t count : counts_) {
      const Measured m = points_.without(least(order, count));
      const double left = 1.0 - static_cast<double>(count) / static_cast<double>(a_.blocks);
      result.points.push_back({count, 16.0 * left, m.kl, m.kl_standard_error, m.perplexity});
      progress_->advance();
    }
    return result;
  }

  void add_plans(SweepResult& result) {
    progress_->note("three tiers");
    const Costs costs = costs_of(scored_.scores, a_);
    const Target& target = target_by_name("vllm");
    const auto add = [&](const std::string& name, PlanRequest request) {
      try {
        Assignment assignment;
        for (const PlannedGroup& group : make_plan(model_, target, request, costs).plan.groups)
          assignment.push_back(group.codec);
        const Measured m = points_.of(assignment);
        result.plans.push_back({name, bits_of(assignment), m.kl, m.kl_standard_error, m.perplexity,
                                static_cast<double>(bytes_of(assignment)) * 1e-9});
      } catch (const Error& error) {
        result.notes.push_back(fmt::format("{}: {}", name, error.what()));
      }
      progress_->advance();
    };
    for (const double bits : {5.0, 6.0, 7.0, 8.0}) {
      PlanRequest request;
      request.preset = "three-tier";
      request.bits = bits;
      add(fmt::format("three-tier {:.0f}", bits), request);
    }
    PlanRequest request;
    request.preset = "uniform:fp8_channel";
    add("fp8_channel", request);
  }

  const model::Architecture& a_;
  const model::Model& model_;
  const SweepRequest& request_;
  const importance::ScoreResult& scored_;
  Points& points_;
  std::vector<std::size_t> counts_;
  std::optional<Progress> progress_;
};

}  // namespace

SweepResult sweep(engine::Engine& engine, const importance::CalibrationSet& calibration,
                  const importance::CalibrationSet& text, const SweepRequest& request) {
  importance::ScoreRequest wanted;
  for (const char* signal : {"lim", "zd", "act_mse", "alpha"})
    wanted.signals.push_back(&importance::signal_by_name(signal));
  for (const Codec* codec : {request.high, request.low})
    if (codec->has_codes()) wanted.codecs.push_back(codec);
  const importance::ScoreResult scored = importance::score(engine, calibration, wanted);
  Points points(engine, text, scored.inputs, request);
  return Sweep(engine, request, scored, points).run();
}

}  // namespace strata::pipeline
