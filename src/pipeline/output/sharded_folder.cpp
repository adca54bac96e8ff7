// Layout first, then bytes in exactly that layout.
// A linear is encoded when its first tensor is due.
#include "pipeline/output/sharded_folder.h"

#include <algorithm>

#include "core/file.h"
#include "pipeline/output/card_file.h"
#include "pipeline/output/copies.h"
#include "pipeline/output/linear_encoder.h"

namespace strata::pipeline {

ShardedFolder::ShardedFolder(const model::Model& model, Codecs codecs, std::uint64_t shard_bytes, Files files)
    : model_(model),
      codecs_(std::move(codecs)),
      shard_bytes_(shard_bytes),
      files_(std::move(files)),
      quantized_(std::ranges::any_of(codecs_, [](const codec::Codec* codec) { return codec->has_codes(); })),
      spots_(model.architecture().linears.size()) {
  STRATA_CHECK(codecs_.size() == spots_.size(), "{} codecs for {} linears", codecs_.size(), spots_.size());
}

std::vector<ShardedFolder::Tensor> ShardedFolder::tensors_of(const std::string& module,
                                                             const std::vector<std::size_t>& linears,
                                                             std::size_t planes) const {
  const model::Linear& linear = model_.architecture().linears[linears.front()];
  const codec::Codec& codec = *codecs_[linears.front()];
  std::vector<Tensor> tensors;
  for (codec::PartSpec& spec : codec.layout(codec, linear.rows, linear.cols)) {
    if (planes != 0) spec.shape.insert(spec.shape.begin(), planes);
    tensors.push_back({{module + "." + spec.suffix, spec.dtype, std::move(spec.shape)},
                       {.linears = linears, .part = tensors.size()},
                       linear.block});
  }
  return tensors;
}

void ShardedFolder::lay_out(std::vector<Tensor> tensors, const json& config) {
  std::vector<format::TensorSpec> specs;
  for (const Tensor& tensor : tensors) specs.push_back(tensor.spec);
  const std::vector<std::vector<format::TensorSpec>> shards = format::cut_shards(std::move(specs), shard_bytes_);
  own_texts_.emplace_back("config.json", config.dump(2) + "\n");
  if (shards.size() > 1) own_texts_.emplace_back("model.safetensors.index.json", format::shard_index(shards));
  if (quantized_) own_texts_.emplace_back(kCardName, unfinished_card());
  auto next = std::make_move_iterator(tensors.begin());
  for (const std::vector<format::TensorSpec>& shard : shards) {
    const auto begin = next;
    next += static_cast<std::ptrdiff_t>(shard.size());
    add_shard({begin, next});
  }
}

void ShardedFolder::add_shard(std::vector<Tensor> tensors) {
  PartLayout layout;
  std::vector<format::TensorSpec> specs;
  for (const Tensor& tensor : tensors) specs.push_back(tensor.spec);
  layout.header = format::safetensors_header(specs);
  layout.bytes = layout.header.size();
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    layout.tensors.push_back({specs[t].name, layout.bytes, specs[t].bytes(), tensors[t].block});
    layout.bytes += layout.tensors.back().bytes;
    const std::vector<std::size_t>& linears = tensors[t].origin.linears;
    for (std::size_t i = 0; i < linears.size(); ++i) spots_[linears[i]].push_back({shards_.size(), t, i});
  }
  shards_.push_back({std::move(tensors), std::move(layout)});
}

std::uint64_t ShardedFolder::bytes() const {
  std::uint64_t sum = 0;
  for (const Shard& shard : shards_) sum += shard.layout.bytes;
  for (const auto& [name, text] : own_texts_) sum += text.size();
  for (const model::Companion& companion : *files_) sum += companion.bytes;
  return sum;
}

std::string ShardedFolder::name_of(const model::Companion& companion) const {
  return std::string(quantized_ && companion.name == kCardName ? kSourceCardName : companion.name);
}

std::vector<Place> ShardedFolder::places(std::size_t linear, const std::filesystem::path& path) const {
  std::vector<Place> places;
  for (const Spot& spot : spots_[linear]) {
    const Shard& shard = shards_[spot.shard];
    const PartTensor& tensor = shard.layout.tensors[spot.tensor];
    const std::uint64_t bytes = tensor.bytes / shard.tensors[spot.tensor].origin.linears.size();
    places.push_back({path / shard_name(spot.shard), spot.tensor, tensor.offset + spot.within * bytes});
  }
  return places;
}

