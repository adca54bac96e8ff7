// The GGUF writer of a model: layout first, then bytes in exactly that layout.
// Vectors are float32, as llama.cpp wants them; rows of q and k are interleaved where the architecture asks for it.
#include "pipeline/output/gguf_checkpoint.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <memory>
#include <set>

#include "core/background.h"
#include "core/file.h"
#include "core/progress.h"
#include "model/gguf/config.h"
#include "model/gguf/experts.h"
#include "model/gguf/export.h"
#include "pipeline/output/linear_encoder.h"
#include "pipeline/output/stored_parts.h"

namespace strata::pipeline {
namespace {

constexpr const char* kRopeDivisors = "rope_freqs.weight";

std::uint32_t dense_type(DType type) { return type == DType::f32 ? 0 : type == DType::f16 ? 1 : 30; }

bool is_dense(const codec::Codec* codec) { return codec == nullptr || !codec->has_codes(); }

/// llama.h's llama_ftype for the type that most weights have: a word for people, nothing depends on it.
std::uint32_t file_type_of(const std::vector<format::GgufTensorSpec>& tensors) {
  static const std::map<std::uint32_t, std::uint32_t> file_types = {{0, 0},   {1, 1},   {2, 2},   {3, 3},   {8, 7},
                                                                    {6, 8},   {7, 9},   {10, 10}, {11, 12}, {12, 15},
                                                                    {13, 17}, {14, 18}, {20, 25}, {23, 30}, {30, 32}};
  std::map<std::uint32_t, std::uint64_t> weights;
  for (const format::GgufTensorSpec& tensor : tensors)
    if (tensor.shape.size() >= 2 && tensor.name.starts_with("blk.")) weights[tensor.type] += tensor.bytes();
  if (weights.empty()) return 0;
  const auto most = std::ranges::max_element(weights, {}, [](const auto& entry) { return entry.second; });
  const auto it = file_types.find(most->first);
  return it == file_types.end() ? 1024 : it->second;  // LLAMA_FTYPE_GUESSED
}

/// The row of the source that becomes row `row` of the file.
std::size_t source_row(std::size_t row, std::size_t rows, std::size_t heads) {
  return heads == 0 ? row : model::interleaved_from(row, rows / heads);
}

class DenseRows {
 public:
  DenseRows(std::uint32_t type, std::size_t cols, std::string where, std::string name)
      : dtype_(format::ggml_dense_type(type).value()),
        cols_(cols),
        where_(std::move(where)),
        name_(std::move(name)),
        row_(cols) {}

  void append(const MatrixView& view, std::size_t r) {
    read_row(view, r, 0, cols_, row_.data());
    for (std::size_t c = 0; c < cols_; ++c) check(row_[c], r, c);
    const std::size_t at = out_.size();
    out_.resize(at + cols_ * dtype_bytes(dtype_));
    narrow_row(row_, dtype_, out_.data() + at);
  }
  const std::vector<std::byte>& bytes() const { return out_; }
  void clear() { out_.clear(); }

 private:
  void check(float weight, std::size_t r, std::size_t c) const {
    if (!std::isfinite(weight))
      fail("{}: {}: weight [{}, {}] is {}; the file is damaged or training diverged", where_, name_, r, c, weight);
    if (dtype_ == DType::f16 && std::fabs(weight) >= 65520.0f)
      fail("{}: {}: weight [{}, {}] is {}, beyond float16; use --type bf16", where_, name_, r, c, weight);
  }

