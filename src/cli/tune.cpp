// strata tune: learns the norms of a quantized checkpoint against its original and leaves everything else as it is.
// Any checkpoint that strata reads will do, whoever made it.
#include <chrono>
#include <memory>

#include "cli/options.h"
#include "core/cpu.h"
#include "core/file.h"
#include "core/seconds.h"
#include "core/units.h"
#include "pipeline/output/replace_vectors.h"
#include "pipeline/round/tune_norms.h"

namespace strata::cli {
namespace {

struct Options {
  std::string checkpoint, reference, output;
  std::size_t skip = 64;
  bool overwrite = false;
  bool show_calibration = false;
  importance::CalibrationRequest calibration{.defaults = {32, 512}};
  pipeline::NormOptions norms;
};

/// Makes a text that the checkpoint was not rounded with: a model that fits its calibration text has nothing to learn
/// from it.
importance::CalibrationSet text_of(const Options& options, const model::Model& original,
                                   const model::Tokenizer& tokenizer) {
  importance::CalibrationRequest request = options.calibration;
  engine::Engine engine(original, kernel::Precision::bf16);
  if (request.texts.empty()) {
    request.seed += 0x74756e65;  // any seed but the calibration's will do
    return make_calibration(engine, tokenizer, request);
  }
  request.samples = request.size().samples + options.skip;
  importance::CalibrationSet set = make_calibration(engine, tokenizer, request);
  if (set.sequences.size() < options.skip + 2)
    fail(
        "--calib: {} pieces of {} tokens, and the first {} are left out since the model may be rounded by them; give "
        "more text, or a smaller --skip",
        set.sequences.size(), request.size().seq_len, options.skip);
  set.sequences.erase(set.sequences.begin(), set.sequences.begin() + static_cast<std::ptrdiff_t>(options.skip));
  return set;
}

void run(const Options& options, const Common& common) {
  const auto begin = std::chrono::steady_clock::now();
  check_new_output(options.output, options.overwrite);
  const model::Model original = model::Model::open(options.reference);
  original.require_runnable();
  const model::Model checkpoint = model::Model::open(options.checkpoint);
  if (checkpoint.from_gguf() != options.output.ends_with(".gguf"))
    fail_usage("--output {}: a checkpoint stays what it is; its name {} end in .gguf", options.output,
               checkpoint.from_gguf() ? "must" : "must not");
  const auto tokenizer = model::Tokenizer::of(original);
  const importance::CalibrationSet set = text_of(options, original, tokenizer);
  if (options.show_calibration) show_calibration(set, tokenizer);
  const pipeline::TunedNorms tuned = pipeline::tune_norms(original, checkpoint, set, options.norms);
  const std::uint64_t bytes = pipeline::replace_vectors(checkpoint, tuned.weights, options.output, options.overwrite);
  const double seconds = seconds_since(begin);
  print_json(common, {{"output", options.output},
                      {"bytes", bytes},
                      {"norms", tuned.weights.size()},
                      {"steps", tuned.steps},
                      {"held_out_kl_before", tuned.start},
                      {"held_out_kl", tuned.best},
                      {"seconds", seconds},
                      {"peak_memory_bytes", peak_resident_bytes()}});
  print(common, "held-out KL divergence {:.5f} -> {:.5f} nats by {} norms in {} steps\n", tuned.start, tuned.best,
        tuned.weights.size(), tuned.steps);
  print(common, "{}: {} in {:.1f} s, peak memory {}\n", options.output, human_bytes(bytes), seconds,
        human_bytes(peak_resident_bytes()));
}

std::function<void()> setup(CommandLine& line, const Common& common) {
  auto options = std::make_shared<Options>();
  line.option({.name = "CHECKPOINT", .help = "Quantized folder or GGUF file", .required = true}, options->checkpoint);
  line.option({.name = "--ref", .help = "The original that it was made from", .required = true}, options->reference);
  line.option({.name = "--output",
               .help = "Folder to write, or a GGUF file, as CHECKPOINT is",
               .letter = "-o",
               .required = true},
              options->output);
  line.flag({.name = "--overwrite", .help = "Replace the output if it exists"}, options->overwrite);
  visit(options->norms, line);
  visit(options->calibration, line);
  line.option({.name = "--skip",
               .help = "Sequences at the beginning of --calib to leave out: those that gptq has rounded by",
               .example = "0"},
              options->skip);
  declare_show_calibration(line, options->show_calibration);
  return [options, &common] { run(*options, common); };
}

}  // namespace

extern const Verb tune_verb = {"tune", "Learn the norms of a checkpoint against its original",
                               "  strata tune OUT --ref MODEL -o TUNED\n"
                               "  strata tune model.gguf --ref MODEL -o tuned.gguf --calib wiki.txt --skip 64\n",
                               setup};

}  // namespace strata::cli
