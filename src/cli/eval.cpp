// strata eval: perplexity of models, and their distance from the original they were made from.
// All run chunk by chunk; no logits are kept.
#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "cli/verb.h"
#include "eval/evaluate.h"
#include "eval/text.h"
#include "model/tokenizer.h"

namespace strata::cli {
namespace {

struct Options {
  std::vector<std::string> models;
  std::string reference, text, precision = "f32", output;
  std::size_t n_ctx = 512, chunks = 0;
};

std::string with_error(double value, const std::optional<double>& error) {
  return error ? fmt::format("{:.4f} +- {:.4f}", value, *error) : fmt::format("{:.4f}", value);
}

void show(const eval::Evaluation& e) {
  fmt::print("perplexity        {}\n", with_error(e.perplexity, e.perplexity_standard_error));
  if (e.ref_perplexity)
    fmt::print("  of the original {}\n", with_error(*e.ref_perplexity, e.ref_perplexity_standard_error));
  if (e.kl_divergence) {
    const eval::KlDivergence& kl = *e.kl_divergence;
    fmt::print("KL divergence     {}{} nats (median {:.6f}, 99 % {:.4f}, max {:.4f})\n", fmt::format("{:.6f}", kl.mean),
               kl.standard_error ? fmt::format(" +- {:.6f}", *kl.standard_error) : "", kl.median, kl.p99, kl.max);
  }
  if (e.top1_agreement) fmt::print("top-1 agreement   {:.2f} %\n", 100.0 * *e.top1_agreement);
}

/// Several models: a row each.
void show(const std::vector<std::string>& names, const std::vector<eval::Evaluation>& all) {
  const bool compared = all[0].kl_divergence.has_value();
  std::vector<std::vector<std::string>> rows = {{"model", "perplexity"}};
  if (compared) rows[0].insert(rows[0].end(), {"KL divergence", "99 %", "top-1", "KL against the first"});
  for (std::size_t m = 0; m < all.size(); ++m) {
    const eval::Evaluation& e = all[m];
    rows.push_back({names[m], with_error(e.perplexity, e.perplexity_standard_error)});
    if (!compared) continue;
    rows.back().push_back(with_error(e.kl_divergence->mean, e.kl_divergence->standard_error));
    rows.back().push_back(fmt::format("{:.4f}", e.kl_divergence->p99));
    rows.back().push_back(fmt::format("{:.2f} %", 100.0 * *e.top1_agreement));
    rows.back().push_back(e.kl_change ? with_error(e.kl_change->mean, e.kl_change->standard_error) : "");
  }
  fmt::print("{}", table(rows));
  if (all[0].ref_perplexity)
    fmt::print("perplexity of the original: {}\n",
               with_error(*all[0].ref_perplexity, all[0].ref_perplexity_standard_error));
}

json to_json(const Options& options, const std::vector<eval::Evaluation>& all) {
  json models = json::array();
  for (std::size_t m = 0; m < all.size(); ++m) {
    models.push_back(all[m].to_json());
    models.back()["model"] = options.models[m];
  }
  return models.size() == 1 ? models[0] : json{{"models", std::move(models)}};
}

void run(const Options& options, const Common& common) {
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::unique_ptr<model::Model>> models;
  for (const std::string& path : options.models)
    models.push_back(std::make_unique<model::Model>(model::Model::open(path)));
  std::optional<model::Model> reference;
  if (!options.reference.empty()) reference = model::Model::open(options.reference);
  const auto tokenizer = model::Tokenizer::from_files(model::tokenizer_files(*models[0]), options.models[0]);
  const eval::EvalText text = eval::read_eval_text(tokenizer, options.text, options.n_ctx, options.chunks);
  const auto precision = options.precision == "bf16" ? kernel::Precision::bf16 : kernel::Precision::f32;
  std::vector<std::unique_ptr<engine::Engine>> engines;
  std::vector<engine::Engine*> judged;
  for (const auto& model : models) {
    engines.push_back(std::make_unique<engine::Engine>(*model, precision));
    judged.push_back(engines.back().get());
  }
  std::optional<engine::Engine> original;
  if (reference) original.emplace(*reference, precision);
  const std::vector<eval::Evaluation> result = eval::evaluate(judged, original ? &*original : nullptr, text.chunks);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();

  json value = to_json(options, result);
  value["text"] = text.describe();
  if (reference) value["ref_model"] = options.reference;
  value["precision"] = options.precision;
  value["command"] = common.command;
  value["seconds"] = seconds;
  if (!options.output.empty()) write_json_file(options.output, value);
  print_json(common, value);
  if (common.json_output) return;
  if (result.size() == 1)
    show(result[0]);
  else
    show(options.models, result);
  fmt::print("{} tokens scored in {:.1f} s\n", result[0].tokens, seconds);
}

std::function<void()> setup(CLI::App& app, const Common& common) {
  auto options = std::make_shared<Options>();
  app.add_option("MODEL", options->models,
                 "Models to judge; several are held in memory together and take less time than one by one")
      ->required();
  app.add_option("--ref", options->reference, "The original, for KL divergence and top-1 agreement");
  app.add_option("--text", options->text, "UTF-8 text file")->required();
  app.add_option("--n-ctx", options->n_ctx, "Tokens of a chunk; the second half is scored")
      ->capture_default_str()
      ->check(CLI::Range(4, 1 << 20));
  app.add_option("--chunks", options->chunks, "Use the first N chunks (0: all)")->capture_default_str();
  app.add_option("--precision", options->precision,
                 "f32 or bf16 activations in matrix products; f32 is exact, bf16 faster but adds its own divergence")
      ->capture_default_str()
      ->check(CLI::IsMember({"f32", "bf16"}));
  app.add_option("-o,--output", options->output, "Also write the result to this JSON file");
  return [options, &common] { run(*options, common); };
}

}  // namespace

extern const Verb eval_verb = {"eval", "Measure perplexity, KL divergence and top-1 agreement",
                               "  strata eval MODEL --text wiki.test.raw\n"
                               "  strata eval OUT --ref MODEL --text wiki.test.raw --chunks 60\n"
                               "  strata eval OUT --ref MODEL --text wiki.test.raw --json > eval.json\n"
                               "  strata eval A B --ref MODEL --text wiki.test.raw    # and how far B is from A\n",
                               setup};

}  // namespace strata::cli
