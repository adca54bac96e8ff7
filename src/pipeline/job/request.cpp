// The options of the main job, and what follows from those that are left open.
// A calibrated method rounds by more text than scores are made on: a Hessian has a column's square of numbers to learn.
#include "pipeline/job/request.h"

#include <algorithm>

#include "core/file.h"
#include "core/job_folder.h"
#include "hub/model_argument.h"
#include "kernel/dispatch.h"
#include "pipeline/choose/options.h"
#include "pipeline/job/methods.h"

namespace strata::pipeline {
namespace {

constexpr importance::TextSize kRoundingText{64, 512};
constexpr const char* kInstructionSet = "instruction set";

bool tunes(const QuantizeRequest& request) { return request.rounding.tune.steps > 0; }

bool measures_plans(const QuantizeRequest& request) {
  return request.search.wanted() || std::holds_alternative<KlBudget>(request.plan.budget);
}

/// Throws UsageError for options that decide about a plan, when the plan is given.
void check_nothing_to_plan(const QuantizeRequest& request) {
  if (is_given(request.plan.budget))
    fail_usage("--plan already holds every choice; leave out {}", text_of(request.plan.budget));
  json given = record_of(request.plan);
  given.update(record_of(request.search));
  for (const char* beside : {"shard_size", "kv"}) given.erase(beside);  // files and caches are no choices of a plan
  if (given.empty()) return;
  std::string name = given.begin().key();
  std::ranges::replace(name, '_', '-');
  fail_usage("--plan already holds every choice; leave out --{}", name);
}

}  // namespace

void visit(QuantizeRequest& r, OptionVisitor& v) {
  v.option({.name = "MODEL",
            .help = hub::kModelArgument,
            .example = "MODEL",
            .effect = Effect::run,  // the identity has the model's fingerprint
            .required = true},
           r.model);
  v.heading("Output");
  v.option({.name = "--output",
            .help = "Folder to write, or a GGUF file (name ends in .gguf) for llama.cpp",
            .example = "OUT",
            .effect = Effect::run,  // an unfinished job is found by its output
            .letter = "-o",
            .required = true},
           r.output);
  v.option({.name = "--for",
            .help = "Runtime that will load the result: " + target_names() +
                    " (default: llama.cpp for a name that ends in .gguf, else vllm)",
            .example = "transformers"},
           r.target);
  v.flag({.name = "--overwrite", .help = "Replace the output if it exists", .effect = Effect::run}, r.overwrite);
  v.flag({.name = "--restart", .help = "Drop what an unfinished run has left, and begin again", .effect = Effect::run},
         r.restart);
  visit(r.plan, v);
  v.heading("Made before");
  v.file({.name = "--plan", .help = "Use this plan in place of making one", .example = "plan.json"}, r.plan_file);
  v.file({.name = "--scores", .help = "Use these scores in place of making them", .example = "scores.json"},
         r.scores_file);
  visit(r.search, v);
  visit(r.calibration, v);
  v.heading("Rounding");
  v.option({.name = "--method",
            .help = "rtn: each weight to the nearest code. gptq: with error feedback over a calibration text, 64 "
                    "sequences of 512 tokens unless --samples and --seq-len say otherwise (default: rtn)",
            .example = "gptq",
            .values = method_names()},
           r.method);
  declare_scale_fit(r.scale_fit, v);
  v.file({.name = "--imatrix",
          .help = "rtn: importances of llama-imatrix or score --imatrix-out, in place of the calibration text's",
          .example = "imatrix.gguf"},
         r.imatrix);
  visit(r.rounding, v);
  v.bytes({.name = "--memory",
           .help = "gptq: keep resident memory under this, with hidden states in a file when needed",
           .example = "4GiB",
           .effect = Effect::run},
          r.memory_limit);
  v.heading("Afterwards");
  v.flag({.name = "--verify", .help = "Measure the result against the original", .effect = Effect::run}, r.verify);
  v.option({.name = "--verify-samples",
            .help = "Sequences to measure the result on",
            .example = "16",
            .least = 1,
            .most = 1 << 16,
            .effect = Effect::run},
           r.verify_samples);
  v.flag({.name = "--report", .help = "Write OUT.report.html, and its data, beside the output", .effect = Effect::run},
         r.report);
}

const Target& target_of(const QuantizeRequest& request) {
  const Target& usual = default_target(request.output);
  const Target& target = request.target ? target_by_name(*request.target) : usual;
  if (target.extension() == usual.extension() || request.output.empty()) return target;
  const std::string output = request.output.string();
  if (target.extension().empty())
    fail_usage("--output {}: a GGUF file is for {}, not for {}", output, usual.name, target.name);
  fail_usage("--output {}: end the name in {} for {}", output, target.extension(), target.name);
}

const Method& method_of(const QuantizeRequest& request) {
  return method_by_name(request.method.value_or(tunes(request) ? "gptq" : "rtn"));
}

engine::Residency residency_of(const QuantizeRequest& request) {
  return request.memory_limit ? engine::Residency::one_block : engine::Residency::fitting;
}

importance::CalibrationRequest rounding_text(const QuantizeRequest& request) {
  importance::CalibrationRequest text = request.calibration;
  text.defaults = kRoundingText;
  return text;
}

void check_options(const QuantizeRequest& request) {
  const Method& method = method_of(request);
  if (request.output.empty()) fail_usage("--output: give the name of a folder, or of a file that ends in .gguf");
  check_smoothing(request.plan.smoothing, target_of(request));
  if (tunes(request) && !method.calibrated)
    fail_usage("--tune starts from the codes of gptq; leave out --method {}", method.name);
  if (!request.imatrix.empty() && method.calibrated)
    fail_usage("--imatrix: {} needs how inputs vary together, which an importance matrix does not hold; use --calib",
               method.name);
  if (!request.imatrix.empty() && request.scale_fit != codec::ScaleFit::search)
    fail_usage("--imatrix: importances are of use to --scale search only");
  if (!request.plan_file.empty()) return check_nothing_to_plan(request);
  if (request.scale_fit != codec::ScaleFit::search && measures_plans(request))
    fail_usage("--scale minmax: {} measures plans with searched scales; leave one of them out",
               request.search.wanted() ? "a search" : text_of(request.plan.budget));
  check_options(request.plan);
  check_options(request.search, request.plan);
}

QuantizeRequest with_target_of_plan(QuantizeRequest request) {
  if (request.plan_file.empty() || request.target) return request;
  const json plan = read_json_file(request.plan_file);
  const auto name = plan.is_object() ? plan.find("target") : plan.end();
  if (name != plan.end() && name->is_string() &&
      std::ranges::find(targets(), name->get<std::string>(), &Target::name) != targets().end())
    request.target = name->get<std::string>();
  return request;
}

void keep_kernels(const QuantizeRequest& request) {
  const json job = request.restart ? json() : JobFolder::unfinished(request.output);
  if (const auto it = job.find(kInstructionSet); it != job.end() && it->is_string())
    kernel::keep_variant(it->get<std::string>());
}

json job_identity(const QuantizeRequest& request, const model::Model& model) {
  json value = {
      {"job", "quantize"}, {"model", model.fingerprint()}, {kInstructionSet, kernel::selected_variant().name}};
  QuantizeRequest decided = request;
  decided.target = std::string(target_of(request).name);
  decided.method = std::string(method_of(request).name);
  value.update(identity_of(decided));
  return value;
}

}  // namespace strata::pipeline
