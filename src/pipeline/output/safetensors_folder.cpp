// Layout first, then bytes in exactly that layout.
// A linear is encoded when its first tensor is due.
#include "pipeline/output/safetensors_folder.h"

#include <algorithm>
#include <map>

#include "core/file.h"
#include "model/carried.h"
#include "model/unknown.h"
#include "pipeline/output/card_file.h"
#include "pipeline/output/copies.h"
#include "pipeline/output/dense_rows.h"
#include "pipeline/output/linear_encoder.h"
#include "pipeline/output/module_targets.h"
#include "pipeline/output/stacked_experts.h"

namespace strata::pipeline {
std::shared_ptr<const SafetensorsFolder::Carried> SafetensorsFolder::carried_of(const model::Model& model) {
  model::check_copies(model);
  auto carried = std::make_shared<Carried>();
  carried->files = model.companions();
  for (const model::CarriedPart& part : model::carried_parts(model)) carried->patterns.push_back(part.pattern);
  carried->blocks_ahead = model::carries_blocks_ahead(model);
  return carried;
}

json SafetensorsFolder::config_of() const {
  json config = model_.config();
  if (!carried_->blocks_ahead) model::announce_no_blocks_ahead(config);
  const char* dtype_key = config.contains("dtype") ? "dtype" : "torch_dtype";
  config[dtype_key] = "bfloat16";
  if (!quantized_) return config;
  std::vector<std::string> ignored = never_quantized(model_);
  ignored.insert(ignored.end(), carried_->patterns.begin(), carried_->patterns.end());
  config["quantization_config"] = format::quantization_config(module_targets(model_, codecs_), ignored, activations_);
  return config;
}

SafetensorsFolder::SafetensorsFolder(const model::Model& model, Codecs codecs, format::Activations activations,
                                     std::uint64_t shard_bytes)
    : SafetensorsFolder(model, std::move(codecs), activations, shard_bytes, carried_of(model)) {}

SafetensorsFolder::SafetensorsFolder(const model::Model& model, Codecs codecs, format::Activations activations,
                                     std::uint64_t shard_bytes, std::shared_ptr<const Carried> carried)
    : model_(model),
      codecs_(std::move(codecs)),
      activations_(activations),
      shard_bytes_(shard_bytes),
      spots_(model.architecture().linears.size()),
      quantized_(std::ranges::any_of(codecs_, [](const codec::Codec* codec) { return codec->has_codes(); })),
      carried_(std::move(carried)) {
  STRATA_CHECK(codecs_.size() == spots_.size(), "{} codecs for {} linears", codecs_.size(), spots_.size());
  if (stacks_experts(model_, codecs_)) stacks_ = model_.stacks();
  std::vector<Origin> origins;
  std::vector<std::vector<format::TensorSpec>> shards = format::cut_shards(list_tensors(origins), shard_bytes);
  own_texts_.emplace_back("config.json", config_of().dump(2) + "\n");
  if (shards.size() > 1) own_texts_.emplace_back("model.safetensors.index.json", format::shard_index(shards));
  if (quantized_) own_texts_.emplace_back(kCardName, unfinished_card());
  auto next = origins.cbegin();
  for (std::vector<format::TensorSpec>& tensors : shards) {
    const auto begin = next;
    next += static_cast<std::ptrdiff_t>(tensors.size());
    add_shard(std::move(tensors), {begin, next});
  }
}

/// All tensors in the order that they are written; where they come from goes to `origins`.
std::vector<format::TensorSpec> SafetensorsFolder::list_tensors(std::vector<Origin>& origins) const {
  const model::Architecture& a = model_.architecture();
  std::map<std::string, std::size_t> linears;
  for (std::size_t l = 0; l < a.linears.size(); ++l) linears[a.linears[l].module + ".weight"] = l;
  std::map<std::string, std::size_t> stacks;  // by the tensors that lie in them
  for (std::size_t s = 0; s < stacks_.size(); ++s)
    for (const std::string& part : stacks_[s].parts) stacks[part] = s;
  std::vector<format::TensorSpec> specs;
  std::map<std::string, std::string> types;  // of the model's tensors, which few models are asked for
  for (const model::ExpectedTensor& expected : model::expected_tensors(a)) {
    if (expected.as_is) {
      if (types.empty())
        for (const model::TensorInfo& tensor : model_.tensors()) types[tensor.name] = tensor.type;
      const std::optional<DType> dtype = dtype_from_name(types[expected.name]);
      if (!dtype) fail("{}: {} is {}", model_.path().string(), expected.name, types[expected.name]);
      specs.push_back({expected.name, *dtype, expected.shape});
      origins.emplace_back();
      continue;
    }
    if (const auto in = stacks.find(expected.name); in != stacks.end()) {
      const model::Stack& stack = stacks_[in->second];
      if (expected.name != stack.parts.front()) continue;
      specs.push_back({stack.name, expected.written, stack.shape});
      origins.push_back({.stack = in->second});
      continue;
    }
    const auto it = linears.find(expected.name);
    if (it == linears.end()) {
      specs.push_back({expected.name, expected.written, expected.shape});
      origins.emplace_back();
      continue;
    }
    const model::Linear& linear = a.linears[it->second];
    const codec::Codec& codec = *codecs_[it->second];
    std::size_t part = 0;
    for (const codec::PartSpec& spec : codec.layout(codec, linear.rows, linear.cols)) {
      specs.push_back({linear.module + "." + spec.suffix, spec.dtype, spec.shape});
      origins.push_back({.linear = it->second, .part = part++});
    }
  }
  for (const model::TensorInfo& tensor : model_.carried()) {
    const std::optional<DType> dtype = dtype_from_name(tensor.type);
    if (!dtype)
      fail("{}: {} is {}, which a folder cannot hold as it is", model_.path().string(), tensor.name, tensor.type);
    specs.push_back({tensor.name, *dtype, tensor.shape});
    origins.push_back({.carried = true});
  }
  return specs;
}

void SafetensorsFolder::add_shard(std::vector<format::TensorSpec> tensors, std::vector<Origin> origins) {
  PartLayout layout;
  layout.header = format::safetensors_header(tensors);
  layout.bytes = layout.header.size();
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    const std::optional<std::size_t> linear = origins[t].linear;
    std::size_t block = linear ? model_.architecture().linears[*linear].block : model::kNoBlock;
    if (origins[t].stack) block = stacks_[*origins[t].stack].block;
    layout.tensors.push_back({tensors[t].name, layout.bytes, tensors[t].bytes(), block});
    layout.bytes += layout.tensors.back().bytes;
    if (linear) spots_[*linear].push_back({shards_.size(), t});
  }
  shards_.push_back({std::move(tensors), std::move(origins), std::move(layout)});
}

