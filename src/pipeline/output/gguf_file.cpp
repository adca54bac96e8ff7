// Which tensors there are, and the layout that their bytes have to fill exactly. The bytes are made in gguf_bytes.cpp.
// Vectors are float32, as llama.cpp wants them.
#include "pipeline/output/gguf_file.h"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

#include "core/checked.h"
#include "core/file.h"
#include "model/gguf/check.h"
#include "model/gguf/export.h"
#include "model/gguf/families.h"
#include "model/gguf/names.h"
#include "model/gguf/rope.h"
#include "model/unknown.h"
#include "pipeline/output/linear_encoder.h"

namespace strata::pipeline {
namespace {

constexpr std::size_t kMostFiles = 65535;  // split.count has 16 bits

/// Types of GGUF.
constexpr std::uint32_t kTypeF32 = 0, kTypeF16 = 1, kTypeBf16 = 30;

/// llama.h's llama_ftype of files whose matrices are mostly of a type of GGUF, as llama.cpp's model loader guesses it.
constexpr std::array<std::pair<std::uint32_t, std::uint32_t>, 22> kFileTypes{
    {{kTypeF32, 0}, {kTypeF16, 1}, {kTypeBf16, 32}, {2, 2},   {3, 3},   {6, 8},   {7, 9},   {8, 7},
     {10, 10},      {11, 12},      {12, 15},        {13, 17}, {14, 18}, {16, 19}, {17, 20}, {18, 23},
     {20, 25},      {21, 26},      {22, 28},        {23, 30}, {39, 38}, {40, 39}}};
constexpr std::uint32_t kGuessedFileType = 1024;

/// general.file_type of a file in which each type of GGUF has so many weights.
std::uint32_t file_type_of(const std::map<std::uint32_t, std::uint64_t>& weights) {
  const auto most = std::ranges::max_element(weights, {}, [](const auto& of_type) { return of_type.second; });
  if (most == weights.end()) return kGuessedFileType;
  for (const auto& [type, file_type] : kFileTypes)
    if (type == most->first) return file_type;
  return kGuessedFileType;
}

/// What the tensors are in GGUF whose names follow from parts of the architecture.
struct Parts {
  std::map<std::string, model::GgufStack> stacks;  ///< what a block's experts have each, by the first of them
  std::set<std::string> stacked;                   ///< all but the first
  std::map<std::string, model::GgufName> named;    ///< by their Hugging Face names
  std::map<std::string, std::vector<model::GgufPiece>> split;  ///< what is held in several, by its name

