// strata quantize: a model and a budget in, a checkpoint or a GGUF file out, with its measured cost.
// pipeline::quantize does the work; this file says what a person or a program sees of it.
#include "pipeline/job/quantize.h"

#include <memory>
#include <optional>

#include "cli/options.h"
#include "core/cpu.h"
#include "core/progress.h"
#include "core/units.h"
#include "pipeline/choose/two_memories.h"
#include "pipeline/job/result_json.h"
#include "pipeline/output/copies.h"

namespace strata::cli {
namespace {

struct Options {
  pipeline::QuantizeRequest request;
  bool events = false, dry_run = false, show_calibration = false;
};

std::string text_of(const pipeline::Forecast& forecast) {
  const std::string scoring =
      forecast.scoring_seconds > 0 ? fmt::format("{} to score, ", human_seconds(forecast.scoring_seconds)) : "";
  return fmt::format("estimate: {}{} to round and write, {} of memory, {} bytes on disk ({}{})", scoring,
                     human_seconds(forecast.seconds), human_bytes(forecast.memory_bytes), forecast.disk_bytes,
                     human_bytes(forecast.disk_bytes), forecast.spills ? ", hidden states spilled to it included" : "");
}

void tell(const json& event) { fmt::print(stderr, "{}\n", json_text(event)); }

/// The stages of the work as events.
class StageEvents final : public ProgressListener {
 public:
  void on_progress(const std::string& label, std::size_t done, std::size_t total) override {
    tell({{"event", "progress"}, {"stage", label}, {"done", done}, {"total", total}});
  }
  void on_end(const std::string& label) noexcept override { tell({{"event", "stage_end"}, {"stage", label}}); }
};

/// Reports the job to a person on stdout and stderr, or with --events to a program on stderr.
class Teller final : public pipeline::Listener {
 public:
  Teller(const Options& options, const Common& common) : options_(options), common_(common) {}

  void on_resume(const std::filesystem::path& folder) override {
    on_remark(fmt::format("resuming the work in {}", folder.string()));
  }
  void on_remark(const std::string& text) override {
    if (options_.events)
      tell({{"event", "remark"}, {"text", text}});
    else
      remark("{}\n", text);
  }
  void on_calibration(const model::Model& model, const importance::CalibrationSet& set) override {
    if (options_.show_calibration) show_calibration(set, model::Tokenizer::of(model));
  }
  void on_plan(const model::Model& model, const pipeline::Prepared& prepared,
               const pipeline::Forecast& forecast) override {
    show_warnings(model, prepared);
    if (!common_.json_output) show_plan(prepared.plan, model);
    if (!common_.json_output && options_.dry_run) show_left_out(prepared.plan);
    print(common_, "{}\n", text_of(forecast));
    if (!options_.events) return;
    json event = {{"event", "estimate"}};
    event.update(pipeline::to_json(forecast));
    tell(event);
  }
  void on_linear(const pipeline::RoundedLinear& linear) override {
    if (!options_.events) return;
    json event = {{"event", "linear"}};
    event.update(linear.to_json());
    tell(event);
  }
  void on_written(const pipeline::Written& written) override {
    if (options_.events) tell({{"event", "written"}, {"bytes", written.bytes}, {"seconds", written.seconds}});
  }
  void on_verified(const eval::Evaluation& result) override {
    print(common_,
          "measured on {}: KL divergence {:.5f} +- {:.5f} nats, top-1 agreement {:.1f} %, perplexity "
          "{:.3f} (original {:.3f})\n",
          result.measured_on(), result.kl_divergence->mean, result.kl_divergence->standard_error.value_or(0.0),
          100.0 * *result.top1_agreement, result.perplexity, *result.ref_perplexity);
    if (const auto& runs = result.as_it_runs)
      print(common_,
            "as it runs, with rounded activations ({}): KL divergence {:.5f} +- {:.5f} nats, top-1 agreement {:.1f} %, "
            "perplexity {:.3f}\n",
            runs->describe(), runs->kl_divergence->mean, runs->kl_divergence->standard_error.value_or(0.0),
            100.0 * *runs->top1_agreement, runs->perplexity);
  }

