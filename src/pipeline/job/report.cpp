// Gathers the report of a quantize run from its results.
// Only the answers of both models are computed here; larger models get theirs from `strata report --texts`.
#include "pipeline/job/report.h"

#include "core/interrupt.h"
#include "eval/eval_file.h"
#include "pipeline/report/data.h"
#include "pipeline/report/texts.h"

namespace strata::pipeline {
namespace {

constexpr std::uint64_t kMostWeightsForTexts = 500'000'000;
constexpr std::size_t kTextTokens = 32;

ReportData gather(const model::Model& model, const QuantizeRequest& request, const Prepared& prepared,
                  const Written& written, const std::optional<eval::Evaluation>& verified, const std::string& command) {
  const model::Architecture& a = model.architecture();
  const model::Model quantized = model::Model::open(written.path);
  ReportData data;
  data.set_model(model);
  data.set_plan(prepared.plan.plan, a, command);
  data.set_output(written.path, written.bytes, quantized.fingerprint());
  if (prepared.scores) {
    data.set_scores(*prepared.scores, a, {}, command);
    const Costs costs = costs_of(*prepared.scores, a, request.plan.method);
    data.set_costs(costs, a);
    data.set_trade_off(trade_off(a, *request.target, request.plan, costs), command);
  }
  if (!verified) return data;
  data.add_evaluation(eval::entry_of(*verified, eval::ModelName::of(quantized), eval::ModelName::of(model)),
                      verified->measured_on(), command, written.path.string());
  if (a.block_linear_weights() <= kMostWeightsForTexts)
    data.set_texts(side_by_side(model, quantized, default_prompts(), kTextTokens), command);
  return data;
}

}  // namespace

std::string report_quantize(const model::Model& model, const QuantizeRequest& request, const Prepared& prepared,
                            const Written& written, const std::optional<eval::Evaluation>& verified,
                            const std::string& command) {
  const std::filesystem::path page = beside(written.path, ".report.html");
  try {
    const ReportData data = gather(model, request, prepared, written, verified, command);
    return write_report(data, beside(written.path, ".report.json"), page)
               ? fmt::format("report: {}", page.string())
               : fmt::format("report: {} holds its data; this strata was built without the page",
                             beside(written.path, ".report.json").string());
  } catch (const Interrupted&) {
    throw;
  } catch (const Error& error) {
    return fmt::format("note: no report was written: {}", error.what());
  }
}

}  // namespace strata::pipeline
