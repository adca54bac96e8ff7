// strata convert: makes a Hugging Face folder in bf16 from a GGUF file or a quantized folder, or a dense GGUF file
// from a folder (or from another GGUF file). The tokenizer and the configuration are translated too.
#include <memory>

#include "cli/verb.h"
#include "core/units.h"
#include "hub/model_argument.h"
#include "model/model.h"
#include "pipeline/output/copies.h"
#include "pipeline/output/linear_encoder.h"
#include "pipeline/output/output.h"

namespace strata::cli {
namespace {

struct Options {
  std::string model, output;
  DType type = DType::bf16;
  std::uint64_t shard_bytes = 0;
  bool overwrite = false;
};

const char* name_of(DType type) { return type == DType::f16 ? "f16" : type == DType::f32 ? "f32" : "bf16"; }

void run(const Options& options, const Common& common) {
  const bool gguf = options.output.ends_with(".gguf");
  const pipeline::Target& target = pipeline::target_by_name(gguf ? "llama.cpp" : "transformers");
  const model::Model model = model::Model::open(options.model, target.fusion());
  pipeline::refuse_source(model, options.output);
  if (!gguf && options.type != DType::bf16)
    fail_usage("--type: a folder is written in bf16; end --output in .gguf for other types");
  const pipeline::Codecs keeps(model.architecture().linears.size(), &codec::by_name("keep"));
  const auto output = pipeline::plan_output(model, keeps, target, options.shard_bytes, options.type);
  if (const std::string note = pipeline::carried_note(model, target); !note.empty()) remark("{}\n", note);
  pipeline::LinearEncoder encoder(model, keeps);
  output->write_whole(encoder, options.output, options.overwrite);
  if (options.overwrite) pipeline::remove_replaced(options.output, target, output->names(options.output), model);
  const std::uint64_t bytes = output->bytes();
  print_json(common, {{"output", options.output}, {"bytes", bytes}, {"type", name_of(options.type)}});
  print(common, "{}: {} in {}\n", options.output, human_bytes(bytes), name_of(options.type));
}

std::function<void()> setup(CommandLine& line, const Common& common) {
  auto options = std::make_shared<Options>();
  line.option({.name = "MODEL", .help = hub::kModelArgument, .required = true}, options->model);
  line.option({.name = "--output",
               .help = "Folder to write, or a file whose name ends in .gguf",
               .letter = "-o",
               .required = true},
              options->output);
  line.choice({.name = "--type", .help = "Type of the matrices in a GGUF file"}, options->type,
              {{"bf16", DType::bf16}, {"f16", DType::f16}, {"f32", DType::f32}});
  line.bytes({.name = "--shard-size", .help = "Largest weight file (default: one file)", .example = "5GB"},
             options->shard_bytes);
  line.flag({.name = "--overwrite", .help = "Replace the output if it exists"}, options->overwrite);
  return [options, &common] { run(*options, common); };
}

}  // namespace

extern const Verb convert_verb = {"convert", "Turn a GGUF file into a Hugging Face folder, or a model into a GGUF file",
                                  "  strata convert model.gguf -o model\n"
                                  "  strata convert MODEL -o model-bf16.gguf\n"
                                  "  strata convert MODEL -o model-f16.gguf --type f16\n",
                                  setup};

}  // namespace strata::cli