 private:
  void show_warnings(const model::Model& model, const pipeline::Prepared& prepared) {
    constexpr double kFewBits = 3.0;  // figures: docs/results.md, "Beside llama.cpp's stock mixes"
    if (const std::string types = model.low_bit_types(); !types.empty())
      on_remark(fmt::format(
          "warning: {} is quantized already ({}); what is measured here is the loss against it, and what it lost of "
          "its own original comes on top",
          model.path().string(), types));
    if (const std::string note = pipeline::carried_note(model, pipeline::target_of(options_.request)); !note.empty())
      on_remark(note);
    std::uint64_t source = 0;
    for (const model::TensorInfo& tensor : model.tensors()) source += tensor.bytes;
    if (prepared.plan.output_bytes > source)
      on_remark(
          fmt::format("warning: the output ({}) is larger than {} ({}); a smaller --size or --bits makes it smaller",
                      human_bytes(prepared.plan.output_bytes), model.path().string(), human_bytes(source)));
    if (!pipeline::method_of(options_.request).calibrated && prepared.plan.plan.bits() < kFewBits)
      on_remark(fmt::format(
          "note: below {} bits rounding to nearest loses much that --method gptq keeps; it takes longer", kFewBits));
  }

  const Options& options_;
  const Common& common_;
};

void show_dry_run(const Options& options, const Common& common) {
  Teller teller(options, common);
  const pipeline::DryRun run = pipeline::dry_run(options.request, teller);
  print_json(common, pipeline::to_json(run));
}

void run(const Options& options, const Common& common) {
  StageEvents stages;
  std::optional<ListeningToProgress> listening;
  if (options.events && all_ranks().is_first()) listening.emplace(stages);
  if (options.dry_run) {
    if (all_ranks().is_first()) show_dry_run(options, common);
    return;
  }
  Teller teller(options, common);
  const pipeline::Quantized done = pipeline::quantize(options.request, teller, common.command);
  if (!all_ranks().is_first()) return;
  if (!done.report.empty()) teller.on_remark(done.report);
  print_json(common, pipeline::to_json(done, pipeline::method_of(options.request).name));
  print(common, "{}: {} in {:.1f} s, peak memory {}\n", done.written.path.string(), human_bytes(done.written.bytes),
        done.seconds, human_bytes(peak_resident_bytes()));
  if (const pipeline::MemoryBudget* memory = pipeline::two_memories(options.request.plan))
    print(common, "serve it: {}\n", pipeline::llama_server_command(*memory, done.written.path.string()));
}

std::function<void()> setup(CommandLine& line, const Common& common) {
  auto options = std::make_shared<Options>();
  visit(options->request, line);
  line.flag({.name = "--dry-run",
             .help = "Show the plan, exact bytes, time and memory; write nothing. Scores are made where the plan needs "
                     "them and --scores gives none"},
            options->dry_run);
  line.flag({.name = "--events", .help = "Tell what happens as lines of JSON on stderr (docs/files.md)"},
            options->events);
  declare_show_calibration(line, options->show_calibration);
  return [options, &common] { run(*options, common); };
}

}  // namespace

extern const Verb quantize_verb = {"quantize", "Make the best checkpoint that fits a budget",
                                   "  strata quantize MODEL -o OUT --bits 4.5\n"
                                   "  strata quantize MODEL -o OUT --size 90MiB --for transformers\n"
                                   "  strata quantize MODEL -o OUT --max-kl 0.05\n"
                                   "  strata quantize MODEL -o OUT --preset uniform:int4_g64\n"
                                   "  strata quantize MODEL -o OUT --fit 24GiB --ctx 8192 --for rtx4090\n"
                                   "  strata quantize MOE -o moe.gguf --fit 24GiB --fit-experts 96GiB --ctx 8192\n"
                                   "  strata quantize MODEL -o OUT --bits 4.5 --calib wiki.txt --method gptq\n"
                                   "  strata quantize MODEL -o model.gguf --like Q4_K_M    # for llama.cpp\n"
                                   "  strata quantize MODEL -o model.gguf --like theirs.gguf\n"
                                   "  strata quantize MODEL -o OUT --bits 4.5 --preset prior --dry-run\n"
                                   "A run that was stopped is resumed by the same command.\n",
                                   setup, RunBy::all_ranks};

}  // namespace strata::cli
