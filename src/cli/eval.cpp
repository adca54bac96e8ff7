// strata eval: perplexity of models, their distance from the original they were made from, and what they reach in
// tasks. pipeline::evaluate does the work; this file says what a person sees of it.
#include <algorithm>
#include <memory>
#include <optional>

#include "cli/options.h"
#include "pipeline/job/evaluation.h"

namespace strata::cli {
namespace {

std::string with_error(double value, const std::optional<double>& error) {
  return error ? fmt::format("{:.4f} +- {:.4f}", value, *error) : fmt::format("{:.4f}", value);
}

std::string text_of(const eval::KlDivergence& kl) {
  return fmt::format("{:.6f}{} nats (median {:.6f}, 99 % {:.4f}, max {:.4f})", kl.mean,
                     kl.standard_error ? fmt::format(" +- {:.6f}", *kl.standard_error) : "", kl.median, kl.p99, kl.max);
}

/// The second figures, with rounded activations.
void show(const eval::AsItRuns& e) {
  fmt::print("as it runs, with rounded activations ({}):\n", e.describe());
  fmt::print("perplexity        {}\n", with_error(e.perplexity, e.perplexity_standard_error));
  if (e.kl_divergence) fmt::print("KL divergence     {}\n", text_of(*e.kl_divergence));
  if (e.kl_change)
    fmt::print("  more by         {:.6f}{} nats\n", e.kl_change->mean,
               e.kl_change->standard_error ? fmt::format(" +- {:.6f}", *e.kl_change->standard_error) : "");
  if (e.top1_agreement) fmt::print("top-1 agreement   {:.2f} %\n", 100.0 * *e.top1_agreement);
}

void show(const eval::Evaluation& e) {
  if (e.as_it_runs) fmt::print("weights alone:\n");
  fmt::print("perplexity        {}\n", with_error(e.perplexity, e.perplexity_standard_error));
  if (e.ref_perplexity)
    fmt::print("  of the original {}\n", with_error(*e.ref_perplexity, e.ref_perplexity_standard_error));
  if (e.kl_divergence) fmt::print("KL divergence     {}\n", text_of(*e.kl_divergence));
  if (e.top1_agreement) fmt::print("top-1 agreement   {:.2f} %\n", 100.0 * *e.top1_agreement);
  if (e.as_it_runs) show(*e.as_it_runs);
}

/// The one figure of a table: the divergence, or without an original the perplexity.
std::string as_it_runs(const eval::AsItRuns& e) {
  return e.kl_divergence ? with_error(e.kl_divergence->mean, e.kl_divergence->standard_error)
                         : with_error(e.perplexity, e.perplexity_standard_error);
}

/// Prints several models side by side, one row for each.
void show(const std::vector<std::string>& names, const std::vector<eval::Evaluation>& all) {
  const bool compared = all[0].kl_divergence.has_value();
  std::vector<std::vector<std::string>> rows = {{"model", "perplexity"}};
  if (compared) rows[0].insert(rows[0].end(), {"KL divergence", "99 %", "top-1", "KL against the first"});
  const bool rounded = std::ranges::any_of(all, [](const eval::Evaluation& e) { return e.as_it_runs.has_value(); });
  if (rounded) rows[0].emplace_back(compared ? "KL as it runs" : "perplexity as it runs");
  for (std::size_t m = 0; m < all.size(); ++m) {
    const eval::Evaluation& e = all[m];
    rows.push_back({names[m], with_error(e.perplexity, e.perplexity_standard_error)});
    if (compared) {
      rows.back().push_back(with_error(e.kl_divergence->mean, e.kl_divergence->standard_error));
      rows.back().push_back(fmt::format("{:.4f}", e.kl_divergence->p99));
      rows.back().push_back(fmt::format("{:.2f} %", 100.0 * *e.top1_agreement));
      rows.back().push_back(e.kl_change ? with_error(e.kl_change->mean, e.kl_change->standard_error) : "");
    }
    if (rounded) rows.back().push_back(e.as_it_runs ? as_it_runs(*e.as_it_runs) : "the same");
  }
  fmt::print("{}", table(rows));
  if (all[0].ref_perplexity)
    fmt::print("perplexity of the original: {}\n",
               with_error(*all[0].ref_perplexity, all[0].ref_perplexity_standard_error));
}

std::string with_error(const json& estimate) {
  const json& error = estimate["stderr"];
  return with_error(estimate["mean"].get<double>(),
                    error.is_number() ? std::optional(error.get<double>()) : std::nullopt);
}

/// Prints the figures of every model in its tasks, a row for each metric.
void show_tasks(const std::vector<std::string>& names, const std::vector<json>& tasks) {
  for (std::size_t m = 0; m < tasks.size(); ++m) {
    if (tasks.size() > 1) fmt::print("{}{}\n", m == 0 ? "" : "\n", names[m]);
    std::vector<std::vector<std::string>> rows = {{"task", "metric", "items", "model"}};
    for (const json& row : tasks[m]) {
      const std::string metric = row["metric"].get<std::string>(), filter = row["filter"].get<std::string>();
      rows.push_back({row["task"].get<std::string>(), filter == "none" ? metric : metric + ", " + filter,
                      row["items"].dump(), with_error(row["value"])});
      if (!row.contains("ref")) continue;
      rows[0] = {"task", "metric", "items", "model", "original", "difference"};
      rows.back().insert(rows.back().end(), {with_error(row["ref"]), with_error(row["change"])});
    }
    fmt::print("{}", table(rows));
  }
}

void run(const pipeline::EvaluationRequest& request, const Common& common) {
  Remarks remarks;
  const eval::EvalFile file = pipeline::evaluate(request, remarks, common.command);
  print_json(common, file.to_json());
  if (common.json_output) return;
  if (file.evaluations.size() == 1)
    show(file.evaluations[0]);
  else if (!file.evaluations.empty())
    show(request.models, file.evaluations);
  show_tasks(request.models, file.tasks);
  if (file.evaluations.empty())
    fmt::print("took {:.1f} s\n", file.seconds);
  else
    fmt::print("{} tokens scored in {:.1f} s\n", file.evaluations[0].tokens, file.seconds);
}

std::function<void()> setup(CommandLine& line, const Common& common) {
  auto request = std::make_shared<pipeline::EvaluationRequest>();
  visit(*request, line);
  return [request, &common] { run(*request, common); };
}

}  // namespace

extern const Verb eval_verb = {
    "eval", "Measure perplexity, KL divergence, top-1 agreement and tasks",
    "  strata eval MODEL --text wiki.test.raw\n"
    "  strata eval OUT --ref MODEL --text wiki.test.raw --samples 60\n"
    "  strata eval OUT --ref MODEL --text wiki.test.raw -o eval.json    # then: strata report OUT --eval eval.json\n"
    "  strata eval A B --ref MODEL --text wiki.test.raw                 # side by side, and how far B is from A\n"
    "  strata eval OUT --ref MODEL --text wiki.test.raw --activations --for h100    # with FP8 activations, as it "
    "runs\n"
    "  strata eval OUT.gguf --text book.txt --seq-len 2048 --precision bf16\n"
    "  strata eval OUT --ref MODEL --tasks arc_easy,hellaswag --limit 200    # lm-evaluation-harness: docs/tasks.md\n",
    setup, RunBy::all_ranks};

}  // namespace strata::cli
