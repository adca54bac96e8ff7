// A module is a linear, or the experts of a block that have one role.
// Tensors of parts that are not run are left out: mlx_lm refuses tensors that it has no parameter for.
#include "pipeline/output/mlx_folder.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include "format/mlx.h"
#include "model/carried.h"
#include "model/mlx/families.h"
#include "model/tensors.h"

namespace strata::pipeline {
namespace {

/// A module's name and its linears.
struct Module {
  std::string name;
  std::vector<std::size_t> linears;
};

std::vector<Module> modules_of(const model::Architecture& a) {
  std::vector<Module> modules;
  for (std::size_t l = 0; l < a.linears.size(); ++l)
    if (!a.linears[l].routed()) modules.push_back({a.linears[l].module, {l}});
  for (std::size_t b = 0; b < a.blocks; ++b)
    if (a.layout[b].mixture)
      for (model::MlxStack& stack : model::mlx_stacks(a, b))
        modules.push_back({std::move(stack.module), std::move(stack.linears)});
  return modules;
}

}  // namespace

MlxFolder::MlxFolder(const model::Model& model, Codecs codecs, std::uint64_t shard_bytes)
    : MlxFolder(model, std::move(codecs), shard_bytes,
                std::make_shared<const std::vector<model::Companion>>(model.companions())) {}

MlxFolder::MlxFolder(const model::Model& model, Codecs codecs, std::uint64_t shard_bytes, Files files)
    : ShardedFolder(model, std::move(codecs), shard_bytes, std::move(files)) {
  const model::Architecture& a = model.architecture();
  if (const std::string why = model::why_not_mlx(a); !why.empty())
    fail("{}: cannot be written for mlx: {}", model.path().string(), why);
  lay_out(list_tensors(), config_of());
}

std::unique_ptr<Output> MlxFolder::with(Codecs codecs) const {
  return std::unique_ptr<Output>(new MlxFolder(model(), std::move(codecs), shard_bytes(), files()));
}

json MlxFolder::config_of() const {
  json config = model().config();
  model::announce_no_blocks_ahead(config);
  model::say_rope_for_mlx(config);
  config[config.contains("dtype") ? "dtype" : "torch_dtype"] = "bfloat16";
  std::vector<format::ModuleCodec> modules;
  for (const Module& module : modules_of(model().architecture()))
    modules.push_back({module.name, codecs()[module.linears.front()]});
  const json quantization = format::mlx_quantization(modules);
  if (quantization.is_null()) return config;
  config["quantization"] = quantization;
  config["quantization_config"] = quantization;  // where the Hugging Face Hub looks for it
  return config;
}

/// All tensors in the order that they are written: a module's stand where its first linear is expected.
std::vector<ShardedFolder::Tensor> MlxFolder::list_tensors() const {
  const model::Architecture& a = model().architecture();
  std::map<std::string, Module> modules;  // by the weight of their first linear
  std::set<std::string> others;           // weights of the other linears
  for (Module& module : modules_of(a)) {
    for (std::size_t i = 1; i < module.linears.size(); ++i)
      others.insert(a.linears[module.linears[i]].module + ".weight");
    const std::string first = a.linears[module.linears.front()].module + ".weight";
    modules.emplace(first, std::move(module));
  }
  std::vector<Tensor> tensors;
  for (const model::ExpectedTensor& expected : model::expected_tensors(a)) {
    if (others.contains(expected.name)) continue;
    const auto it = modules.find(expected.name);
    if (it == modules.end()) {
      tensors.push_back({{expected.name, expected.written, expected.shape}});
      continue;
    }
    const Module& module = it->second;
    const bool stacked = a.linears[module.linears.front()].routed();
    std::ranges::move(tensors_of(module.name, module.linears, stacked ? module.linears.size() : 0),
                      std::back_inserter(tensors));
  }
  return tensors;
}

}  // namespace strata::pipeline