  DType dtype_;
  std::size_t cols_;
  std::string where_, name_;
  std::vector<float> row_;
  std::vector<std::byte> out_;
};

/// Bytes for the file, on the thread that writes it.
using Write = std::function<void(std::vector<std::byte>)>;

void write_vector(const model::Model& model, const GgufOrigin& origin, std::size_t size, const Write& write) {
  const std::vector<float> divisors =
      origin.hf_name == kRopeDivisors ? model::rope_divisors(model.architecture()) : std::vector<float>();
  const std::vector<float> values = divisors.empty() ? model.vector(origin.hf_name, size) : divisors;
  const std::size_t heads = model::interleaved_heads(model.architecture(), origin.hf_name);
  std::vector<float> ordered(size);
  for (std::size_t i = 0; i < size; ++i) ordered[i] = values[source_row(i, size, heads)];
  DenseRows rows(0, size, model.path().string(), origin.hf_name);
  rows.append(MatrixView::dense(ordered.data(), 1, size, DType::f32), 0);
  write(rows.bytes());
}

void write_matrix(const model::Model& model, const std::string& name, const format::GgufTensorSpec& spec,
                  const Write& write) {
  const std::size_t rows = spec.shape[spec.shape.size() - 2], cols = spec.shape.back();
  const std::size_t heads = model::interleaved_heads(model.architecture(), name);
  const model::LinearWeights weights = model.matrix(name, rows, cols);
  const MatrixView view = weights.view().dense;
  DenseRows out(spec.type, cols, model.path().string(), name);
  constexpr std::size_t flush_bytes = 1 << 22;
  for (std::size_t r = 0; r < rows; ++r) {
    out.append(view, source_row(r, rows, heads));
    if (out.bytes().size() < flush_bytes && r + 1 < rows) continue;
    write(out.bytes());
    out.clear();
  }
  model.release(name);
}

void write_stored(const codec::Stored& stored, std::size_t heads, format::GgufWriter& file) {
  const std::size_t row_bytes = stored.views.at(0).size() / stored.rows;
  if (heads == 0) return file.write(stored.views[0]);
  for (std::size_t r = 0; r < stored.rows; ++r)
    file.write(stored.views[0].subspan(source_row(r, stored.rows, heads) * row_bytes, row_bytes));
}

/// The experts' matrices of a block as stacks: by their first part, and which other tensors are in one.
void add_stacks(const model::Architecture& a, std::size_t block, std::map<std::string, model::GgufStack>& by_first,
                std::set<std::string>& others) {
  for (model::GgufStack& stack : model::gguf_stacks(a, block)) {
    others.insert(stack.parts.begin() + 1, stack.parts.end());
    const std::string first = stack.parts.front();
    by_first.emplace(first, std::move(stack));
  }
}

void refuse_existing(const std::filesystem::path& path, bool overwrite) {
  std::error_code code;
  const auto status = std::filesystem::symlink_status(path, code);
  if (std::filesystem::exists(status) && (!overwrite || std::filesystem::is_directory(status)))
    fail("{}: exists already; {}", path.string(),
         overwrite ? "it is a folder and is not replaced by a file" : "use --overwrite to replace it");
}

/// Tensors in files of at most `shard_bytes` of data, a larger tensor in one of its own; the first has the metadata.
GgufPlan cut(format::GgufKeys keys, std::vector<format::GgufTensorSpec> specs, std::vector<GgufOrigin> origins,
             std::uint64_t shard_bytes) {
  std::vector<std::size_t> begins = {0};
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < specs.size(); ++i) {
    if (shard_bytes != 0 && bytes != 0 && bytes + specs[i].bytes() > shard_bytes) {
      begins.push_back(i);
      bytes = 0;
    }
    bytes += specs[i].bytes();
  }
  const std::size_t count = begins.size();
  if (count > 65535) fail("--shard-size: {} files are more than GGUF can count", count);
  GgufPlan plan;
  for (std::size_t p = 0; p < count; ++p) {
    format::GgufKeys own = p == 0 ? std::move(keys) : format::GgufKeys();
    if (count > 1) {
      own.add("split.no", static_cast<std::uint16_t>(p));
      own.add("split.count", static_cast<std::uint16_t>(count));
      own.add("split.tensors.count", static_cast<std::int32_t>(specs.size()));
    }
    const auto begin = static_cast<std::ptrdiff_t>(begins[p]);
    const auto end = static_cast<std::ptrdiff_t>(p + 1 < count ? begins[p + 1] : specs.size());
    plan.parts.push_back({format::lay_out_gguf(std::move(own), {specs.begin() + begin, specs.begin() + end}),
                          {origins.begin() + begin, origins.begin() + end}});
  }
  return plan;
}

bool ends_block(const model::Model& model, const GgufPart& part, std::size_t i) {
  const auto block = [&](std::size_t tensor) {
    const std::size_t linear = part.origins[tensor].linear;
    return linear == model::kNoLinear ? model::kNoBlock : model.architecture().linears[linear].block;
  };
  return i + 1 == part.origins.size() || block(i) == model::kNoBlock || block(i) != block(i + 1);
}

/// One file: what is on disk already is left out, and what is written is noted at the ends of blocks.
class PartWriter {
 public:
  PartWriter(const model::Model& model, const GgufPart& part, const std::filesystem::path& path,
             const GgufResume& resume, Background& disk)
      : model_(model), part_(part), name_(path.filename().string()), resume_(resume), disk_(disk) {
    if (resume.parts == nullptr) {
      file_ = std::make_shared<format::GgufWriter>(path, part.layout);
    } else {
      kept_ = resume.parts->of(name_);
      file_ = std::make_shared<format::GgufWriter>(path, part.layout, kept_.tensors, kept_.bytes);
    }
  }