  explicit Parts(const model::Architecture& a) {
    for (std::size_t b = 0; b < a.blocks; ++b) {
      for (model::GgufName& name : model::gguf_part_names(a, b)) {
        const std::string hf = name.hf;
        named.emplace(hf, std::move(name));
      }
      for (model::GgufSplit& of : model::gguf_splits(a, b)) split.emplace(std::move(of.hf), std::move(of.pieces));
      if (!a.layout[b].mixture) continue;
      for (model::GgufStack& stack : model::gguf_stacks(a, b)) {
        stacked.insert(stack.parts.begin() + 1, stack.parts.end());
        const std::string first = stack.parts.front();
        stacks.emplace(first, std::move(stack));
      }
    }
  }
};

void refuse_existing(const std::filesystem::path& path, bool overwrite) {
  std::error_code code;
  const auto status = std::filesystem::symlink_status(path, code);
  if (std::filesystem::exists(status) && (!overwrite || std::filesystem::is_directory(status)))
    fail("{}: exists already; {}", path.string(),
         overwrite ? "it is a folder and is not replaced by a file" : "use --overwrite to replace it");
}

/// The shape that a tensor of the model has in GGUF.
std::vector<std::uint64_t> shape_in(const model::GgufName& name, std::vector<std::uint64_t> shape) {
  const model::GgufForm form = name.form;
  if (name.matrix_rows != 0) return {name.matrix_rows, shape.front() / name.matrix_rows};
  if (form == model::GgufForm::row && shape.size() == 2) shape.erase(shape.begin());
  if (form == model::GgufForm::squeezed) shape.erase(shape.begin() + 1);
  return shape;
}

}  // namespace

GgufFile::GgufFile(const model::Model& model, Codecs codecs, std::uint64_t shard_bytes, DType dense)
    : model_(model),
      codecs_(std::move(codecs)),
      shard_bytes_(shard_bytes),
      dense_(dense),
      spots_(model.architecture().linears.size()) {
  model::check_gguf_names(model.architecture(), model.path().string());
  STRATA_CHECK(codecs_.size() == spots_.size(), "{} codecs for {} linears", codecs_.size(), spots_.size());
  STRATA_CHECK(dense == DType::bf16 || std::ranges::none_of(codecs_, [](const auto* c) { return c->has_codes(); }),
               "the codec keep is bf16");
  model::check_gguf_parts(model.architecture(), model.path().string());
  STRATA_CHECK(model.architecture().delta.tiled == model::tiles_value_heads(model.architecture()),
               "the model was opened for another runtime");
  std::vector<Tensor> tensors = list_tensors();
  std::map<std::uint32_t, std::uint64_t> weights;
  for (const Tensor& tensor : tensors) {
    std::uint64_t count = 1;
    for (const std::uint64_t extent : tensor.spec.shape) count *= extent;
    if (tensor.spec.shape.size() > 1) weights[tensor.spec.type] += count;
  }
  cut(model::gguf_keys(model, file_type_of(weights)), std::move(tensors), shard_bytes);
}

std::vector<GgufFile::Tensor> GgufFile::list_tensors() const {
  const model::Architecture& a = model_.architecture();
  std::map<std::string, std::size_t> linears;
  for (std::size_t l = 0; l < a.linears.size(); ++l) linears[a.linears[l].module + ".weight"] = l;
  const Parts parts(a);
  std::vector<Tensor> tensors;
  for (const model::ExpectedTensor& expected : model::expected_tensors(a)) {
    if (parts.stacked.contains(expected.name)) continue;
    if (const auto split = parts.split.find(expected.name); split != parts.split.end()) {
      for (const model::GgufPiece& piece : split->second) tensors.push_back(piece_of(linears.at(expected.name), piece));
      continue;
    }
    auto name = model::gguf_tensor_name(a.names, expected.name, model::gguf_family_of(a));
    Tensor tensor{{{}, kTypeF32, expected.shape}, expected.name};
    const auto named = parts.named.find(expected.name);
    if (const auto stack = parts.stacks.find(expected.name); stack != parts.stacks.end()) {
      name = stack->second.name;
      tensor.spec.shape.insert(tensor.spec.shape.begin(), stack->second.parts.size());
      if (stack->second.bias) tensor.vectors = stack->second.parts;
      for (const std::string& part : stack->second.parts)
        if (!stack->second.bias) tensor.linears.push_back(linears.at(part));
    } else if (const auto linear = linears.find(expected.name); linear != linears.end()) {
      tensor.linears = {linear->second};
    }
    if (named != parts.named.end()) {
      name = named->second.gguf;
      tensor.form = named->second.form;
      tensor.matrix_rows = named->second.matrix_rows;
      tensor.spec.shape = shape_in(named->second, std::move(tensor.spec.shape));
    }
    const bool exact =
        tensor.matrix_rows != 0 || (tensor.form != model::GgufForm::as_it_is && tensor.form != model::GgufForm::row);
    if (tensor.spec.shape.size() > 1 && tensor.vectors.empty() && !exact) tensor.spec.type = type_of(tensor);
    if (!name) fail("{}: {} has no name in GGUF", model_.path().string(), expected.name);
    tensor.spec.name = *name;
    tensors.push_back(std::move(tensor));
    if (const Tensor& last = tensors.back(); !last.linears.empty() && codecs_[last.linears.front()]->tensor_scaled)
      tensors.push_back(factors_of(last));
  }
  for (const model::TensorInfo& carried : model_.carried())
    if (const auto name = model::gguf_carried_name(a, carried.name)) {
      Tensor tensor{{*name, kTypeF32, carried.shape}, carried.name};
      if (carried.shape.size() > 1) tensor.spec.type = type_of(tensor);
      tensors.push_back(std::move(tensor));
    }
  for (auto& [name, values] : model::rope_tensors(a))
    tensors.push_back({{name, kTypeF32, {values.size()}}, name, {}, {}, std::move(values)});
  return tensors;
}

GgufFile::Tensor GgufFile::piece_of(std::size_t linear, const model::GgufPiece& piece) const {
  const std::string name = model_.architecture().linears[linear].module + ".weight";
  if (piece.transposed && codecs_[linear]->has_codes())
    fail("{}: {} lies transposed in a GGUF file, where its codes would belong to other weights; keep it, as --keep can",
         model_.path().string(), name);
  Tensor tensor{{piece.name, kTypeF32, piece.shape()}, name, {linear}};
  tensor.piece = piece;
  tensor.spec.type = type_of(tensor);
  return tensor;
}

/// The tensor of what the linears of another are multiplied by.
GgufFile::Tensor GgufFile::factors_of(const Tensor& tensor) {
  Tensor factors{
      {model::gguf_factor_name(tensor.spec.name), kTypeF32, {tensor.linears.size()}}, tensor.hf_name, tensor.linears};
  factors.part = 1;
  return factors;
}

/// GGUF's type of a matrix.
std::uint32_t GgufFile::type_of(const Tensor& tensor) const {
  if (!tensor.linears.empty() && codecs_[tensor.linears.front()]->has_codes())
    return format::ggml_type_of(*codecs_[tensor.linears.front()]);
  return dense_ == DType::f32 ? kTypeF32 : dense_ == DType::f16 ? kTypeF16 : kTypeBf16;
}

/// Tensors in files of at most `shard_bytes` of data, a larger tensor in one of its own; the first has the metadata.
void GgufFile::cut(format::GgufKeys keys, std::vector<Tensor> tensors, std::uint64_t shard_bytes) {
  std::vector<std::size_t> begins = {0};
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < tensors.size(); ++i) {
    const std::uint64_t more = tensors[i].spec.bytes();
    if (shard_bytes != 0 && bytes != 0 && bytes + more > shard_bytes) {
      begins.push_back(i);
      bytes = 0;
    }
    bytes += more;
  }
  const std::size_t count = begins.size();
  if (count > kMostFiles) fail("--shard-size: {} files are more than GGUF can count", count);
  begins.push_back(tensors.size());
  for (std::size_t f = 0; f < count; ++f) {
    format::GgufKeys own = f == 0 ? std::move(keys) : format::GgufKeys();
    if (count > 1) {
      own.add("split.no", static_cast<std::uint16_t>(f));
      own.add("split.count", static_cast<std::uint16_t>(count));
      own.add("split.tensors.count", static_cast<std::int32_t>(tensors.size()));
    }
    const auto at = [&](std::size_t i) { return tensors.begin() + static_cast<std::ptrdiff_t>(i); };
    add_file(std::move(own), {std::make_move_iterator(at(begins[f])), std::make_move_iterator(at(begins[f + 1]))});
  }
}

