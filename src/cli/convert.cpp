// strata convert: a GGUF file as a Hugging Face folder in bf16.
// The tokenizer and the configuration are made from the file's own metadata.
#include <memory>

#include "cli/verb.h"
#include "core/file.h"
#include "model/model.h"
#include "pipeline/checkpoint.h"

namespace strata::cli {
namespace {

struct Options {
  std::string model, output, shard_size;
  bool overwrite = false;
};

std::function<void()> setup(CLI::App& app, const Common& common) {
  auto options = std::make_shared<Options>();
  app.add_option("MODEL", options->model, "GGUF file (or a dense Hugging Face folder, to rewrite it in bf16)")
      ->required();
  app.add_option("-o,--output", options->output, "Folder to write")->required();
  app.add_option("--shard-size", options->shard_size, "Largest weight file, such as 5GB (default: one file)");
  app.add_flag("--overwrite", options->overwrite, "Replace the folder if it exists");
  return [options, &common] {
    const std::uint64_t shard =
        options->shard_size.empty() ? 0 : pipeline::parse_size(options->shard_size, "--shard-size");
    const model::Model model = model::Model::open(options->model);
    if (model.quantized())
      fail("{}: is a quantized checkpoint; convert takes GGUF files and dense models", options->model);
    const std::uint64_t bytes = pipeline::write_dense(model, options->output, shard, options->overwrite);
    print_json(common, {{"output", options->output}, {"bytes", bytes}});
    print(common, "{}: {} in bf16\n", options->output, human_bytes(bytes));
  };
}

}  // namespace

extern const Verb convert_verb = {"convert", "Turn a GGUF file into a Hugging Face folder in bf16",
                                  "  strata convert model.gguf -o model\n", setup};

}  // namespace strata::cli
