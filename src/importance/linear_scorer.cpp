// A quadratic form of the difference gives the error, the same form of the weights the energy that it is relative to.
#include "importance/linear_scorer.h"

#include <algorithm>
#include <chrono>

#include "core/seconds.h"

namespace strata::importance {
namespace {

using Clock = std::chrono::steady_clock;

/// The tokens of every part of the calibration set that a signal's values are means over.
std::vector<double> tokens_of_parts(const Signal& signal, const LinearInputs& inputs,
                                    const std::vector<std::size_t>& part_tokens) {
  std::vector<double> result;
  if (signal.needs_products && !inputs.hessians.empty())
    for (const quantize::Hessian& h : inputs.hessians) result.push_back(static_cast<double>(h.tokens()));
  else
    for (const std::size_t tokens : part_tokens) result.push_back(static_cast<double>(tokens));
  return result;
}

/// Mean of `values` over the tokens of parts [first, end).
double mean_over(const std::vector<double>& values, const std::vector<double>& tokens, std::size_t first,
                 std::size_t end) {
  double sum = 0.0, count = 0.0;
  for (std::size_t p = first; p < end; ++p) {
    sum += values[p] * tokens[p];
    count += tokens[p];
  }
  return sum / count;
}

}  // namespace

LinearScorer::LinearScorer(const model::Model& model, std::vector<const Signal*> signals, const ScoreRequest& request,
                           const Found& found)
    : model_(model), a_(model.architecture()), signals_(std::move(signals)), request_(request), found_(found) {
  if (std::ranges::any_of(signals_, &Signal::needs_products)) hessians_.emplace(model);
  const auto reads_rounded = [&](const codec::Codec* codec) {
    return request.measure.rounded_inputs.of(*codec) != codec::ActivationRounding::Kind::none;
  };
  if (wanted() && std::ranges::any_of(request.codecs, reads_rounded)) input_errors_.emplace(model);
  for (const Signal* signal : signals_) {
    Errors& errors = errors_[signal];
    for (auto* scores : {&errors.whole, &errors.halves[0], &errors.halves[1]})
      for (const model::Linear& linear : a_.linears) scores->push_back({linear.module, 0.0, {}});
  }
}

void LinearScorer::observe_expert(const PassExpertRows& rows) {
  if (input_errors_) input_errors_->observe_expert(rows);
}

void LinearScorer::observe(const SiteRows& rows) {
  if (input_errors_) input_errors_->observe(rows);
  if (!hessians_) return;
  const auto begin = Clock::now();
  hessians_->observe(rows);
  for (const Signal* signal : signals_)
    if (signal->needs_products) seconds_[std::string(signal->name)] += seconds_since(begin);
}

void LinearScorer::score_block(std::size_t block, const Ranks& ranks) {
  if (!wanted()) return;
  if (input_errors_ && block != model::kNoBlock) input_errors_->complete(block, ranks);
  std::vector<std::size_t> linears;
  for (std::size_t l = 0; l < a_.linears.size(); ++l)
    if (a_.linears[l].block == block) linears.push_back(l);
  for (std::size_t i = ranks.rank(); i < linears.size(); i += ranks.size()) score_linear(linears[i]);
  for (std::size_t i = 0; ranks.many() && i < linears.size(); ++i) share(linears[i], ranks, i % ranks.size());
}

void LinearScorer::share(std::size_t l, const Ranks& ranks, std::size_t from) {
  struct Row {
    std::size_t codec;  // its place in the table, which all ranks have
    double error, standard_error;
  };
  for (auto& [signal, errors] : errors_)
    for (auto* scores : {&errors.whole, &errors.halves[0], &errors.halves[1]}) {
      LinearScores& of = (*scores)[l];
      ranks.broadcast(std::as_writable_bytes(std::span(&of.normalizer, 1)), from);
      std::vector<Row> rows;
      for (const CodecScore& score : of.codecs)
        rows.push_back(
            {static_cast<std::size_t>(score.codec - codec::all().data()), score.error, score.standard_error});
      ranks.broadcast(rows, from);
      of.codecs.clear();
      for (const Row& row : rows) {
        const codec::Codec& codec = codec::all()[row.codec];
        of.codecs.push_back({&codec, codec::stored_bytes(codec, a_.linears[l].rows, a_.linears[l].cols), row.error,
                             row.standard_error});
      }
    }
}

void LinearScorer::score_linear(std::size_t l) {
  const model::Linear& linear = a_.linears[l];
  const DenseLinear dense(model_, linear);
  const Sensitivities& sensitivities = found_.sensitivities;
  LinearInputs inputs{found_.inputs.parts(linear), {}, {}};
  if (hessians_) inputs.hessians = hessians_->of(linear);
  if (!sensitivities.empty()) inputs.sensitivities = sensitivities[l].columns;
  const RowSample sample(dense.view(), sensitivities.empty() ? std::span<const double>() : sensitivities[l].rows);
  const std::vector<float> mean_square = found_.inputs.of(linear);
  const ProductsWanted wanted{hessians_.has_value(), sample.weights};
  ColumnProducts energy;
  const auto note_all = [&](const codec::Codec* codec, const auto& make) {
    auto begin = Clock::now();
    const ColumnProducts made = make();
    const double rounding = seconds_since(begin);
    for (const Signal* signal : signals_) {
      begin = Clock::now();
      note(*signal, l, inputs, codec, made, signal->needs_gradients ? sample.all_weights : sample.all_rows);
      seconds_[std::string(signal->name)] += rounding + seconds_since(begin);
    }
  };
  note_all(nullptr, [&] { return energy = column_products(sample.rows, wanted); });
  for (const codec::Codec* codec : request_.codecs)
    if (codec::why_not(*codec, linear.rows, linear.cols).empty())
      note_all(codec, [&] {
        ColumnProducts error =
            codec == model_.source_codec(l)
                ? no_error(linear.cols, wanted)
                : rounding_error(*codec, sample.rows, mean_square, request_.fit,
                                 codec::tensor_scale(*codec, found_.group_absmax[linear.group]), wanted);
        add_input_errors(l, *codec, energy, error);
        return error;
      });
}

void LinearScorer::add_input_errors(std::size_t l, const codec::Codec& codec, const ColumnProducts& energy,
                                    ColumnProducts& error) {
  const codec::ActivationRounding rounding =
      found_.inputs.rounding(a_.linears[l], request_.measure.rounded_inputs.of(codec));
  if (rounding.rounds()) add_shares(energy, input_errors_->shares(a_.linears[l], rounding), error);
}

void LinearScorer::note(const Signal& signal, std::size_t l, const LinearInputs& inputs, const codec::Codec* codec,
                        const ColumnProducts& products, double whole) {
  std::vector<double> parts = signal.of_linear(inputs, products);
  for (double& part : parts) part *= whole;
  const std::vector<double> tokens = tokens_of_parts(signal, inputs, found_.inputs.part_tokens());
  STRATA_CHECK(parts.size() == tokens.size(), "{}: {} parts of {}", signal.name, parts.size(), tokens.size());
  const std::size_t count = parts.size(), half = first_half(count);
  Errors& errors = errors_[&signal];
  const auto put = [&](LinearScores& scores, std::size_t first, std::size_t end, double standard_error) {
    const double value = mean_over(parts, tokens, first, end);
    if (codec == nullptr)
      scores.normalizer = signal.in_nats ? 1.0 : value;
    else
      scores.codecs.push_back(
          {codec, codec::stored_bytes(*codec, a_.linears[l].rows, a_.linears[l].cols), value, standard_error});
  };
  put(errors.whole[l], 0, count, estimate(parts).standard_error.value_or(0.0));
  if (half == 0) return;
  put(errors.halves[0][l], 0, half, 0.0);
  put(errors.halves[1][l], half, count, 0.0);
}

void visit(LinearScorer& scorer, Snapshot& snapshot) {
  for (const Signal* signal : scorer.signals_) {
    snapshot(scorer.errors_[signal].whole);
    snapshot(scorer.errors_[signal].halves);
  }
  snapshot(scorer.seconds_);
}

void LinearScorer::finish(Scores& scores, std::array<Scores, 2>& halves) {
  for (auto& [signal, errors] : errors_) {
    const std::string name(signal->name);
    scores.linears[name] = std::move(errors.whole);
    for (std::size_t h = 0; h < 2; ++h) halves[h].linears[name] = std::move(errors.halves[h]);
  }
}

}  // namespace strata::importance