void GgufFile::add_file(format::GgufKeys keys, std::vector<Tensor> tensors) {
  std::vector<format::GgufTensorSpec> specs;
  for (const Tensor& tensor : tensors) specs.push_back(tensor.spec);
  format::GgufLayout gguf = format::lay_out_gguf(std::move(keys), std::move(specs));
  PartLayout layout{std::move(gguf.header), {}, gguf.file_bytes};
  std::uint64_t offset = layout.header.size();
  for (std::size_t t = 0; t < tensors.size(); ++t) {
    const std::vector<std::size_t>& linears = tensors[t].linears;
    const std::uint64_t bytes = tensors[t].spec.bytes();
    const std::size_t block = linears.empty() ? model::kNoBlock : model_.architecture().linears[linears.front()].block;
    layout.tensors.push_back({tensors[t].spec.name, offset, bytes, block});
    for (std::size_t i = 0; i < linears.size(); ++i) spots_[linears[i]].push_back({files_.size(), t, i});
    offset = round_up(offset + bytes, gguf.alignment);
  }
  STRATA_CHECK(offset == layout.bytes, "{} of {} bytes", offset, layout.bytes);
  files_.push_back({std::move(tensors), std::move(layout)});
}

std::uint64_t GgufFile::bytes() const {
  std::uint64_t sum = 0;
  for (const File& file : files_) sum += file.layout.bytes;
  return sum;
}

std::unique_ptr<Output> GgufFile::with(Codecs codecs) const {
  return std::make_unique<GgufFile>(model_, std::move(codecs), shard_bytes_, dense_);
}

std::vector<std::filesystem::path> GgufFile::names(const std::filesystem::path& path) const {
  if (files_.size() == 1) return {path};
  std::filesystem::path stem = path;
  stem.replace_extension();
  std::vector<std::filesystem::path> names;
  for (std::size_t f = 0; f < files_.size(); ++f)
    names.emplace_back(format::gguf_part_name(stem.string(), f, files_.size()));
  return names;
}

std::vector<Place> GgufFile::places(std::size_t linear, const std::filesystem::path& path) const {
  std::vector<Place> result;
  for (const Spot& spot : spots_[linear]) {
    const File& file = files_[spot.file];
    const PartTensor& tensor = file.layout.tensors[spot.tensor];
    const std::uint64_t bytes = tensor.bytes / file.tensors[spot.tensor].linears.size();
    result.push_back({names(path)[spot.file], spot.tensor, tensor.offset + spot.within * bytes});
  }
  return result;
}

void GgufFile::write(LinearEncoder& encoder, const std::filesystem::path& path, StoredParts& parts) const {
  write_files(encoder, path, {&parts, Commit::each, encoder.rounds()});
}

void GgufFile::write_whole(LinearEncoder& encoder, const std::filesystem::path& path, bool overwrite) const {
  for (const std::filesystem::path& name : names(path)) refuse_existing(name, overwrite);
  write_files(encoder, path, {nullptr, Commit::first_last, encoder.rounds()});
}

void GgufFile::write_files(LinearEncoder& encoder, const std::filesystem::path& path,
                           const PartOptions& options) const {
  const std::vector<std::filesystem::path> paths = names(path);
  std::vector<PartFile> files;
  for (std::size_t f = 0; f < files_.size(); ++f) files.push_back({paths[f], &files_[f].layout});
  write_parts(files, options, [&](std::size_t f, std::size_t tensor, PartWriter& to) {
    write_tensor(files_[f].tensors[tensor], encoder, to);
  });
}

}  // namespace strata::pipeline
