// Layout first, then bytes in exactly that layout.
// Vectors are float32, as llama.cpp wants them; rows of q and k are interleaved where the architecture asks for it.
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
#include "pipeline/output/dense_rows.h"
#include "pipeline/output/linear_encoder.h"

namespace strata::pipeline {
namespace {

constexpr std::size_t kMostFiles = 65535;  // split.count has 16 bits

/// Types of GGUF.
constexpr std::uint32_t kF32 = 0, kF16 = 1, kBf16 = 30;

/// llama.h's llama_ftype of files whose matrices are mostly of a type of GGUF, as llama.cpp's model loader guesses it.
constexpr std::array<std::pair<std::uint32_t, std::uint32_t>, 22> kFileTypes{
    {{kF32, 0}, {kF16, 1}, {kBf16, 32}, {2, 2},   {3, 3},   {6, 8},   {7, 9},   {8, 7},
     {10, 10},  {11, 12},  {12, 15},    {13, 17}, {14, 18}, {16, 19}, {17, 20}, {18, 23},
     {20, 25},  {21, 26},  {22, 28},    {23, 30}, {39, 38}, {40, 39}}};
constexpr std::uint32_t kGuessedFileType = 1024;

/// general.file_type of a file in which each type of GGUF has so many weights.
std::uint32_t file_type_of(const std::map<std::uint32_t, std::uint64_t>& weights) {
  const auto most = std::ranges::max_element(weights, {}, [](const auto& of_type) { return of_type.second; });
  if (most == weights.end()) return kGuessedFileType;
  for (const auto& [type, file_type] : kFileTypes)
    if (type == most->first) return file_type;
  return kGuessedFileType;
}

/// The row of the source that becomes a row of a tensor with interleaved heads; empty without them.
RowOrder row_order(const model::Architecture& a, const std::string& hf_name, std::size_t rows) {
  const std::size_t heads = model::interleaved_heads(a, hf_name);
  if (heads == 0) return {};
  return [head_dim = rows / heads](std::size_t row) { return model::interleaved_from(row, head_dim); };
}

/// What the tensors are in GGUF whose names follow from parts of the architecture.
struct Parts {
  std::map<std::string, model::GgufStack> stacks;  ///< what a block's experts have each, by the first of them
  std::set<std::string> stacked;                   ///< all but the first
  std::map<std::string, model::GgufName> named;    ///< by their Hugging Face names

