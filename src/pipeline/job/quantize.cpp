// The order of the job, and the measurement of its result.
#include "pipeline/job/quantize.h"

#include <algorithm>
#include <chrono>

#include "core/interrupt.h"
#include "core/job_folder.h"
#include "core/seconds.h"
#include "kernel/dispatch.h"
#include "pipeline/job/card.h"
#include "pipeline/job/measured_scales.h"
#include "pipeline/job/report.h"
#include "pipeline/job/shared_work.h"
#include "pipeline/job/unknown_model.h"
#include "pipeline/job/verification_text.h"
#include "pipeline/output/cache_plan.h"
#include "pipeline/plan/roundings.h"

namespace strata::pipeline {
namespace {

/// scales: those that the text gives, or as many before they are measured.
std::unique_ptr<Output> output_of(const model::Model& model, const QuantizeRequest& request, const Prepared& prepared,
                                  MeasuredScales scales) {
  Codecs codecs = codecs_by_linear(prepared.plan.plan, model.architecture());
  for (const codec::Codec* codec : codecs) check_input_scale(*codec, model.architecture());
  if (request.plan.fp8_cache && std::ranges::none_of(codecs, &codec::Codec::has_codes))
    fail("--kv fp8: this plan leaves every linear as it is, and a folder without codes cannot declare the cache");
  return plan_output(model, std::move(codecs), target_of(request), request.plan.shard_bytes, DType::bf16,
                     std::move(scales));
}

Written write(const PlannedJob& job, const Forecast& forecast, JobFolder& folder, Listener& listener) {
  const auto begin = std::chrono::steady_clock::now();
  const auto names = job.output.names(folder.result().filename());
  folder.refuse_taken(names, !job.output.is_folder());
  Written written;
  written.bytes = job.output.bytes();
  written.path = folder.path().parent_path() / names.front();
  method_of(job.request).write(job, forecast, folder, listener, written);
  folder.publish(names);
  if (job.request.overwrite) remove_replaced(job.request.output, target_of(job.request), names, job.model);
  written.seconds = seconds_since(begin);
  return written;
}

Quantized run(const model::Model& original, const QuantizeRequest& request, JobFolder& folder, Listener& listener,
              const std::string& command) {
  const auto begin = std::chrono::steady_clock::now();
  Quantized done;
  done.prepared = prepare(original, request, &folder, listener);
  const model::Model& model = done.prepared.rounded(original);
  const std::unique_ptr<Output> output =
      output_of(model, request, done.prepared, measured_scales(model, request, done.prepared.plan.plan, folder));
  const PlannedJob job{model, request, done.prepared, *output};
  done.forecast = forecast(job);
  listener.on_plan(model, done.prepared, done.forecast);
  done.written = write(job, done.forecast, folder, listener);
  listener.on_written(done.written);
  if (request.verify) {
    done.verification = verify(original, request, done.written.path);
    listener.on_verified(*done.verification);
  }
  write_card(original, request, done);
  if (request.report) done.report = write_job_report(original, request, done, command);
  folder.remove();
  done.seconds = seconds_since(begin);
  return done;
}

/// Whether all ranks find the output at this path, as they do on a file system that their machines share.
bool all_ranks_see(const std::filesystem::path& path) {
  const Ranks ranks = all_ranks();
  std::error_code code;
  std::vector<char> sees(ranks.size(), 0);
  sees[ranks.rank()] = std::filesystem::exists(path, code) ? 1 : 0;
  ranks.share_all(std::span(sees));
  return std::ranges::count(sees, 1) == std::ssize(sees);
}

model::Model open_model(const QuantizeRequest& request) {
  return model::Model::open(request.model, target_of(request).fusion());
}

}  // namespace

Quantized quantize(const QuantizeRequest& given, Listener& listener, const std::string& command) {
  const QuantizeRequest asked = with_target_of_plan(given);
  check_options(asked);
  keep_kernels(asked);
  kernel::keep_variant(all_ranks());
  const model::Model model = open_model(asked);
  refuse_source(model, asked.output);
  const QuantizeRequest request = fitted_to(model, asked, listener);
  if (!all_ranks().is_first()) {
    help_first_rank(model, request);
    return {};
  }
  JobFolder folder(request.output, job_identity(request, model), request.overwrite, request.restart,
                   existing_output(request.output, target_of(request)));
  if (!folder.finished().empty()) listener.on_resume(folder.path());
  try {
    Quantized done = run(model, request, folder, listener, command);
    dismiss_helpers();
    return done;
  } catch (const Interrupted&) {
    if (!folder.finished().empty())
      listener.on_remark(
          fmt::format("what is done is kept in {}; the same command resumes there", folder.path().string()));
    throw;
  } catch (const Error&) {
    if (!folder.finished().empty())
      listener.on_remark(fmt::format(
          "what is done is kept in {}; once the cause is mended, the same command resumes there, and with --restart it "
          "begins anew",
          folder.path().string()));
    throw;
  }
}

DryRun dry_run(const QuantizeRequest& given, Listener& listener) {
  const QuantizeRequest asked = with_target_of_plan(given);
  check_options(asked);
  const model::Model original = open_model(asked);
  const QuantizeRequest request = fitted_to(original, asked, listener);
  DryRun result;
  result.prepared = prepare(original, request, nullptr, listener);
  const model::Model& model = result.prepared.rounded(original);
  const std::unique_ptr<Output> output =
      output_of(model, request, result.prepared, planned_scales(request.plan, model.architecture()));
  result.forecast = forecast({model, request, result.prepared, *output});
  listener.on_plan(model, result.prepared, result.forecast);
  return result;
}

namespace {

/// The written model beside the original, by all ranks that are working together.
std::vector<eval::Evaluation> evaluate_output(engine::Engine& exact, const QuantizeRequest& request,
                                              const std::filesystem::path& written,
                                              const std::vector<std::vector<engine::Token>>& sequences) {
  const model::Model quantized = model::Model::open(written);
  engine::Engine rounded(quantized, kernel::Precision::f32, residency_of(request));
  const RunInputs inputs = run_inputs(target_of(request), quantized);
  const eval::Judged judged[] = {{&rounded, &inputs.by_linear, &inputs.cache}};
  return eval::evaluate(judged, &exact, sequences);
}

}  // namespace

eval::Evaluation verify(const model::Model& original, const QuantizeRequest& request,
                        const std::filesystem::path& written) {
  engine::Engine exact(original, kernel::Precision::f32, residency_of(request));
  VerificationText text = verification_text(exact, request, request.verify_samples);
  ask_for_help("verify", {{"path", std::filesystem::absolute(written).string()}, {"tokens", text.sequences}});
  std::optional<WorkingTogether> together;
  if (all_ranks_see(written)) together.emplace();
  eval::Evaluation result = evaluate_output(exact, request, written, text.sequences).front();
  result.text = std::move(text.text);
  return result;
}

void help_to_verify(const model::Model& original, const QuantizeRequest& request, const json& details) {
  const std::string where = "what the first rank sent", path = get<std::string>(details, "path", where);
  if (!all_ranks_see(path)) return;
  const WorkingTogether together;
  const auto sequences = get<std::vector<std::vector<engine::Token>>>(details, "tokens", where);
  engine::Engine exact(original, kernel::Precision::f32, residency_of(request));
  evaluate_output(exact, request, path, sequences);
}

}  // namespace strata::pipeline