  void write(const EncodeLinear& encode, Progress& progress) {
    const Write post = [&](std::vector<std::byte> bytes) {
      const std::size_t size = bytes.size();
      disk_.post(size, [file = file_, bytes = std::move(bytes)] { file->write(bytes); });
    };
    for (std::size_t i = kept_.tensors; i < part_.origins.size(); ++i) {
      const format::GgufTensorSpec& spec = part_.layout.tensors[i];
      const GgufOrigin& origin = part_.origins[i];
      progress.note(spec.name);
      if (spec.shape.size() == 1) {
        write_vector(model_, origin, spec.shape[0], post);
      } else if (origin.experts.empty() && origin.codec == nullptr) {
        write_matrix(model_, origin.hf_name, spec, post);
      } else {
        for (const std::size_t linear : linears_of(origin)) write_linear(origin, linear, spec, encode, post);
      }
      if (resume_.parts != nullptr && ends_block(model_, part_, i) && resume_.parts->due()) note(i + 1);
      progress.advance(static_cast<std::size_t>(spec.bytes() >> 10));
    }
  }

  void commit() {
    disk_.post(0, [file = file_] { file->commit(); });
  }

 private:
  void write_linear(const GgufOrigin& origin, std::size_t linear, const format::GgufTensorSpec& spec,
                    const EncodeLinear& encode, const Write& post) {
    const model::Architecture& a = model_.architecture();
    if (origin.codec == nullptr) return write_matrix(model_, a.linears[linear].module + ".weight", spec, post);
    const auto stored = encode(linear, *origin.codec);
    const std::size_t heads = model::interleaved_heads(a, origin.hf_name);
    disk_.post(stored->views.at(0).size(), [file = file_, heads, stored] { write_stored(*stored, heads, *file); });
  }

  void note(std::size_t tensors) {
    disk_.post(0, [file = file_, name = name_, tensors, &parts = *resume_.parts,
                   linears = resume_.news ? resume_.news() : json()] {
      file->sync();
      parts.note(name, {tensors, file->size()}, linears);
    });
  }

  const model::Model& model_;
  const GgufPart& part_;
  std::string name_;
  const GgufResume& resume_;
  Background& disk_;
  StoredPart kept_;
  std::shared_ptr<format::GgufWriter> file_;
};

}  // namespace

GgufChoice gguf_choice(const model::Model& model, const Plan& plan, std::uint64_t shard_bytes) {
  return {DType::bf16, codecs_by_linear(plan, model.architecture()), shard_bytes};
}

GgufPlan plan_gguf(const model::Model& model, const GgufChoice& choice) {
  const model::Architecture& a = model.architecture();
  std::map<std::string, std::size_t> linears;
  for (std::size_t l = 0; l < a.linears.size(); ++l) linears[a.linears[l].module + ".weight"] = l;
  STRATA_CHECK(choice.linears.empty() || choice.dense == DType::bf16, "the codec keep is bf16");
  model::check_gguf_experts(a, model.path().string());
  std::vector<format::GgufTensorSpec> specs;
  std::vector<GgufOrigin> origins;
  std::map<std::string, model::GgufStack> stacks;  // by their first part
  std::set<std::string> stacked;
  std::map<std::string, std::size_t> routers;  // their blocks
  for (std::size_t b = 0; b < a.blocks; ++b) {
    if (!a.layout[b].mixture) continue;
    add_stacks(a, b, stacks, stacked);
    routers[model::router_name(a, b)] = b;
  }
  for (const model::ExpectedTensor& expected : model::expected_tensors(a)) {
    if (stacked.contains(expected.name)) continue;
    GgufOrigin origin{expected.name, nullptr};
    if (const auto it = linears.find(expected.name); it != linears.end()) {
      origin.linear = it->second;
      if (!choice.linears.empty()) origin.codec = choice.linears[it->second];
    }
    if (is_dense(origin.codec)) origin.codec = nullptr;
    const bool router = routers.contains(expected.name);
    const std::uint32_t type = expected.shape.size() == 1 || router ? 0
                               : is_dense(origin.codec)             ? dense_type(choice.dense)
                                                                    : format::ggml_type_of(*origin.codec);
    auto name = model::gguf_tensor_name(a.names, expected.name);
    std::vector<std::uint64_t> shape = expected.shape;
    if (router) name = model::gguf_router_name(routers.at(expected.name));
    if (const auto stack = stacks.find(expected.name); stack != stacks.end()) {
      name = stack->second.name;
      shape.insert(shape.begin(), stack->second.parts.size());
      for (const std::string& part : stack->second.parts) origin.experts.push_back(linears.at(part));
    }
    if (!name) fail("{}: {} has no name in GGUF", model.path().string(), expected.name);
    specs.push_back({*name, type, std::move(shape)});
    origins.push_back(std::move(origin));
  }
  if (const std::vector<float> divisors = model::rope_divisors(a); !divisors.empty()) {
    specs.push_back({kRopeDivisors, 0, {divisors.size()}});
    origins.push_back({kRopeDivisors, nullptr});
  }
  return cut(model::gguf_keys(model, file_type_of(specs)), std::move(specs), std::move(origins), choice.shard_bytes);
}

