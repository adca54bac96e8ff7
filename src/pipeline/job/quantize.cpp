// The main job's steps.
// Activations are rounded to bf16 where only means over thousands of tokens are wanted; scores are computed in f32,
// since a single group's divergence can be as small as that rounding.
#include "pipeline/job/quantize.h"

#include <algorithm>
#include <map>

#include "core/cpu.h"
#include "core/file.h"
#include "importance/imatrix.h"
#include "pipeline/choose/presets.h"
#include "pipeline/job/estimate.h"
#include "pipeline/job/stages.h"
#include "pipeline/job/verification_text.h"
#include "pipeline/measure/max_kl.h"
#include "pipeline/output/stored_parts.h"
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

/// FNV-1a over a file, 16 hexadecimal digits.
std::string content_hash(const std::filesystem::path& file) {
  return fmt::format("{:016x}", fnv1a(MappedFile(file).bytes()));
}

PlanResult read_plan(const model::Model& model, const QuantizeRequest& request) {
  PlanResult result;
  const std::string where = request.plan_file.string();
  result.plan = Plan::from_json(read_json_file(request.plan_file), model, where);
  for (const PlannedGroup& group : result.plan.groups)
    if (const std::string why = request.target->why_not(*group.codec); !why.empty())
      fail("{}: {} cannot be {} for {}: {} (targets that can: {})", where, group.name, group.codec->name,
           request.target->name, why, targets_that_can(*group.codec));
  check_experts(result.plan, model.architecture(), *request.target, where);
  result.output_bytes =
      lay_out(model, result.plan, *request.target, request.plan.shard_bytes, model.companion_files()).total_bytes;
  return result;
}

model::Tokenizer tokenizer_of(const model::Model& model) {
  return model::Tokenizer::from_files(model::tokenizer_files(model), model.path().string());
}

/// What has to be found out on the calibration set.
struct Wanted {
  bool scores = false, inputs = false;
  bool measures = false;  ///< plans will be, with the inputs' mean squares
};

/// Fills in what is wanted and keeps it. Nothing when nothing is.
std::optional<importance::InputMeanSquare> run_calibration(const model::Model& model, const QuantizeRequest& request,
                                                           const Stages& stages, const Wanted& wanted,
                                                           Prepared& prepared) {
  if (!wanted.scores && !wanted.inputs && !wanted.measures) return std::nullopt;
  prepared.calibration = stages.calibration("calibration.json", [&] {
    engine::Engine engine(model, kernel::Precision::bf16);
    return make_calibration(engine, tokenizer_of(model), request.calibration);
  });
  // What plans are measured with must not depend on whether the scores are of this run or an earlier one.
  const bool exact = wanted.scores || wanted.measures;
  engine::Engine engine(model, exact ? kernel::Precision::f32 : kernel::Precision::bf16);
  std::optional<importance::InputMeanSquare> inputs;
  if (wanted.scores) {
    importance::ScoreRequest needed = scores_needed(request.plan, *request.target);
    needed.fit = request.scale_fit;
    needed.measure.journal = stages.file("scores.journal");
    std::vector<importance::CalibrationSet> sets = {*prepared.calibration};
    if (request.calibration.sets.size() > 1) sets = make_calibrations(engine, tokenizer_of(model), request.calibration);
    importance::ScoreResult result = importance::score(engine, sets, needed, importance::Combine::mean);
    inputs.emplace(sets.size() == 1 ? std::move(result.inputs)
                                    : importance::input_mean_square(engine, *prepared.calibration));
    prepared.scores = std::move(result.scores);
  } else {
    inputs.emplace(importance::input_mean_square(engine, *prepared.calibration));
  }
  if (wanted.inputs || (request.scale_fit == codec::ScaleFit::search && request.imatrix.empty())) {
    prepared.importance = importance_of(*inputs, model.architecture());
    stages.keep_inputs(prepared.importance);
  }
  if (wanted.scores) stages.keep_scores(*prepared.scores);  // behind the inputs: who finds scores finds those too
  return inputs;
}

}  // namespace

