// strata eval: perplexity of a model, and its distance from the original it was made from.
// Both run chunk by chunk; no logits are kept.
#include <chrono>
#include <memory>
#include <optional>

#include "cli/verb.h"
#include "core/file.h"
#include "eval/evaluate.h"
#include "eval/text.h"
#include "model/tokenizer.h"

namespace strata::cli {
namespace {

struct Options {
  std::string model, reference, text, precision = "f32", output;
  std::size_t n_ctx = 512, chunks = 0;
};

void show(const eval::Evaluation& e, double seconds) {
  const auto with_error = [](double value, const std::optional<double>& error) {
    return error ? fmt::format("{:.4f} +- {:.4f}", value, *error) : fmt::format("{:.4f}", value);
  };
  fmt::print("perplexity        {}\n", with_error(e.perplexity, e.perplexity_standard_error));
  if (e.ref_perplexity)
    fmt::print("  of the original {}\n", with_error(*e.ref_perplexity, e.ref_perplexity_standard_error));
  if (e.kl_divergence) {
    const eval::KlDivergence& kl = *e.kl_divergence;
    fmt::print("KL divergence     {}{} nats (median {:.6f}, 99 % {:.4f}, max {:.4f})\n", fmt::format("{:.6f}", kl.mean),
               kl.standard_error ? fmt::format(" +- {:.6f}", *kl.standard_error) : "", kl.median, kl.p99, kl.max);
  }
  if (e.top1_agreement) fmt::print("top-1 agreement   {:.2f} %\n", 100.0 * *e.top1_agreement);
  fmt::print("{} tokens scored in {:.1f} s\n", e.tokens, seconds);
}

void run(const Options& options, const Common& common) {
  const auto begin = std::chrono::steady_clock::now();
  const model::Model model = model::Model::open(options.model);
  std::optional<model::Model> reference;
  if (!options.reference.empty()) reference = model::Model::open(options.reference);
  const auto tokenizer = model::Tokenizer::from_files(model::tokenizer_files(model), options.model);
  const eval::EvalText text = eval::read_eval_text(tokenizer, options.text, options.n_ctx, options.chunks);
  const auto precision = options.precision == "bf16" ? kernel::Precision::bf16 : kernel::Precision::f32;
  engine::Engine engine(model, precision);
  std::optional<engine::Engine> original;
  if (reference) original.emplace(*reference, precision);
  const eval::Evaluation result = eval::evaluate(engine, original ? &*original : nullptr, text.chunks);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();

  json value = result.to_json();
  value["text"] = text.describe();
  value["model"] = options.model;
  if (reference) value["ref_model"] = options.reference;
  value["precision"] = options.precision;
  value["command"] = common.command;
  value["seconds"] = seconds;
  if (!options.output.empty()) write_json_file(options.output, value);
  print_json(common, value);
  if (!common.json_output) show(result, seconds);
}

std::function<void()> setup(CLI::App& app, const Common& common) {
  auto options = std::make_shared<Options>();
  app.add_option("MODEL", options->model, "Model to judge")->required();
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
                               "  strata eval OUT --ref MODEL --text wiki.test.raw --json > eval.json\n",
                               setup};

}  // namespace strata::cli
