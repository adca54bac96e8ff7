// The main job's steps.
// Activations are rounded to bf16 where only means over thousands of tokens are wanted; scores are computed in f32,
// since a single group's divergence can be as small as that rounding.
#include "pipeline/quantize_model.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "core/cpu.h"
#include "core/file.h"
#include "importance/imatrix.h"
#include "pipeline/max_kl.h"
#include "pipeline/presets.h"
#include "quantize/rtn.h"
#include "quantize/scan.h"

namespace strata::pipeline {
namespace {

/// Tokens that a plan's divergence is measured on: its standard error is then about 3 % of it.
constexpr std::size_t kMaxKlTokens = 2048;

void refuse_quantized(const model::Model& model) {
  if (model.quantized())
    fail("{}: is quantized already; quantize the original model, since a second rounding only adds loss",
         model.path().string());
}

std::vector<std::vector<float>> importance_of(const importance::InputMeanSquare& inputs, const model::Architecture& a) {
  std::vector<std::vector<float>> result;
  for (const model::Linear& linear : a.linears) result.push_back(inputs.of(linear));
  return result;
}

/// Without steps when there is nothing to search: the plan is given, or its preset knows no costs, or --max-kl measures
/// plans itself. Plans are measured with searched scales, so those of minmax would be judged by others.
SearchOptions search_of(const QuantizeRequest& request) {
  SearchOptions search = request.search;
  if (!request.plan_file.empty() || !needs_linear_costs(request.plan) || request.plan.max_kl ||
      request.scale_fit != codec::ScaleFit::search)
    search.steps = 0;
  return search;
}

model::Tokenizer tokenizer_of(const model::Model& model) {
  return model::Tokenizer::from_files(model::tokenizer_files(model), model.path().string());
}

}  // namespace

Prepared prepare(const model::Model& model, const QuantizeRequest& request) {
  refuse_quantized(model);
  std::error_code code;
  if (!request.overwrite && std::filesystem::exists(std::filesystem::symlink_status(request.output, code)))
    fail("{}: exists already; use --overwrite to replace it", request.output.string());
  const std::filesystem::path parent = std::filesystem::absolute(request.output, code).parent_path();
  if (!std::filesystem::is_directory(parent, code))
    fail("{}: the folder {} does not exist", request.output.string(), parent.string());
  if (request.plan_file.empty()) {
    PlanRequest budgeted = request.plan;
    if (budgeted.max_kl) budgeted.bits = 16.0;
    check_request(model, *request.target, budgeted);
  }
  const model::Architecture& a = model.architecture();
  Prepared prepared;
  Costs costs;
  std::optional<importance::InputMeanSquare> inputs;
  const bool needs_scores = request.plan_file.empty() && request.scores_file.empty() &&
                            (needs_linear_costs(request.plan) || needs_block_signals(request.plan));
  const bool searches = request.scale_fit == codec::ScaleFit::search;
  const bool needs_inputs = searches && request.method == Method::rtn && request.imatrix.empty();
  if (!request.imatrix.empty()) prepared.importance = importance::read_imatrix(request.imatrix, model);
  const bool under_kl = request.plan_file.empty() && request.plan.max_kl.has_value();
  const SearchOptions search = search_of(request);
  if (needs_scores || needs_inputs || under_kl || search.steps > 0) {
    engine::Engine engine(model, kernel::Precision::bf16);
    prepared.calibration = make_calibration(engine, tokenizer_of(model), request.calibration);
    if (needs_scores) {
      engine::Engine exact(model, kernel::Precision::f32);
      importance::ScoreRequest needed = scores_needed(request.plan, *request.target);
      needed.fit = request.scale_fit;
      const auto sets = make_calibrations(engine, tokenizer_of(model), request.calibration);
      importance::ScoreResult result = importance::score(exact, sets, needed, importance::Combine::mean);
      costs = costs_of(result.scores, a);
      inputs.emplace(sets.size() == 1 ? result.inputs : importance::input_mean_square(engine, *prepared.calibration));
      prepared.scores = std::move(result.scores);
    } else {
      inputs.emplace(importance::input_mean_square(engine, *prepared.calibration));
    }
    if (searches && request.imatrix.empty()) prepared.importance = importance_of(*inputs, a);
  }
  if (!request.scores_file.empty()) {
    const std::string where = request.scores_file.string();
    prepared.scores = importance::Scores::from_json(read_json_file(request.scores_file), model, where);
    costs = costs_of(*prepared.scores, a);
  }
  if (under_kl) {
    engine::Engine exact(model, kernel::Precision::f32);
    PlanMeter meter(exact, *prepared.calibration, *inputs, kMaxKlTokens);
    prepared.plan = plan_under_kl(model, *request.target, request.plan, costs, meter);
  } else if (search.steps > 0) {
    prepared.plan = search_on_set(model, *request.target, request.plan, costs, *prepared.calibration, *inputs, search);
  } else if (request.plan_file.empty()) {
    prepared.plan = make_plan(model, *request.target, request.plan, costs);
  } else {
    const std::string where = request.plan_file.string();
    prepared.plan.plan = Plan::from_json(read_json_file(request.plan_file), model, where);
    for (const PlannedGroup& group : prepared.plan.plan.groups)
      if (const std::string why = request.target->why_not(*group.codec); !why.empty())
        fail("{}: {} cannot be {} for {}: {} (targets that can: {})", where, group.name, group.codec->name,
             request.target->name, why, targets_that_can(*group.codec));
    check_experts(prepared.plan.plan, a, *request.target, where);
    prepared.plan.output_bytes =
        lay_out(model, prepared.plan.plan, *request.target, request.plan.shard_bytes, model.companion_files())
            .total_bytes;
  }
  return prepared;
}

WriteEstimate estimate_writing(const model::Model& model, const Prepared& prepared, codec::ScaleFit fit) {
  const model::Architecture& a = model.architecture();
  const auto codecs = codecs_by_linear(prepared.plan.plan, a);
  std::map<const codec::Codec*, double> seconds_per_weight;
  WriteEstimate estimate;
  std::uint64_t largest = a.vocab * a.hidden * 2;
  for (std::size_t l = 0; l < codecs.size(); ++l) {
    const model::Linear& linear = a.linears[l];
    const std::uint64_t weights = linear.rows * linear.cols;
    largest = std::max(largest, weights * 2 + codec::stored_bytes(*codecs[l], linear.rows, linear.cols));
    auto [it, fresh] = seconds_per_weight.try_emplace(codecs[l], 0.0);
    if (fresh) {
      const model::LinearWeights held = model.weights(linear);
      MatrixView part = held.view().dense;
      part.rows = std::min<std::size_t>(part.rows, 256);
      const auto importance =
          prepared.importance.empty() ? std::span<const float>() : std::span<const float>(prepared.importance[l]);
      const auto begin = std::chrono::steady_clock::now();
      quantize::quantize_rtn(*codecs[l], part, importance, fit,
                             codec::tensor_scale(*codecs[l], quantize::checked_absmax(part, model.path().string(),
                                                                                      linear.module + ".weight")));
      it->second = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() /
                   static_cast<double>(part.weights());
    }
    estimate.seconds += it->second * static_cast<double>(weights);
  }
  constexpr double disk_bytes_per_second = 5e8;
  estimate.seconds += static_cast<double>(prepared.plan.output_bytes) / disk_bytes_per_second;
  constexpr std::uint64_t program_bytes = 64u << 20;
  estimate.memory_bytes = std::max(peak_resident_bytes(), program_bytes + largest);
  return estimate;
}

Written write(const model::Model& model, Prepared& prepared, const QuantizeRequest& request) {
  WriteOptions options;
  options.scale_fit = request.scale_fit;
  options.importance = std::move(prepared.importance);
  options.shard_bytes = request.plan.shard_bytes;
  options.overwrite = request.overwrite;
  Written written;
  const auto write_all = [&] {
    written.bytes = write_checkpoint(model, prepared.plan.plan, *request.target, request.output, options);
    written.path = opened_by(model, prepared.plan.plan, *request.target, request.output, options.shard_bytes);
  };
  if (request.method == Method::rtn) {
    write_all();
    return written;
  }
  const auto codecs = codecs_by_linear(prepared.plan.plan, model.architecture());
  std::optional<importance::CalibrationSet> set;
  {
    engine::Engine engine(model, kernel::Precision::bf16);
    set = make_calibration(engine, tokenizer_of(model), request.rounding);
  }
  quantize::GptqOptions gptq = request.gptq;
  gptq.fit = request.scale_fit;
  const std::size_t embedding = model.architecture().embedding();
  const bool weighted = embedding != model::kNoBlock && !options.importance.empty();
  Rounding rounding(model, codecs, *set, gptq,
                    weighted ? std::span<const float>(options.importance[embedding]) : std::span<const float>());
  options.stored = [&](std::size_t l) -> const codec::Stored& { return rounding.linear(l); };
  write_all();
  written.linears = rounding.results();
  written.calibration = set->source;
  return written;
}

eval::Evaluation verify(const model::Model& model, const QuantizeRequest& request, const Written& output,
                        std::size_t sequences) {
  const model::Tokenizer tokenizer = tokenizer_of(model);
  const model::Model written = model::Model::open(output.path);
  engine::Engine original(model), quantized(written);
  CalibrationRequest text = request.calibration;
  std::vector<std::vector<engine::Token>> chunks;
  if (text.files.empty()) {
    engine::Engine writer(model, kernel::Precision::bf16);
    text.samples = sequences;
    text.seed += 0x76657269;  // any other seed: text that the calibration did not see
    chunks = make_calibration(writer, tokenizer, text).sequences;
  } else {
    text = request.method == Method::gptq ? request.rounding : request.calibration;
    text.samples += sequences;
    chunks = make_calibration(original, tokenizer, text).sequences;
    chunks.erase(chunks.begin(),
                 chunks.begin() + static_cast<std::ptrdiff_t>(chunks.size() - std::min(sequences, chunks.size())));
  }
  return eval::evaluate(quantized, &original, chunks);
}

}  // namespace strata::pipeline
