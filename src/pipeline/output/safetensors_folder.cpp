// The tensors of Hugging Face's form, and what config.json says of them.
// Sizes, shards and writing are those of every folder of safetensors.
#include "pipeline/output/safetensors_folder.h"

#include <algorithm>
#include <iterator>
#include <map>

#include "model/carried.h"
#include "model/unknown.h"
#include "pipeline/output/module_targets.h"
#include "pipeline/output/stacked_experts.h"

namespace strata::pipeline {

std::shared_ptr<const SafetensorsFolder::Carried> SafetensorsFolder::carried_of(const model::Model& model) {
  model::check_copies(model);
  auto carried = std::make_shared<Carried>();
  carried->files = std::make_shared<const std::vector<model::Companion>>(model.companions());
  for (const model::CarriedPart& part : model::carried_parts(model)) carried->patterns.push_back(part.pattern);
  carried->blocks_ahead = model::carries_blocks_ahead(model);
  return carried;
}

namespace {

/// Readers that believe config.json would tie the head to the embedding.
void untie(json& config) {
  config["tie_word_embeddings"] = false;
  if (const auto text = config.find("text_config"); text != config.end() && text->is_object())
    (*text)["tie_word_embeddings"] = false;
}

}  // namespace

json SafetensorsFolder::config_of() const {
  json config = model().config();
  if (head_is_apart(model().architecture(), codecs())) untie(config);
  if (!carried_->blocks_ahead) model::announce_no_blocks_ahead(config);
  const char* dtype_key = config.contains("dtype") ? "dtype" : "torch_dtype";
  config[dtype_key] = "bfloat16";
  if (!quantized()) return config;
  std::vector<std::string> ignored = never_quantized(model(), codecs());
  ignored.insert(ignored.end(), carried_->patterns.begin(), carried_->patterns.end());
  json& written = config["quantization_config"];
  written = format::quantization_config(module_targets(model(), codecs()), ignored, activations_);
  if (!scales_.cache.empty()) written["kv_cache_scheme"] = format::fp8_cache_scheme();
  return config;
}

SafetensorsFolder::SafetensorsFolder(const model::Model& model, Codecs codecs, format::Activations activations,
                                     std::uint64_t shard_bytes, MeasuredScales scales)
    : SafetensorsFolder(model, std::move(codecs), activations, shard_bytes, std::move(scales), carried_of(model)) {}

SafetensorsFolder::SafetensorsFolder(const model::Model& model, Codecs codecs, format::Activations activations,
                                     std::uint64_t shard_bytes, MeasuredScales scales,
                                     std::shared_ptr<const Carried> carried)
    : ShardedFolder(model, std::move(codecs), shard_bytes, carried->files),
      activations_(activations),
      scales_(std::move(scales)),
      carried_(std::move(carried)) {
  if (stacks_experts(model, this->codecs())) stacks_ = model.stacks();
  const model::Architecture& a = model.architecture();
  for (std::size_t l = 0; l < (a.turned_linears ? a.linears.size() : 0); ++l)
    if (a.linears[l].block != model::kNoBlock && !this->codecs()[l]->has_codes())
      stacks_.push_back(model::turned_linear(a.linears[l]));
  lay_out(list_tensors(), config_of());
}

std::unique_ptr<Output> SafetensorsFolder::with(Codecs codecs) const {
  return std::unique_ptr<Output>(
      new SafetensorsFolder(model(), std::move(codecs), activations_, shard_bytes(), scales_, carried_));
}

void SafetensorsFolder::write_stack(std::size_t stack, DType dtype, const TakeBytes& take) const {
  dense_stack(model(), stacks_[stack], dtype, take);
}

void SafetensorsFolder::list_scales(std::vector<Tensor>& tensors) const {
  const model::Architecture& a = model().architecture();
  for (std::size_t b = 0; quantized() && b < scales_.cache.size(); ++b) {
    if (!scales_.cache[b].rounds()) continue;
    const model::CacheScaleNames names = model::cache_scale_names(a, b);
    tensors.push_back({{names.k, DType::f32, {1}}, {.number = scales_.cache[b].k}});
    tensors.push_back({{names.v, DType::f32, {1}}, {.number = scales_.cache[b].v}});
  }
  for (std::size_t l = 0; l < a.linears.size(); ++l) {
    if (!codecs()[l]->has_input_scale()) continue;
    const std::string_view suffix = format::input_scale_name(codecs()[l]->activations);
    const float scale = scales_.inputs.empty() ? 1.0f : scales_.inputs[l];
    tensors.push_back({{fmt::format("{}.{}", a.linears[l].module, suffix), DType::f32, {1}}, {.number = scale}});
  }
}

/// All tensors in the order that they are written.
std::vector<ShardedFolder::Tensor> SafetensorsFolder::list_tensors() const {
  const model::Architecture& a = model().architecture();
  std::map<std::string, std::size_t> linears;
  for (std::size_t l = 0; l < a.linears.size(); ++l) linears[a.linears[l].module + ".weight"] = l;
  std::map<std::string, std::size_t> stacks;  // by the tensors that lie in them
  for (std::size_t s = 0; s < stacks_.size(); ++s)
    for (const std::string& part : stacks_[s].parts) stacks[part] = s;
  std::vector<Tensor> tensors;
  std::map<std::string, std::string> types;  // of the model's tensors, which few models are asked for
  for (const model::ExpectedTensor& expected : model::expected_tensors(a)) {
    if (expected.as_is) {
      if (types.empty())
        for (const model::TensorInfo& tensor : model().tensors()) types[tensor.name] = tensor.type;
      const std::optional<DType> dtype = dtype_from_name(types[expected.name]);
      if (!dtype) fail("{}: {} is {}", model().path().string(), expected.name, types[expected.name]);
      tensors.push_back({{expected.name, *dtype, expected.shape}});
      continue;
    }
    if (const auto in = stacks.find(expected.name); in != stacks.end()) {
      const model::Stack& stack = stacks_[in->second];
      if (expected.name != stack.parts.front()) continue;
      tensors.push_back({{stack.name, expected.written, stack.shape}, {.stack = in->second}, stack.block});
      continue;
    }
    const auto it = linears.find(expected.name);
    if (it == linears.end()) {
      tensors.push_back({{expected.name, expected.written, expected.shape}});
      continue;
    }
    std::ranges::move(tensors_of(a.linears[it->second].module, {it->second}, 0), std::back_inserter(tensors));
    if (it->second == a.embedding() && head_is_apart(a, codecs()))
      std::ranges::move(tensors_of(a.names.linear(model::Role::lm_head), {it->second}, 0), std::back_inserter(tensors));
  }
  list_scales(tensors);
  for (const model::TensorInfo& tensor : model().carried()) {
    const std::optional<DType> dtype = dtype_from_name(tensor.type);
    if (!dtype)
      fail("{}: {} is {}, which a folder cannot hold as it is", model().path().string(), tensor.name, tensor.type);
    tensors.push_back({{tensor.name, *dtype, tensor.shape}, {.carried = true}});
  }
  return tensors;
}

}  // namespace strata::pipeline
