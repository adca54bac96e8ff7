// strata eval: perplexity of models, and their distance from the original they were made from.
// All models run on the same text, a batch of sequences at a time; no logits are kept.
#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <vector>

#include "cli/options.h"
#include "core/file.h"
#include "eval/eval_file.h"
#include "eval/text.h"
#include "model/tokenizer.h"

namespace strata::cli {
namespace {

struct Options {
  std::vector<std::string> models;
  std::string reference, text, output;
  kernel::Precision precision = kernel::Precision::f32;
  std::size_t seq_len = 512, samples = 0;
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

/// Prints several models side by side, one row for each.
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

/// Returns whether two models have the same linears, as a quantized model and its original do.
bool same_linears(const model::Model& one, const model::Model& other) {
  return std::ranges::equal(one.architecture().linears, other.architecture().linears,
                            [](const model::Linear& a, const model::Linear& b) {
                              return a.module == b.module && a.rows == b.rows && a.cols == b.cols;
                            });
}

/// Throws Error where the models' tokens are different words. Warns when the original is quantized itself, and when a
/// model cannot have been made from it.
void check_comparison(const std::vector<const model::Model*>& models, const model::Tokenizer& tokenizer,
                      const eval::EvalText& text, const model::Model* original) {
  std::vector<const model::Model*> others(models.begin() + 1, models.end());
  if (original != nullptr) others.push_back(original);
  for (const model::Model* other : others) {
    const model::NamedTexts files = model::tokenizer_files(*other);
    if (model::find_text(files, "tokenizer.json") == nullptr) continue;  // the models share the first one's
    eval::check_same_words(text, tokenizer, model::Tokenizer::from_files(files, other->path().string()));
  }
  for (const model::Model* model : models)
    if (original != nullptr && !same_linears(*model, *original))
      remark("warning: --ref {} has other linears than {}, which was not made from it\n", original->path().string(),
             model->path().string());
  if (original != nullptr && !original->low_bit_types().empty())
    remark("warning: --ref {} is quantized itself, so its own loss is not in the divergence from it\n",
           original->path().string());
}

void run(const Options& options, const Common& common) {
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::unique_ptr<model::Model>> models;
  std::vector<const model::Model*> opened;
  eval::EvalFile file;
  for (const std::string& path : options.models) {
    models.push_back(std::make_unique<model::Model>(model::Model::open(path)));
    models.back()->require_runnable();
    opened.push_back(models.back().get());
    file.models.push_back(eval::ModelName::of(*opened.back()));
  }
  std::optional<model::Model> reference;
  if (!options.reference.empty()) reference = model::Model::open(options.reference);
  if (reference) file.original = eval::ModelName::of(*reference);
  const auto tokenizer = model::Tokenizer::of(*opened[0]);
  const eval::EvalText text = eval::read_eval_text(tokenizer, options.text, options.seq_len, options.samples);
  check_comparison(opened, tokenizer, text, reference ? &*reference : nullptr);
  std::vector<std::unique_ptr<engine::Engine>> engines;
  std::vector<engine::Engine*> judged;
  for (const auto& model : models) {
    engines.push_back(std::make_unique<engine::Engine>(*model, options.precision));
    judged.push_back(engines.back().get());
  }
  std::optional<engine::Engine> original;
  if (reference) original.emplace(*reference, options.precision);
  file.evaluations = eval::evaluate(judged, original ? &*original : nullptr, text.sequences);
  file.text = text.describe();
  file.precision = options.precision == kernel::Precision::bf16 ? "bf16" : "f32";
  file.command = common.command;
  file.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();

  const json value = file.to_json();
  if (!options.output.empty()) write_json_file(options.output, value);
  print_json(common, value);
  if (common.json_output) return;
  if (file.evaluations.size() == 1)
    show(file.evaluations[0]);
  else
    show(options.models, file.evaluations);
  fmt::print("{} tokens scored in {:.1f} s\n", file.evaluations[0].tokens, file.seconds);
}

std::function<void()> setup(CommandLine& line, const Common& common) {
  auto options = std::make_shared<Options>();
  line.list({.name = "MODEL",
             .help = "Models to judge; several are held in memory together and take less time than one by one",
             .required = true},
            options->models);
  line.option({.name = "--ref", .help = "The original, for KL divergence and top-1 agreement"}, options->reference);
  line.option({.name = "--text", .help = "UTF-8 text file", .required = true}, options->text);
  line.option({.name = "--samples",
               .help = "Sequences to score, from the start of the text; 0: all",
               .example = "40",
               .aliases = "--chunks"},
              options->samples);
  line.option({.name = "--seq-len",
               .help = "Tokens of a sequence; the second half is scored",
               .example = "2048",
               .least = 4,
               .most = 1 << 20,
               .aliases = "--n-ctx"},
              options->seq_len);
  declare_precision(line, options->precision);
  line.option({.name = "--output", .help = "Also write the result to this JSON file", .letter = "-o"}, options->output);
  return [options, &common] { run(*options, common); };
}

}  // namespace

extern const Verb eval_verb = {
    "eval", "Measure perplexity, KL divergence and top-1 agreement",
    "  strata eval MODEL --text wiki.test.raw\n"
    "  strata eval OUT --ref MODEL --text wiki.test.raw --samples 60\n"
    "  strata eval OUT --ref MODEL --text wiki.test.raw -o eval.json    # then: strata report OUT --eval eval.json\n"
    "  strata eval A B --ref MODEL --text wiki.test.raw                 # side by side, and how far B is from A\n"
    "  strata eval OUT.gguf --text book.txt --seq-len 2048 --precision bf16\n",
    setup};

}  // namespace strata::cli