json QuantizeRequest::job(const model::Model& model) const {
  const auto of_file = [](const std::filesystem::path& file) {
    return file.empty() ? json() : json(content_hash(file));
  };
  const auto of_calibration = [&](const CalibrationRequest& wanted) {
    json texts = json::array();
    for (const auto& file : wanted.files) texts.push_back({file.string(), content_hash(file)});
    json sets = json::array();
    for (const auto& files : wanted.sets) sets.push_back(files.size());
    return json{{"texts", texts},
                {"sets", sets},
                {"samples", wanted.samples},
                {"seq_len", wanted.seq_len},
                {"seed", wanted.seed}};
  };
  json value = {{"job", "quantize"},
                {"model", model.fingerprint()},
                {"instruction set", isa_name(selected_isa())},
                {"--for", target->name},
                {"--plan", of_file(plan_file)},
                {"--scores", of_file(scores_file)},
                {"--imatrix", of_file(imatrix)},
                {"calibration", of_calibration(calibration)},
                {"--scale", scale_fit == codec::ScaleFit::search ? "search" : "minmax"},
                {"--method", name_of(plan.method)},
                {"--shard-size", plan.shard_bytes},
                {"--search-steps", search.steps},
                {"--search-time", search.seconds ? json(*search.seconds) : json()}};
  const json planned = plan.to_json();
  for (const auto& [key, option] : planned.items()) {
    std::string name = "--" + key;
    std::ranges::replace(name, '_', '-');
    value[name] = option;
  }
  if (plan.method == Method::gptq) {
    value["--refine"] = gptq.gptq.refine;
    value["--damping"] = gptq.gptq.damping;
    value["--act-order"] = gptq.gptq.activation_order;
    value["--asymmetric"] = gptq.asymmetric;
    value["--tune-steps"] = gptq.tune.steps;
    value["rounding's calibration"] = of_calibration(rounding);
  }
  return value;
}

Prepared prepare(const model::Model& model, const QuantizeRequest& request, JobFolder* job) {
  refuse_quantized(model);
  if (job == nullptr) part_folder(existing_output(request.output, *request.target), request.overwrite);
  if (request.plan_file.empty()) {
    PlanRequest budgeted = request.plan;
    if (budgeted.max_kl) budgeted.bits = 16.0;
    check_request(model, *request.target, budgeted);
  }
  const Stages stages(model, job);
  Prepared prepared;
  prepared.importance = request.imatrix.empty() ? stages.inputs() : importance::read_imatrix(request.imatrix, model);
  if (!request.scores_file.empty())
    prepared.scores =
        importance::Scores::from_json(read_json_file(request.scores_file), model, request.scores_file.string());
  else
    prepared.scores = stages.scores();
  const bool kept = stages.plan(prepared.plan), planned = kept || !request.plan_file.empty();
  Wanted wanted;
  wanted.scores =
      !planned && !prepared.scores && (needs_linear_costs(request.plan) || needs_block_signals(request.plan));
  wanted.inputs =
      request.scale_fit == codec::ScaleFit::search && request.plan.method == Method::rtn && prepared.importance.empty();
  const SearchOptions search = search_of(request);
  const bool under_kl = !planned && request.plan.max_kl.has_value(), searches = !planned && search.steps > 0;
  wanted.measures = under_kl || searches;
  const std::optional<importance::InputMeanSquare> inputs = run_calibration(model, request, stages, wanted, prepared);
  if (kept) return prepared;
  const Costs costs = prepared.scores ? costs_of(*prepared.scores, model.architecture(), request.plan.method) : Costs{};
  if (under_kl) {
    engine::Engine exact(model, kernel::Precision::f32);
    PlanMeter meter(exact, *prepared.calibration, *inputs, kMaxKlTokens, stages.file("plans.journal"), "max-kl");
    prepared.plan = plan_under_kl(model, *request.target, request.plan, costs, meter);
  } else if (searches) {
    prepared.plan = search_on_set(model, *request.target, request.plan, costs, *prepared.calibration, *inputs, search);
  } else if (request.plan_file.empty()) {
    prepared.plan = make_plan(model, *request.target, request.plan, costs);
  } else {
    prepared.plan = read_plan(model, request);
  }
  if (wanted.measures || prepared.scores) stages.keep_plan(prepared.plan);  // others are made in no time
  return prepared;
}