  explicit Parts(const model::Architecture& a) {
    for (std::size_t b = 0; b < a.blocks; ++b) {
      for (model::GgufName& name : model::gguf_part_names(a, b)) {
        const std::string hf = name.hf;
        named.emplace(hf, std::move(name));
      }
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

/// Appends a stored linear to a file, its rows in GGUF's order.
void append(const codec::Stored& stored, const RowOrder& order, OutputFile& file) {
  const std::span<const std::byte> bytes = stored.views.at(0);
  if (!order) return file.write(bytes);
  const std::size_t row_bytes = bytes.size() / stored.rows;
  for (std::size_t r = 0; r < stored.rows; ++r) file.write(bytes.subspan(order(r) * row_bytes, row_bytes));
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
    auto name = model::gguf_tensor_name(a.names, expected.name, model::gguf_family_of(a));
    Tensor tensor{{{}, kF32, expected.shape}, expected.name};
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
      tensor.is_row = named->second.is_row && expected.shape.size() == 2;
      if (tensor.is_row) tensor.spec.shape.erase(tensor.spec.shape.begin());
    }
    const bool is_router = named != parts.named.end() && named->second.is_router;
    if (tensor.spec.shape.size() > 1 && tensor.vectors.empty() && !is_router) tensor.spec.type = type_of(tensor);
    if (!name) fail("{}: {} has no name in GGUF", model_.path().string(), expected.name);
    tensor.spec.name = *name;
    tensors.push_back(std::move(tensor));
  }
  for (auto& [name, values] : model::rope_tensors(a))
    tensors.push_back({{name, kF32, {values.size()}}, name, {}, {}, std::move(values)});
  return tensors;
}

/// GGUF's type of a matrix.
std::uint32_t GgufFile::type_of(const Tensor& tensor) const {
  if (!tensor.linears.empty() && codecs_[tensor.linears.front()]->has_codes())
    return format::ggml_type_of(*codecs_[tensor.linears.front()]);
  return dense_ == DType::f32 ? kF32 : dense_ == DType::f16 ? kF16 : kBf16;
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
    for (std::size_t i = 0; i < linears.size(); ++i) spots_[linears[i]] = {files_.size(), t, i};
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
  const Spot& spot = spots_[linear];
  const File& file = files_[spot.file];
  const PartTensor& tensor = file.layout.tensors[spot.tensor];
  const std::uint64_t bytes = tensor.bytes / file.tensors[spot.tensor].linears.size();
  return {{names(path)[spot.file], spot.tensor, tensor.offset + spot.within * bytes}};
}

codec::Stored GgufFile::read(std::size_t linear, const std::filesystem::path& path) const {
  const model::Linear& shape = model_.architecture().linears[linear];
  codec::Stored stored = codec::allocate(*codecs_[linear], shape.rows, shape.cols);
  std::vector<std::byte>& bytes = stored.parts.at(0);
  read_stored(places(linear, path).front(), bytes);
  const RowOrder order = row_order(model_.architecture(), shape.module + ".weight", shape.rows);
  if (!order) return stored;
  const std::vector<std::byte> interleaved = bytes;
  const std::size_t row_bytes = bytes.size() / stored.rows;
  for (std::size_t r = 0; r < stored.rows; ++r)
    std::ranges::copy(std::span(interleaved).subspan(r * row_bytes, row_bytes),
                      bytes.begin() + static_cast<std::ptrdiff_t>(order(r) * row_bytes));
  return stored;
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

void GgufFile::write_tensor(const Tensor& tensor, LinearEncoder& encoder, PartWriter& writer) const {
  const model::Architecture& a = model_.architecture();
  const std::vector<std::uint64_t>& shape = tensor.spec.shape;
  const TakeBytes post = [&](std::vector<std::byte> bytes) { writer.post(std::move(bytes)); };
  if (!tensor.values.empty()) return dense_vector(model_, tensor.hf_name, tensor.values, DType::f32, post);
  if (tensor.is_row) return dense_matrix(model_, tensor.hf_name, 1, shape.back(), DType::f32, {}, post);
  for (const std::string& name : tensor.vectors)
    dense_vector(model_, name, model_.vector(name, shape.back()), DType::f32, post);
  if (!tensor.vectors.empty()) return;
  if (shape.size() == 1) {
    const std::vector<float> values = model_.vector(tensor.hf_name, shape[0]);
    const RowOrder order = row_order(a, tensor.hf_name, shape[0]);
    std::vector<float> ordered = values;
    if (tensor.spec.name.ends_with("norm.weight"))  // GGUF holds what norms multiply by
      for (float& value : ordered) value += a.norm_offset;
    for (std::size_t i = 0; order && i < values.size(); ++i) ordered[i] = values[order(i)];
    return dense_vector(model_, tensor.hf_name, ordered, DType::f32, post);
  }
  const std::size_t rows = shape[shape.size() - 2], cols = shape.back();
  const auto write_dense = [&](const std::string& hf_name) {
    const DType type = format::ggml_dense_type(tensor.spec.type).value();
    dense_matrix(model_, hf_name, rows, cols, type, row_order(a, hf_name, rows), post);
  };
  if (tensor.linears.empty()) return write_dense(tensor.hf_name);
  for (const std::size_t l : tensor.linears) {
    const std::string hf_name = a.linears[l].module + ".weight";
    if (!codecs_[l]->has_codes()) {
      write_dense(hf_name);
      continue;
    }
    const auto stored = encoder.linear(l);
    writer.post(stored->views.at(0).size(),
                [stored, order = row_order(a, hf_name, rows)](OutputFile& file) { append(*stored, order, file); });
  }
}

}  // namespace strata::pipeline
