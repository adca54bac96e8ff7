// strata quantize: a model and a budget in, a compressed-tensors checkpoint out, with its measured cost.
// The work is in src/pipeline; here are the options and what a person sees.
#include "pipeline/job/quantize.h"

#include <chrono>
#include <memory>

#include "cli/options.h"
#include "core/cpu.h"
#include "core/file.h"
#include "core/job_folder.h"
#include "core/progress.h"
#include "model/tokenizer.h"
#include "pipeline/job/estimate.h"
#include "pipeline/job/report.h"

namespace strata::cli {
namespace {

// Rounding wants more text than scoring does.
// Without the correction less damping is better (docs/results.md).
constexpr double kPlainDamping = 0.01;
constexpr std::size_t kRoundingSamples = 64, kRoundingTokens = 512;

struct Options {
  std::string model, output, plan_file, scores_file, imatrix, memory, scale = "search";
  bool events = false, overwrite = false, restart = false, dry_run = false, no_verify = false, no_report = false;
  std::size_t verify_samples = 8, refine = 1;
  std::string method = "rtn";
  double damping = 0.1;
  bool asymmetric = true, act_order = true, tune = false;
  std::size_t tune_steps = 100;
  CLI::Option *tune_steps_option = nullptr, *method_option = nullptr, *damping_option = nullptr;
  PlanOptions plan;
  CalibrationOptions calibration;
};

pipeline::QuantizeRequest request_of(const Options& options, const Common& common) {
  pipeline::QuantizeRequest request;
  request.output = options.output;
  request.overwrite = options.overwrite || options.dry_run;
  request.target = &pipeline::target_by_name(options.plan.target);
  request.plan_file = options.plan_file;
  request.scores_file = options.scores_file;
  request.imatrix = options.imatrix;
  const bool tunes = options.tune || options.tune_steps_option->count() > 0;
  using pipeline::Method;
  const Method method =
      tunes && options.method_option->count() == 0 ? Method::gptq : pipeline::method_named(options.method);
  if (tunes && method != Method::gptq)
    fail_usage("--tune starts from the codes of gptq; leave out --method {}", options.method);
  if (!options.imatrix.empty() && method != Method::rtn)
    fail_usage("--imatrix: {} needs how inputs vary together, which an importance matrix does not hold; use --calib",
               name_of(method));
  if (!options.imatrix.empty() && options.scale != "search")
    fail_usage("--imatrix: importances are of use to --scale search only");
  if (options.plan_file.empty())
    request.plan = request_of(options.plan);
  else if (!options.plan.size.empty() || !options.plan.like.empty() || !options.plan.fit.empty() ||
           options.plan.bits_option->count() > 0)
    fail_usage("--plan already holds every choice; leave out --bits, --size, --fit and --like");
  if (!options.plan.shard_size.empty())
    request.plan.shard_bytes = pipeline::parse_size(options.plan.shard_size, "--shard-size");
  request.calibration = request_of(options.calibration, common);
  request.scale_fit = options.scale == "minmax" ? codec::ScaleFit::minmax : codec::ScaleFit::search;
  request.plan.method = method;
  request.gptq.gptq.refine = options.refine;
  request.gptq.gptq.damping = options.damping;
  if (!options.asymmetric && options.damping_option->count() == 0) request.gptq.gptq.damping = kPlainDamping;
  request.gptq.gptq.activation_order = options.act_order;
  request.gptq.asymmetric = options.asymmetric;
  if (tunes) request.gptq.tune.steps = options.tune_steps;
  if (!options.memory.empty()) request.memory_limit = pipeline::parse_size(options.memory, "--memory");
  if (options.events) request.on_event = [](const json& event) { remark("{}\n", event.dump()); };
  request.rounding = request.calibration;
  if (options.calibration.samples_option->count() == 0) request.rounding.samples = kRoundingSamples;
  if (options.calibration.seq_len_option->count() == 0) request.rounding.seq_len = kRoundingTokens;
  return request;
}

json describe(const pipeline::PlanResult& plan) {
  json left_out = json::array();
  for (const pipeline::LeftOut& item : plan.left_out)
    left_out.push_back({{"codec", item.codec}, {"reason", item.reason}});
  return {{"bits", plan.plan.bits()},
          {"linear_bytes", plan.plan.bytes()},
          {"output_bytes", plan.output_bytes},
          {"plan", plan.plan.to_json()},
          {"notes", plan.notes},
          {"left_out", left_out}};
}

json describe(const pipeline::Written& written) {
  json linears = json::array();
  for (const pipeline::RoundedLinear& linear : written.linears) {
    linears.push_back({{"module", linear.module},
                       {"codec", linear.codec},
                       {"relative_error", linear.relative_error},
                       {"nearest_relative_error", linear.nearest_relative_error},
                       {"tokens", linear.tokens}});
    if (linear.routed) linears.back()["routed_tokens"] = *linear.routed;
  }
  json value = {{"method", name_of(written.calibration ? pipeline::Method::gptq : pipeline::Method::rtn)}};
  if (written.calibration) value.update({{"calibration", written.calibration->to_json()}, {"linears", linears}});
  json tuned = json::array();
  for (const pipeline::BlockLoss& loss : written.tuned)
    tuned.push_back({{"held_out_error_before", loss.start}, {"held_out_error", loss.best}});
  if (!tuned.empty()) value["tuned_blocks"] = tuned;
  return value;
}

json describe(const pipeline::Estimate& estimate) {
  return {{"seconds", estimate.seconds},
          {"memory_bytes", estimate.memory_bytes},
          {"disk_bytes", estimate.disk_bytes},
          {"spills", estimate.spills}};
}

std::string text_of(const pipeline::Estimate& estimate) {
  return fmt::format("estimate: {} to round and write, {} of memory, {} bytes on disk ({}{})",
                     human_seconds(estimate.seconds), human_bytes(estimate.memory_bytes), estimate.disk_bytes,
                     human_bytes(estimate.disk_bytes), estimate.spills ? ", hidden states spilled to it included" : "");
}

void dry_run(const pipeline::Prepared& prepared, const model::Model& model, const pipeline::QuantizeRequest& request,
             const Common& common) {
  const pipeline::Estimate estimate = pipeline::estimate_quantizing(model, prepared, request);
  json value = describe(prepared.plan);
  value["estimate"] = describe(estimate);
  print_json(common, value);
  if (common.json_output) return;
  show_plan(prepared.plan, model);
  fmt::print("left out:\n");
  std::vector<std::pair<std::string, std::string>> reasons;  // codecs that share one are on one line
  for (const pipeline::LeftOut& item : prepared.plan.left_out)
    if (!reasons.empty() && reasons.back().first == item.reason)
      reasons.back().second += ", " + item.codec;
    else
      reasons.emplace_back(item.reason, item.codec);
  for (const auto& [reason, codecs] : reasons) fmt::print("  {}: {}\n", codecs, reason);
  fmt::print("{}\n", text_of(estimate));
}

void show_notes(const Options& options, const model::Model& model, const pipeline::Prepared& prepared,
                pipeline::Method method) {
  constexpr double kFewBits = 3.0;  // docs/results.md, beside llama.cpp's stock mixes
  if (options.calibration.show && prepared.calibration)
    show_calibration(*prepared.calibration, model::Tokenizer::from_files(model::tokenizer_files(model), options.model));
  if (const std::string types = model.low_bit_types(); !types.empty())
    remark(
        "warning: {} is quantized already ({}); what is measured here is the loss against it, and what it lost of its "
        "own original comes on top\n",
        options.model, types);
  if (method == pipeline::Method::rtn && prepared.plan.plan.bits() < kFewBits)
    remark("note: below {} bits rounding to nearest loses much that --method gptq keeps; it takes longer\n", kFewBits);
}

void run_job(const Options& options, const Common& common, const pipeline::QuantizeRequest& request,
             const model::Model& model, JobFolder& job) {
  const auto begin = std::chrono::steady_clock::now();
  if (!job.finished().empty()) remark("going on with the work in {}\n", job.path().string());
  pipeline::Prepared prepared = pipeline::prepare(model, request, &job);
  show_notes(options, model, prepared, request.plan.method);
  if (!common.json_output) show_plan(prepared.plan, model);
  const pipeline::Estimate estimate = pipeline::estimate_quantizing(model, prepared, request);
  print(common, "{}\n", text_of(estimate));
  const auto emit = [&](json event) {
    if (request.on_event) request.on_event(event);
  };
  json estimated = {{"event", "estimate"}};
  estimated.update(describe(estimate));
  emit(estimated);
  const auto rounding = std::chrono::steady_clock::now();
  const pipeline::Written written = pipeline::write(model, prepared, request, job);
  const double rounded = std::chrono::duration<double>(std::chrono::steady_clock::now() - rounding).count();
  emit({{"event", "written"}, {"bytes", written.bytes}, {"seconds", rounded}});
  json value = describe(prepared.plan);
  value["estimate"] = describe(estimate);
  value["rounding_seconds"] = rounded;
  value["output"] = written.path.string();
  value["output_bytes"] = written.bytes;
  value["rounding"] = describe(written);
  std::optional<eval::Evaluation> verified;
  if (!options.no_verify) {
    const eval::Evaluation& result =
        verified.emplace(pipeline::verify(model, request, written, options.verify_samples));
    value["verification"] = result.to_json();
    print(common,
          "measured on {}: KL divergence {:.5f} +- {:.5f} nats, top-1 agreement {:.1f} %, perplexity "
          "{:.3f} (original {:.3f})\n",
          result.measured_on(), result.kl_divergence->mean, result.kl_divergence->standard_error.value_or(0.0),
          100.0 * *result.top1_agreement, result.perplexity, *result.ref_perplexity);
  }
  if (!options.no_report)
    remark("{}\n", pipeline::report_quantize(model, request, prepared, written, verified, common.command));
  job.remove();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  value["seconds"] = seconds;
  value["peak_memory_bytes"] = peak_resident_bytes();
  print_json(common, value);
  print(common, "{}: {} in {:.1f} s, peak memory {}\n", written.path.string(), human_bytes(written.bytes), seconds,
        human_bytes(peak_resident_bytes()));
}

void run(const Options& options, const Common& common) {
  pipeline::QuantizeRequest request = request_of(options, common);
  const model::Model model = model::Model::open(options.model, request.target->fusion());
  request.search = search_of(options.plan, model.architecture());
  if (options.dry_run) {
    const pipeline::Prepared prepared = pipeline::prepare(model, request);
    show_notes(options, model, prepared, request.plan.method);
    return dry_run(prepared, model, request, common);
  }
  JobFolder job(request.output, request.job(model), request.overwrite, options.restart,
                pipeline::existing_output(request.output, *request.target));
  try {
    run_job(options, common, request, model, job);
  } catch (const Error&) {
    if (!job.finished().empty())
      remark("strata: what is done is kept in {}; run the same command again to go on\n", job.path().string());
    throw;
  }
}

std::function<void()> setup(CLI::App& app, const Common& common) {
  auto options = std::make_shared<Options>();
  app.add_option("MODEL", options->model, "Hugging Face folder or GGUF file")->required();
  app.add_option("-o,--output", options->output, "Folder to write, or a GGUF file (name ends in .gguf) for llama.cpp")
      ->required();
  add_options(app, options->plan);
  app.add_option("--plan", options->plan_file, "Use this plan instead of making one");
  app.add_option("--scores", options->scores_file, "Use these scores instead of making them");
  app.add_option("--imatrix", options->imatrix,
                 "rtn: importances of llama-imatrix or score --imatrix-out, instead of those of the calibration text");
  app.add_option("--scale", options->scale, "search: scales of least weighted error; minmax: the plain ones")
      ->capture_default_str()
      ->check(CLI::IsMember({"search", "minmax"}));
  options->method_option =
      app.add_option("--method", options->method, "gptq: with error feedback over a calibration text; rtn: to nearest")
          ->capture_default_str()
          ->check(CLI::IsMember(pipeline::kMethodNames));
  app.add_option("--refine", options->refine, "gptq: passes of coordinate descent over the codes")
      ->capture_default_str()
      ->check(CLI::Range(0, 100));
  options->damping_option =
      app.add_option("--damping", options->damping,
                     "gptq: share of the mean added to the Hessian's diagonal (0.01 with --no-asymmetric)")
          ->capture_default_str()
          ->check(CLI::Range(1e-6, 1e3));
  app.add_flag("--act-order,!--no-act-order", options->act_order,
               "gptq: round the columns with the largest inputs first, not as they stand (default: do)");
  app.add_flag("--asymmetric,!--no-asymmetric", options->asymmetric,
               "gptq: correct linears for what the rounding before them did to their inputs (default: do); half the "
               "time without");
  app.add_flag("--tune", options->tune,
               "Learn the rounding of each block as a whole after gptq; worth its time near 2 bits (docs/methods.md)");
  options->tune_steps_option =
      app.add_option("--tune-steps", options->tune_steps, "Steps of gradient descent a block; implies --tune")
          ->capture_default_str()
          ->check(CLI::Range(1, 100000));
  add_options(app, options->calibration);
  app.add_option("--memory", options->memory,
                 "gptq: keep resident memory under this, such as 4GiB, with hidden states in a file when needed");
  app.add_flag("--events", options->events, "Tell what happens as lines of JSON on stderr (docs/files.md)");
  app.add_flag("--dry-run", options->dry_run, "Show the plan, exact bytes, time and memory; write nothing");
  app.add_flag("--overwrite", options->overwrite, "Replace the output if it exists");
  app.add_flag("--restart", options->restart, "Drop what an unfinished run has left, and begin again");
  app.add_flag("--no-verify", options->no_verify, "Do not measure the result against the original");
  app.add_flag("--no-report", options->no_report, "Do not write OUT.report.html, and its data, beside the output");
  app.add_option("--verify-samples", options->verify_samples, "Sequences to measure the result on")
      ->capture_default_str()
      ->check(CLI::Range(1, 1 << 16));
  return [options, &common] {
    follow_output(options->plan, options->output);
    run(*options, common);
  };
}

}  // namespace

extern const Verb quantize_verb = {"quantize", "Make the best checkpoint that fits a budget",
                                   "  strata quantize MODEL -o OUT --bits 4.5\n"
                                   "  strata quantize MODEL -o OUT --size 90MiB --for transformers\n"
                                   "  strata quantize MODEL -o OUT --max-kl 0.05\n"
                                   "  strata quantize MODEL -o OUT --preset uniform:int4_g64\n"
                                   "  strata quantize MODEL -o OUT --bits 4.5 --calib wiki.txt --dry-run\n",
                                   setup};

}  // namespace strata::cli