std::uint64_t GgufPlan::total_bytes() const {
  std::uint64_t sum = 0;
  for (const GgufPart& part : parts) sum += part.layout.file_bytes;
  return sum;
}

std::vector<std::filesystem::path> gguf_files(const GgufPlan& plan, const std::filesystem::path& output) {
  if (plan.parts.size() == 1) return {output};
  std::filesystem::path stem = output;
  stem.replace_extension();
  std::vector<std::filesystem::path> result;
  for (std::size_t i = 0; i < plan.parts.size(); ++i)
    result.emplace_back(format::gguf_part_name(stem.string(), i, plan.parts.size()));
  return result;
}

std::vector<std::size_t> linears_of(const GgufOrigin& origin) {
  if (!origin.experts.empty() || origin.linear == model::kNoLinear) return origin.experts;
  return {origin.linear};
}

codec::Stored read_gguf_linear(const model::Model& model, const GgufPart& part, std::size_t tensor, std::size_t linear,
                               const std::filesystem::path& file) {
  const GgufOrigin& origin = part.origins[tensor];
  const model::Linear& shape = model.architecture().linears[linear];
  codec::Stored stored = codec::allocate(*origin.codec, shape.rows, shape.cols);
  std::vector<std::byte>& bytes = stored.parts.at(0);
  const std::vector<std::size_t> stacked = linears_of(origin);
  const auto place = static_cast<std::size_t>(std::ranges::find(stacked, linear) - stacked.begin());
  const std::uint64_t at = format::tensor_offset(part.layout, tensor) + place * bytes.size();
  const MappedFile mapped(file);
  if (mapped.bytes().size() < at + bytes.size())
    fail("{}: is shorter than its journal tells; use --restart to begin again", file.string());
  const auto from = mapped.bytes().subspan(at, bytes.size());
  const std::size_t heads = model::interleaved_heads(model.architecture(), origin.hf_name);
  const std::size_t row_bytes = bytes.size() / stored.rows;
  for (std::size_t r = 0; r < stored.rows; ++r)
    std::ranges::copy(from.subspan(r * row_bytes, row_bytes),
                      bytes.begin() + static_cast<std::ptrdiff_t>(source_row(r, stored.rows, heads) * row_bytes));
  return stored;
}

std::uint64_t write_gguf(const model::Model& model, const GgufPlan& plan, const std::filesystem::path& output,
                         bool overwrite, const EncodeLinear& encode, const GgufResume& resume) {
  const std::vector<std::filesystem::path> paths = gguf_files(plan, output);
  if (resume.parts == nullptr)
    for (const std::filesystem::path& path : paths) refuse_existing(path, overwrite);
  Progress progress("writing", static_cast<std::size_t>(plan.total_bytes() >> 10));
  Background disk(kUnwrittenBytes);
  std::vector<PartWriter> files;
  files.reserve(plan.parts.size());
  for (std::size_t p = 0; p < plan.parts.size(); ++p) {
    std::error_code code;
    // Renamed means complete: that comes after the last byte was synced.
    if (resume.parts != nullptr && std::filesystem::exists(paths[p], code)) continue;
    files.emplace_back(model, plan.parts[p], paths[p], resume, disk).write(encode, progress);
    if (resume.parts != nullptr) files.back().commit();
  }
  if (resume.parts == nullptr)
    for (std::size_t p = files.size(); p-- > 0;) files[p].commit();
  disk.finish();
  return plan.total_bytes();
}

}  // namespace strata::pipeline