Written write(const model::Model& model, Prepared& prepared, const QuantizeRequest& request, JobFolder& job) {
  StoredParts parts(job);
  WriteOptions options;
  options.scale_fit = request.scale_fit;
  options.importance = std::move(prepared.importance);
  options.shard_bytes = request.plan.shard_bytes;
  options.parts = &parts;
  Written written;
  const Plan& plan = prepared.plan.plan;
  const auto names = written_names(model, plan, *request.target, request.output, options.shard_bytes);
  job.refuse_taken(names, request.target->gguf);
  written.bytes = prepared.plan.output_bytes;
  written.path = job.path().parent_path() / names.front();
  const auto write_all = [&] { write_checkpoint(model, plan, *request.target, job.result(), options); };
  if (request.plan.method == Method::rtn) {
    if (!job.complete()) write_all();
    job.publish(names);
    return written;
  }
  const importance::CalibrationSet set = Stages(model, &job).calibration("rounding.json", [&] {
    // Writing a text goes through all blocks for every token.
    const auto residency = request.memory_limit ? engine::Residency::one_block : engine::Residency::all;
    engine::Engine engine(model, kernel::Precision::bf16, residency);
    return make_calibration(engine, tokenizer_of(model), request.rounding);
  });
  if (!job.complete()) {
    const auto codecs = codecs_by_linear(plan, model.architecture());
    RoundingOptions gptq = request.gptq;
    gptq.gptq.fit = request.scale_fit;
    const Rounding::Listener listener = [&](const RoundedLinear& linear) {
      json event = {{"event", "linear"}};
      event.update(linear.to_json());
      if (request.on_event) request.on_event(event);
    };
    const Estimate memory = estimate_memory(model, prepared, request);
    gptq.keep_rows = memory.keeps_rows;
    const std::size_t embedding = model.architecture().embedding();
    const bool weighted = embedding != model::kNoBlock && !options.importance.empty();
    Rounding rounding(model, codecs, set, gptq,
                      weighted ? std::span<const float>(options.importance[embedding]) : std::span<const float>(),
                      memory.spills ? job.path() : std::filesystem::path(), listener);
    const StoredLinears stored = stored_linears(model, plan, *request.target, options.shard_bytes, job);
    rounding.go_on(stored.blocks, stored.linear);
    options.stored = [&](std::size_t l) -> const codec::Stored& { return rounding.linear(l); };
    std::size_t told = 0;
    options.news = [&] {
      json linears = json::array();
      for (; told < rounding.results().size(); ++told) linears.push_back(rounding.results()[told].to_json());
      return linears;
    };
    write_all();
    job.append({{"linears", options.news()}});
    written.tuned = rounding.tuned();
  }
  // A block that was rounded again has told its errors twice.
  std::map<std::string, RoundedLinear> by_module;
  for (const json& linear : parts.linears()) {
    RoundedLinear rounded = RoundedLinear::from_json(linear, job.file("journal").string());
    by_module.insert_or_assign(rounded.module, rounded);
  }
  for (const model::Linear& linear : model.architecture().linears)
    if (const auto it = by_module.find(linear.module); it != by_module.end()) written.linears.push_back(it->second);
  written.calibration = set.source;
  job.publish(names);
  return written;
}

eval::Evaluation verify(const model::Model& model, const QuantizeRequest& request, const Written& output,
                        std::size_t sequences) {
  const model::Model written = model::Model::open(output.path);
  const auto residency = request.memory_limit ? engine::Residency::one_block : engine::Residency::all;
  engine::Engine original(model, kernel::Precision::f32, residency),
      quantized(written, kernel::Precision::f32, residency);
  VerificationText on = verification_text(original, request, sequences);
  eval::Evaluation result = eval::evaluate(quantized, &original, on.sequences);
  result.text = std::move(on.text);
  return result;
}

}  // namespace strata::pipeline
