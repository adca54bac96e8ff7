// From a run's results to its report.
// Texts are the only thing that is computed here; larger models get theirs from `strata report --texts`.
#include "pipeline/job/report.h"

#include "core/interrupt.h"
#include "pipeline/job/methods.h"
#include "pipeline/report/data.h"
#include "pipeline/report/texts.h"

namespace strata::pipeline {
namespace {

constexpr std::uint64_t kMostWeightsForTexts = 500'000'000;
constexpr std::size_t kTextTokens = 32;

std::string text_of(const QuantizeRequest& request, std::size_t tokens) {
  if (request.calibration.files.empty()) return fmt::format("{} tokens of the model's own text", tokens);
  return fmt::format("{} tokens of {}, behind the calibration's", tokens,
                     request.calibration.files.back().filename().string());
}

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
    const Pricing pricing = pricing_of(method_named(request.plan.method));
    data.set_trade_off(trade_off(Problem(model, *request.target, request.plan, costs_of(*prepared.scores, a, pricing))),
                       command);
  }
  if (!verified) return data;
  data.add_evaluation(verified->to_json(), text_of(request, verified->tokens), command);
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
