// From a job's results to its report.
// Texts are the only thing that is computed here; larger models get theirs from `strata report --texts`.
#include "pipeline/job/report.h"

#include "core/interrupt.h"
#include "eval/eval_file.h"
#include "pipeline/choose/trade_off.h"
#include "pipeline/report/data.h"
#include "pipeline/report/texts.h"

namespace strata::pipeline {
namespace {

constexpr std::uint64_t kMostWeightsForTexts = 500'000'000;
constexpr std::size_t kTextTokens = 32;

ReportData gather(const model::Model& model, const QuantizeRequest& request, const Quantized& done,
                  const std::string& command) {
  const model::Architecture& a = model.architecture();
  const model::Model quantized = model::Model::open(done.written.path);
  ReportData data;
  data.set_model(model);
  data.set_plan(done.prepared.plan.plan, a, command);
  data.set_output(done.written.path, done.written.bytes, quantized.fingerprint());
  if (const auto& scores = done.prepared.scores) {
    const Costs costs = costs_of(*scores, a, method_of(request).pricing);
    data.set_scores(*scores, a, {}, command);
    data.set_costs(costs, a);
    data.set_trade_off(trade_off(Problem(model, target_of(request), request.plan, costs)), command);
  }
  if (!done.verification) return data;
  data.add_evaluation(eval::entry_of(*done.verification, eval::ModelName::of(quantized), eval::ModelName::of(model)),
                      done.verification->measured_on(), command, done.written.path.string());
  if (a.block_linear_weights() <= kMostWeightsForTexts)
    data.set_texts(side_by_side(model, quantized, default_prompts(), kTextTokens), command);
  return data;
}

}  // namespace

std::string write_job_report(const model::Model& model, const QuantizeRequest& request, const Quantized& done,
                             const std::string& command) {
  const std::filesystem::path page = beside(done.written.path, ".report.html");
  const std::filesystem::path data = beside(done.written.path, ".report.json");
  try {
    return write_report(gather(model, request, done, command), data, page)
               ? fmt::format("report: {}", page.string())
               : fmt::format("report: {} holds its data; this strata was built without the page", data.string());
  } catch (const Interrupted&) {
    throw;
  } catch (const Error& error) {
    return fmt::format("note: no report was written: {}", error.what());
  }
}

}  // namespace strata::pipeline