std::uint64_t SafetensorsFolder::bytes() const {
  std::uint64_t sum = 0;
  for (const Shard& shard : shards_) sum += shard.layout.bytes;
  for (const auto& [name, text] : own_texts_) sum += text.size();
  for (const model::Companion& companion : carried_->files) sum += companion.bytes;
  return sum;
}

std::string SafetensorsFolder::name_of(const model::Companion& companion) const {
  return std::string(quantized_ && companion.name == kCardName ? kSourceCardName : companion.name);
}

std::unique_ptr<Output> SafetensorsFolder::with(Codecs codecs) const {
  return std::unique_ptr<Output>(
      new SafetensorsFolder(model_, std::move(codecs), activations_, shard_bytes_, carried_));
}

std::vector<Place> SafetensorsFolder::places(std::size_t linear, const std::filesystem::path& path) const {
  std::vector<Place> places;
  for (const Spot& spot : spots_[linear])
    places.push_back(
        {path / shard_name(spot.shard), spot.tensor, shards_[spot.shard].layout.tensors[spot.tensor].offset});
  return places;
}

codec::Stored SafetensorsFolder::read(std::size_t linear, const std::filesystem::path& path) const {
  const model::Linear& shape = model_.architecture().linears[linear];
  codec::Stored stored = codec::allocate(*codecs_[linear], shape.rows, shape.cols);
  const std::vector<Place> parts = places(linear, path);
  for (std::size_t i = 0; i < parts.size(); ++i) read_stored(parts[i], stored.parts[i]);
  return stored;
}

void SafetensorsFolder::write(LinearEncoder& encoder, const std::filesystem::path& path, StoredParts& parts) const {
  std::error_code code;
  std::filesystem::create_directory(path, code);
  if (code) fail("{}: cannot be created: {}", path.string(), code.message());
  write_files(encoder, path, &parts);
}

void SafetensorsFolder::write_whole(LinearEncoder& encoder, const std::filesystem::path& path, bool overwrite) const {
  OutputDirectory folder(path, overwrite);
  write_files(encoder, folder.path(), nullptr);
  folder.commit();
}

void SafetensorsFolder::write_files(LinearEncoder& encoder, const std::filesystem::path& folder,
                                    StoredParts* parts) const {
  std::vector<PartFile> files;
  for (std::size_t s = 0; s < shards_.size(); ++s) files.push_back({folder / shard_name(s), &shards_[s].layout});
  write_parts(files, {parts, Commit::each, encoder.rounds()}, [&](std::size_t s, std::size_t tensor, PartWriter& to) {
    write_tensor(shards_[s], tensor, encoder, to);
  });
  std::uint64_t written = 0;
  for (const PartFile& file : files) written += std::filesystem::file_size(file.path);
  for (const auto& [name, text] : own_texts_) {
    write_text_file(folder / name, text);
    written += text.size();
  }
  for (const model::Companion& companion : carried_->files) {
    copy_companion(companion, folder / name_of(companion));
    written += companion.bytes;
  }
  STRATA_CHECK(written == bytes(), "wrote {} bytes, planned {}", written, bytes());
}

void SafetensorsFolder::write_tensor(const Shard& shard, std::size_t tensor, LinearEncoder& encoder,
                                     PartWriter& writer) const {
  const format::TensorSpec& spec = shard.tensors[tensor];
  const Origin& origin = shard.origins[tensor];
  const TakeBytes post = [&](std::vector<std::byte> bytes) { writer.post(std::move(bytes)); };
  if (origin.carried) {
    copy_tensor(model_, spec.name, writer);
  } else if (origin.linear && codecs_[*origin.linear]->has_codes()) {
    const auto stored = encoder.linear(*origin.linear);
    const std::span<const std::byte> bytes = stored->views[origin.part];
    writer.post(bytes.size(), [stored, bytes](OutputFile& file) { file.write(bytes); });
  } else if (origin.stack) {
    dense_stack(model_, stacks_[*origin.stack], spec.dtype, post);
  } else if (spec.shape.size() != 2) {
    const std::uint64_t count = spec.bytes() / dtype_bytes(spec.dtype);
    dense_vector(model_, spec.name, model_.vector(spec.name, count), spec.dtype, post);
  } else {
    dense_matrix(model_, spec.name, spec.shape[0], spec.shape[1], spec.dtype, {}, post);
  }
}

}  // namespace strata::pipeline
