// strata tune: the norms of a quantized checkpoint learned against the original, everything else left as it is.
// Any checkpoint that strata reads will do, whoever made it.
#include <chrono>
#include <memory>

#include "cli/options.h"
#include "core/cpu.h"
#include "core/file.h"
#include "pipeline/output/replace_vectors.h"
#include "pipeline/round/tune_norms.h"

namespace strata::cli {
namespace {

struct Options {
  std::string checkpoint, reference, output;
  std::size_t skip = 64;
  bool overwrite = false;
  CalibrationOptions calibration{{}, 32, 512};
  pipeline::NormOptions norms;
};

/// Text that the checkpoint was not rounded by: a model that fits its calibration text learns nothing from it.
importance::CalibrationSet text_of(const Options& options, const model::Model& original,
                                   const model::Tokenizer& tokenizer, const Common& common) {
  importance::CalibrationRequest request = request_of(options.calibration, common);
  engine::Engine engine(original, kernel::Precision::bf16);
  if (request.files.empty()) {
    request.seed += 0x74756e65;  // any other seed than the calibration's
    return importance::make_calibration(engine, tokenizer, request);
  }
  request.samples += options.skip;
  importance::CalibrationSet set = importance::make_calibration(engine, tokenizer, request);
  if (set.sequences.size() < options.skip + 2)
    fail(
        "--calib: {} pieces of {} tokens, and the first {} are left out since the model may be rounded by them; give "
        "more text, or a smaller --skip",
        set.sequences.size(), options.calibration.seq_len, options.skip);
  set.sequences.erase(set.sequences.begin(), set.sequences.begin() + static_cast<std::ptrdiff_t>(options.skip));
  return set;
}

void run(const Options& options, const Common& common) {
  const auto begin = std::chrono::steady_clock::now();
  part_folder(options.output, options.overwrite);
  const model::Model original = model::Model::open(options.reference);
  const model::Model checkpoint = model::Model::open(options.checkpoint);
  if (checkpoint.from_gguf() != options.output.ends_with(".gguf"))
    fail_usage("--output {}: a checkpoint stays what it is; its name {} end in .gguf", options.output,
               checkpoint.from_gguf() ? "must" : "must not");
  const auto tokenizer = model::Tokenizer::from_files(model::tokenizer_files(original), options.reference);
  const importance::CalibrationSet set = text_of(options, original, tokenizer, common);
  if (options.calibration.show) show_calibration(set, tokenizer);
  const pipeline::TunedNorms tuned = pipeline::tune_norms(original, checkpoint, set, options.norms);
  const std::uint64_t bytes = pipeline::replace_vectors(checkpoint, tuned.weights, options.output, options.overwrite);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
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

std::function<void()> setup(CLI::App& app, const Common& common) {
  auto options = std::make_shared<Options>();
  app.add_option("CHECKPOINT", options->checkpoint, "Quantized folder or GGUF file")->required();
  app.add_option("--ref", options->reference, "The original that it was made from")->required();
  app.add_option("-o,--output", options->output, "Folder to write, or a GGUF file, as CHECKPOINT is")->required();
  add_options(app, options->calibration);
  app.add_option("--skip", options->skip,
                 "Leave out so many sequences at the beginning of --calib: those that gptq has rounded by")
      ->capture_default_str();
  app.add_option("--rate", options->norms.rate, "Relative size of a step")
      ->capture_default_str()
      ->check(CLI::Range(1e-6, 0.1));
  app.add_option("--rounds", options->norms.rounds, "Rounds over the text")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  app.add_flag("--overwrite", options->overwrite, "Replace the output if it exists");
  return [options, &common] { run(*options, common); };
}

}  // namespace

extern const Verb tune_verb = {"tune", "Learn the norms of a checkpoint against its original",
                               "  strata tune OUT --ref MODEL -o TUNED\n"
                               "  strata tune model.gguf --ref MODEL -o tuned.gguf --calib wiki.txt --skip 64\n",
                               setup};

}  // namespace strata::cli
