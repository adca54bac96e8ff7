// Opens the models, checks that they can be compared, and measures them together.
// The first model's tokenizer cuts the text; another that would cut it into other words is refused.
#include "pipeline/job/evaluation.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>

#include "core/file.h"
#include "core/ranks.h"
#include "core/seconds.h"
#include "eval/text.h"
#include "kernel/dispatch.h"
#include "model/tokenizer.h"
#include "pipeline/job/precision.h"
#include "pipeline/plan/target.h"

namespace strata::pipeline {
namespace {

/// Returns whether two models have the same linears in their blocks, as a quantized model and its original do; a head
/// that was tied may be apart in one of them.
bool same_linears(const model::Model& one, const model::Model& other) {
  const auto in_blocks = [](const model::Architecture& a) {
    const std::size_t count = a.layout.empty() ? a.linears.size() : a.layout.back().first + a.layout.back().count;
    return std::span(a.linears).first(count);
  };
  return std::ranges::equal(in_blocks(one.architecture()), in_blocks(other.architecture()),
                            [](const model::Linear& a, const model::Linear& b) {
                              return a.module == b.module && a.rows == b.rows && a.cols == b.cols;
                            });
}

/// Throws Error where the models' tokens are different words. Warns when the original is quantized itself, and when a
/// model cannot have been made from it.
void check_comparison(const std::vector<const model::Model*>& models, const model::Tokenizer& tokenizer,
                      const eval::EvalText& text, const model::Model* original, Listener& listener) {
  std::vector<const model::Model*> others(models.begin() + 1, models.end());
  if (original != nullptr) others.push_back(original);
  for (const model::Model* other : others) {
    const model::NamedTexts files = model::tokenizer_files(*other);
    if (model::find_text(files, "tokenizer.json") == nullptr) continue;  // the models share the first one's
    eval::check_same_words(text, tokenizer, model::Tokenizer::from_files(files, other->path().string()));
  }
  for (const model::Model* model : models)
    if (original != nullptr && !same_linears(*model, *original))
      listener.on_remark(fmt::format("warning: --ref {} has other linears than {}, which was not made from it",
                                     original->path().string(), model->path().string()));
  if (original != nullptr && !original->low_bit_types().empty())
    listener.on_remark(
        fmt::format("warning: --ref {} is quantized itself, so its own loss is not in the divergence from it",
                    original->path().string()));
}

/// What the linears of each model read where the target runs it; as they are unless that was asked for.
std::vector<RunInputs> inputs_of(const std::vector<const model::Model*>& models, const EvaluationRequest& request,
                                 Listener& listener) {
  std::vector<RunInputs> inputs(models.size());
  if (!request.activations && request.target)
    fail_usage("--for {}: says whose rounding is imitated; give --activations with it", *request.target);
  if (!request.activations) return inputs;
  const Target& target = target_by_name(request.target.value_or("vllm"));
  for (std::size_t m = 0; m < models.size(); ++m) {
    inputs[m] = run_inputs(target, *models[m]);
    for (const std::string& remark : inputs[m].remarks) listener.on_remark(remark);
    if (!inputs[m].any)
      listener.on_remark(fmt::format("{} rounds no activations of {}: it runs as its weights alone say", target.name,
                                     models[m]->path().string()));
  }
  return inputs;
}

/// Runs the models on the text, the original once for all of them.
std::vector<eval::Evaluation> judge(const std::vector<const model::Model*>& models,
                                    const std::vector<RunInputs>& inputs, const model::Model* original,
                                    const eval::EvalText& text, kernel::Precision precision) {
  std::vector<std::unique_ptr<engine::Engine>> engines;
  std::vector<eval::Judged> judged;
  for (std::size_t m = 0; m < models.size(); ++m) {
    engines.push_back(std::make_unique<engine::Engine>(*models[m], precision));
    judged.push_back({engines.back().get(), &inputs[m].by_linear, &inputs[m].cache});
  }
  std::optional<engine::Engine> reference;
  if (original != nullptr) reference.emplace(*original, precision);
  return eval::evaluate(judged, reference ? &*reference : nullptr, text.sequences);
}

}  // namespace

void visit(EvaluationRequest& r, OptionVisitor& v) {
  v.list({.name = "MODEL",
          .help = "Models to judge; several are held in memory together and take less time than one by one",
          .required = true},
         r.models);
  v.option({.name = "--ref", .help = "The original, for KL divergence and top-1 agreement"}, r.reference);
  v.option({.name = "--text", .help = "UTF-8 text file"}, r.text);
  v.option({.name = "--samples",
            .help = "Sequences to score, from the start of the text; 0: all",
            .example = "40",
            .aliases = "--chunks"},
           r.samples);
  v.option({.name = "--seq-len",
            .help = "Tokens of a sequence; the second half is scored",
            .example = "2048",
            .least = 4,
            .most = 1 << 20,
            .aliases = "--n-ctx"},
           r.seq_len);
  visit(r.tasks, v);
  declare_precision(r.precision, v);
  v.flag({.name = "--activations",
          .help = "Measure a second time as the runtime of --for runs it, which rounds activations where the files "
                  "declare it"},
         r.activations);
  v.option({.name = "--for",
            .help = "With --activations, the runtime: " + target_names() + " (default: vllm)",
            .example = "vllm:sm80"},
           r.target);
  v.option({.name = "--output", .help = "Also write the result to this JSON file", .letter = "-o"}, r.output);
}

eval::EvalFile evaluate(const EvaluationRequest& request, Listener& listener, const std::string& command) {
  if (request.text.empty() && request.tasks.names.empty())
    throw UsageError("give --text FILE, --tasks NAMES, or both: nothing says what the models are judged by");
  const WorkingTogether together;
  kernel::keep_variant(ranks_at_work());
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::unique_ptr<model::Model>> models;
  std::vector<const model::Model*> opened;
  eval::EvalFile file;
  for (const std::string& path : request.models) {
    models.push_back(std::make_unique<model::Model>(model::Model::open(path)));
    models.back()->require_runnable();
    opened.push_back(models.back().get());
    file.models.push_back(eval::ModelName::of(*opened.back()));
  }
  std::optional<model::Model> original;
  if (!request.reference.empty()) original = model::Model::open(request.reference);
  if (original) file.original = eval::ModelName::of(*original);
  const model::Model* reference = original ? &*original : nullptr;
  if (!request.text.empty()) {
    const std::vector<RunInputs> inputs = inputs_of(opened, request, listener);
    const auto tokenizer = model::Tokenizer::of(*opened.at(0));
    const eval::EvalText text = eval::read_eval_text(tokenizer, request.text, request.seq_len, request.samples);
    check_comparison(opened, tokenizer, text, reference, listener);
    file.evaluations = judge(opened, inputs, reference, text, request.precision);
    file.text = text.describe();
  }
  if (!all_ranks().is_first()) return file;
  if (!request.tasks.names.empty())
    file.tasks = run_tasks(request.tasks, request.models, request.reference, request.precision);
  file.precision = precision_name(request.precision);
  file.command = command;
  file.seconds = seconds_since(begin);
  if (!request.output.empty()) write_json_file(request.output, file.to_json());
  return file;
}

}  // namespace strata::pipeline
