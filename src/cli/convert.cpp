// strata convert: a GGUF file as a Hugging Face folder in bf16, or a folder (or another GGUF file) as a dense GGUF
// file. The tokenizer and the configuration are translated too.
#include <memory>

#include "cli/verb.h"
#include "core/file.h"
#include "model/model.h"
#include "pipeline/output/checkpoint.h"
#include "pipeline/output/linear_encoder.h"
#include "pipeline/output/output.h"

namespace strata::cli {
namespace {

struct Options {
  std::string model, output, shard_size, type;
  bool overwrite = false;
};

DType type_of(const std::string& name) { return name == "f16" ? DType::f16 : name == "f32" ? DType::f32 : DType::bf16; }

void run(const Options& options, const Common& common) {
  const bool gguf = options.output.ends_with(".gguf");
  const model::Model model = model::Model::open(options.model);
  if (model.quantized())
    fail("{}: is a quantized checkpoint; convert takes GGUF files and dense models", options.model);
  const std::string type = options.type.empty() ? "bf16" : options.type;
  if (!gguf && type != "bf16")
    fail_usage("--type {}: a folder is written in bf16; end --output in .gguf for other types", type);
  const std::uint64_t shard = options.shard_size.empty() ? 0 : pipeline::parse_size(options.shard_size, "--shard-size");
  const pipeline::Codecs keeps(model.architecture().linears.size(), &codec::by_name("keep"));
  const pipeline::Target& target = pipeline::target_by_name(gguf ? "llama.cpp" : "transformers");
  const auto output = pipeline::plan_output(model, keeps, target, shard, type_of(type));
  pipeline::LinearEncoder encoder(model, keeps);
  output->write_whole(encoder, options.output, options.overwrite);
  const std::uint64_t bytes = output->bytes();
  print_json(common, {{"output", options.output}, {"bytes", bytes}, {"type", type}});
  print(common, "{}: {} in {}\n", options.output, human_bytes(bytes), type);
}

std::function<void()> setup(CLI::App& app, const Common& common) {
  auto options = std::make_shared<Options>();
  app.add_option("MODEL", options->model, "GGUF file or dense Hugging Face folder")->required();
  app.add_option("-o,--output", options->output, "Folder to write, or a file whose name ends in .gguf")->required();
  app.add_option("--type", options->type, "Type of the matrices in a GGUF file: bf16 (default), f16, f32")
      ->check(CLI::IsMember({"bf16", "f16", "f32"}));
  app.add_option("--shard-size", options->shard_size, "Largest weight file, such as 5GB (default: one file)");
  app.add_flag("--overwrite", options->overwrite, "Replace the output if it exists");
  return [options, &common] { run(*options, common); };
}

}  // namespace

extern const Verb convert_verb = {"convert", "Turn a GGUF file into a Hugging Face folder, or a model into a GGUF file",
                                  "  strata convert model.gguf -o model\n"
                                  "  strata convert MODEL -o model-bf16.gguf\n"
                                  "  strata convert MODEL -o model-f16.gguf --type f16\n",
                                  setup};

}  // namespace strata::cli
