// Whole plans measured on a text: KL divergence from the original and perplexity, with every group rounded to nearest.
// Rounded groups are held, and so are the hidden states of one plan. A measurement then costs the rounding of groups
// that no plan before had so, and a forward pass from the first block that differs from that plan.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "codec/rounded_inputs.h"
#include "core/journal.h"
#include "core/ranks.h"
#include "importance/divergence.h"
#include "pipeline/plan/plan.h"

namespace strata::pipeline {

/// Ranks that share the sequences of some meters. The first one says what is measured, and the others help_to_measure.
struct MeterSharing {
  Ranks ranks{};           ///< no more than there are sequences
  std::size_t number = 0;  ///< of the meter among those that share
};

class PlanMeter {
 public:
  struct Measured {
    double kl = 0.0, kl_standard_error = 0.0;  ///< nats per token, over all tokens
    double perplexity = 0.0;                   ///< over the tokens with a next one
  };

  /// The engine must run the original, and outlive this; so must the inputs. With a journal, of the first rank, every
  /// measurement is kept there, under the name of `job`. Groups read their inputs as rounded_inputs says of their
  /// codecs. Memory: importance::DivergenceMeter's, and a copy of the linears for every codec that they are measured
  /// with. sharing: with several ranks all make the meter, with the same text and inputs, and the first one has all
  /// results; only measure() and rebase() may be called then, by that one.
  PlanMeter(engine::Engine& engine, const importance::CalibrationSet& text, const importance::InputMeanSquare& inputs,
            std::size_t tokens, const std::filesystem::path& journal = {}, std::string_view job = "",
            codec::RoundedInputs rounded_inputs = {}, const MeterSharing& sharing = {});
  /// Those of `ranks` that can share a meter of this text: one beyond them has a number that is not below their size.
  static Ranks ranks_that_share(const importance::CalibrationSet& text, std::size_t tokens, const Ranks& ranks);

  Measured measure(const Assignment& wanted);
  /// Whether measure() has this plan's figures already.
  bool knows(const Assignment& plan) const;
  /// Measures many plans, so that measure() knows them. Ranks at work share them; all call this with the same plans.
  /// tick: called for each plan.
  void measure_all(const std::vector<Assignment>& plans, const std::function<void()>& tick);
  /// Keeps the hidden states of this plan: plans that are equal to it in their first blocks skip those from now on. One
  /// forward pass; changes no result.
  void rebase(const Assignment& base);
  /// The original without the blocks that are set, and many of those, as above.
  Measured measure_without(const std::vector<bool>& blocks);
  void measure_all_without(const std::vector<std::vector<bool>>& cuts, const std::function<void()>& tick);

  /// The other ranks': does what the first one has ordered.
  void follow(const json& order);

  double original_perplexity() const { return original_perplexity_; }
  std::size_t tokens() const { return tokens_; }

 private:
  template <class Prepare>
  Measured known_or_measured(const std::string& key, Prepare prepare);
  template <class Item, class Measure>
  void measure_shared(const std::vector<Item>& items, Measure measure, const std::function<void()>& tick);
  /// What a measurement of a plan, or of blocks left out, is known by.
  std::string key_of(const Assignment& plan) const;
  static std::string key_of(const std::vector<bool>& cut);
  void keep(const std::string& key, const Measured& measured);
  void read_journal(const std::filesystem::path& journal, const importance::CalibrationSet& text, std::size_t tokens,
                    std::string_view job);
  /// Every rank knows what the first one has read.
  void share_known();
  void use(const Assignment& wanted);
  /// Holds the rounded groups of a plan, those that are new by all ranks that share.
  void hold(const Assignment& wanted);
  /// Tells the ranks that share what the first one does.
  void order(std::string_view what, const Assignment& wanted) const;
  /// The values of all sequences, for the first of the ranks that share them.
  std::vector<double> of_all(const std::vector<double>& own) const;
  /// The first block where a plan differs from the one whose hidden states are kept.
  std::size_t first_change(const Assignment& wanted) const;

  engine::Engine& engine_;
  const Ranks ranks_ = ranks_at_work();  ///< which share plans
  const MeterSharing sharing_;
  const importance::InputMeanSquare& inputs_;
  const codec::RoundedInputs rounded_inputs_;
  std::size_t tokens_;
  importance::DivergenceMeter meter_;
  std::optional<Journal> journal_;
  std::map<std::string, Measured> known_;
  std::map<std::pair<std::size_t, const codec::Codec*>, importance::RoundedGroup> held_;
  engine::Replacing replacing_;
  Assignment now_;   ///< the plan whose weights are in the engine, by replacing_
  Assignment base_;  ///< the plan whose hidden states the meter keeps
  double original_perplexity_;
};

/// The other ranks': take part in what the first one does with meters, by their numbers, until it calls
/// end_measurements.
void help_to_measure(const Ranks& ranks, std::span<PlanMeter* const> meters);
void end_measurements(const Ranks& ranks);

}  // namespace strata::pipeline
