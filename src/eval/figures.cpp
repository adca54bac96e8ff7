// The figures of an evaluation as JSON and in words. What was not measured is null.
// Schema: docs/files.md.
#include "eval/evaluate.h"

namespace strata::eval {
namespace {

json or_null(const std::optional<double>& value) { return value ? json(*value) : json(nullptr); }

json to_json(const Estimate& estimate) {
  return {{"mean", estimate.mean}, {"stderr", or_null(estimate.standard_error)}};
}

json to_json(const std::optional<KlDivergence>& kl) {
  if (!kl) return nullptr;
  return {{"mean", kl->mean},
          {"stderr", or_null(kl->standard_error)},
          {"median", kl->median},
          {"p99", kl->p99},
          {"max", kl->max}};
}

}  // namespace

json AsItRuns::to_json() const {
  json value = {{"linears", linears},
                {"cached_blocks", cached_blocks},
                {"perplexity", perplexity},
                {"perplexity_stderr", or_null(perplexity_standard_error)},
                {"kl_divergence", eval::to_json(kl_divergence)},
                {"top1_agreement", or_null(top1_agreement)}};
  if (kl_change) value["kl_change"] = eval::to_json(*kl_change);
  return value;
}

std::string AsItRuns::describe() const {
  std::string text;
  for (const auto& [name, count] : linears)
    text += fmt::format("{}{} in {} linear{}", text.empty() ? "" : ", ", name, count, count == 1 ? "" : "s");
  if (cached_blocks != 0)
    text += fmt::format("{}fp8 cache in {} block{}", text.empty() ? "" : ", ", cached_blocks,
                        cached_blocks == 1 ? "" : "s");
  return text;
}

json Evaluation::to_json() const {
  json value = {{"perplexity", perplexity},
                {"perplexity_stderr", or_null(perplexity_standard_error)},
                {"ref_perplexity", or_null(ref_perplexity)},
                {"ref_perplexity_stderr", or_null(ref_perplexity_standard_error)},
                {"kl_divergence", eval::to_json(kl_divergence)},
                {"top1_agreement", or_null(top1_agreement)},
                {"tokens", tokens}};
  if (text)
    value["text"] = {{"source", text->source.empty() ? "model" : text->source},
                     {"used_by_calibration", text->used_by_calibration}};
  if (kl_change) value["kl_change"] = eval::to_json(*kl_change);
  if (as_it_runs) value["as_it_runs"] = as_it_runs->to_json();
  return value;
}

std::string Evaluation::measured_on() const {
  if (!text) return fmt::format("{} tokens", tokens);
  if (text->source.empty())
    return fmt::format("{} tokens that the model wrote itself, other than those of the calibration", tokens);
  if (text->used_by_calibration)
    return fmt::format("{} tokens of {} that the calibration used too, since the text has no more", tokens,
                       text->source);
  return fmt::format("{} tokens of {} that the calibration did not use", tokens, text->source);
}

}  // namespace strata::eval