codec::Stored ShardedFolder::read(std::size_t linear, const std::filesystem::path& path) const {
  const model::Linear& shape = model_.architecture().linears[linear];
  codec::Stored stored = codec::allocate(*codecs_[linear], shape.rows, shape.cols);
  const std::vector<Place> parts = places(linear, path);
  // A head that is the embedding is behind it, the same once more.
  for (std::size_t i = 0; i < stored.parts.size(); ++i) read_stored(parts[i], stored.parts[i]);
  return stored;
}

void ShardedFolder::write(LinearEncoder& encoder, const std::filesystem::path& path, StoredParts& parts) const {
  std::error_code code;
  std::filesystem::create_directory(path, code);
  if (code) fail("{}: cannot be created: {}", path.string(), code.message());
  write_files(encoder, path, &parts);
}

void ShardedFolder::write_whole(LinearEncoder& encoder, const std::filesystem::path& path, bool overwrite) const {
  OutputDirectory folder(path, overwrite);
  write_files(encoder, folder.path(), nullptr);
  folder.commit();
}

void ShardedFolder::write_files(LinearEncoder& encoder, const std::filesystem::path& folder, StoredParts* parts) const {
  std::vector<PartFile> files;
  for (std::size_t s = 0; s < shards_.size(); ++s) files.push_back({folder / shard_name(s), &shards_[s].layout});
  write_parts(files, {parts, Commit::each, encoder.rounds()}, [&](std::size_t s, std::size_t tensor, PartWriter& to) {
    write_tensor(shards_[s].tensors[tensor], encoder, to);
  });
  std::uint64_t written = 0;
  for (const PartFile& file : files) written += std::filesystem::file_size(file.path);
  for (const auto& [name, text] : own_texts_) {
    write_text_file(folder / name, text);
    written += text.size();
  }
  for (const model::Companion& companion : *files_) {
    copy_companion(companion, folder / name_of(companion));
    written += companion.bytes;
  }
  STRATA_CHECK(written == bytes(), "wrote {} bytes, planned {}", written, bytes());
}

void ShardedFolder::write_stack(std::size_t stack, DType, const TakeBytes&) const {
  STRATA_CHECK(false, "stack {} of a folder without stacks", stack);
}

void ShardedFolder::write_tensor(const Tensor& tensor, LinearEncoder& encoder, PartWriter& writer) const {
  const format::TensorSpec& spec = tensor.spec;
  const Origin& origin = tensor.origin;
  const TakeBytes post = [&](std::vector<std::byte> bytes) { writer.post(std::move(bytes)); };
  if (origin.carried) {
    copy_tensor(model_, spec.name, writer);
  } else if (!origin.linears.empty() && codecs_[origin.linears.front()]->has_codes()) {
    encoder.part(origin.linears, origin.part, [&](std::shared_ptr<const codec::Stored> stored) {
      const std::span<const std::byte> bytes = stored->views[origin.part];
      writer.post(bytes.size(), [stored, bytes](OutputFile& file) { file.write(bytes); });
    });
  } else if (origin.number) {
    dense_vector(model_, spec.name, {&*origin.number, 1}, spec.dtype, post);
  } else if (origin.stack) {
    write_stack(*origin.stack, spec.dtype, post);
  } else if (!origin.linears.empty()) {
    for (const std::size_t l : origin.linears) {
      const model::Linear& linear = model_.architecture().linears[l];
      dense_matrix(model_, linear.module + ".weight", linear.rows, linear.cols, spec.dtype, {}, post);
    }
  } else if (spec.shape.size() != 2) {
    const std::uint64_t count = spec.bytes() / dtype_bytes(spec.dtype);
    dense_vector(model_, spec.name, model_.vector(spec.name, count), spec.dtype, post);
  } else {
    dense_matrix(model_, spec.name, spec.shape[0], spec.shape[1], spec.dtype, {}, post);
  }
}

}  // namespace strata::pipeline
