// The GGUF writer of a model: layout first, then bytes in exactly that layout.
// Vectors are float32, as llama.cpp wants them; rows of q and k are interleaved where the architecture asks for it.
#include "pipeline/gguf_checkpoint.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>

#include "core/numbers.h"
#include "core/progress.h"
#include "model/gguf_config.h"
#include "model/gguf_export.h"

namespace strata::pipeline {
namespace {

constexpr const char* kEmbedding = "model.embed_tokens.weight";
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
    if (tensor.shape.size() == 2 && tensor.name.starts_with("blk.")) weights[tensor.type] += tensor.bytes();
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
      : type_(type), cols_(cols), where_(std::move(where)), name_(std::move(name)), row_(cols) {}

  void append(const MatrixView& view, std::size_t r) {
    read_row(view, r, 0, cols_, row_.data());
    for (std::size_t c = 0; c < cols_; ++c) append(row_[c], r, c);
  }
  const std::vector<std::byte>& bytes() const { return out_; }
  void clear() { out_.clear(); }

 private:
  void append(float weight, std::size_t r, std::size_t c) {
    if (!std::isfinite(weight))
      fail("{}: {}: weight [{}, {}] is {}; the file is damaged or training diverged", where_, name_, r, c, weight);
    if (type_ == 0) return raw(weight);
    if (type_ == 30) return raw(to_bf16(weight));
    if (std::fabs(weight) >= 65520.0f)
      fail("{}: {}: weight [{}, {}] is {}, beyond float16; use --type bf16", where_, name_, r, c, weight);
    raw(to_f16(weight));
  }
  template <class T>
  void raw(T value) {
    const auto* p = reinterpret_cast<const std::byte*>(&value);
    out_.insert(out_.end(), p, p + sizeof value);
  }

  std::uint32_t type_;
  std::size_t cols_;
  std::string where_, name_;
  std::vector<float> row_;
  std::vector<std::byte> out_;
};

void write_vector(const model::Model& model, const GgufOrigin& origin, std::size_t size, format::GgufWriter& file) {
  const std::vector<float> divisors =
      origin.hf_name == kRopeDivisors ? model::rope_divisors(model.architecture()) : std::vector<float>();
  const std::vector<float> values = divisors.empty() ? model.vector(origin.hf_name, size) : divisors;
  const std::size_t heads = model::interleaved_heads(model.architecture(), origin.hf_name);
  std::vector<float> ordered(size);
  for (std::size_t i = 0; i < size; ++i) ordered[i] = values[source_row(i, size, heads)];
  DenseRows rows(0, size, model.path().string(), origin.hf_name);
  rows.append(MatrixView::dense(ordered.data(), 1, size, DType::f32), 0);
  file.write(rows.bytes());
}

void write_matrix(const model::Model& model, const GgufOrigin& origin, const format::GgufTensorSpec& spec,
                  format::GgufWriter& file) {
  const std::size_t rows = spec.shape[0], cols = spec.shape[1];
  const std::size_t heads = model::interleaved_heads(model.architecture(), origin.hf_name);
  const model::LinearWeights weights = model.matrix(origin.hf_name, rows, cols);
  const MatrixView view = weights.view().dense;
  DenseRows out(spec.type, cols, model.path().string(), origin.hf_name);
  constexpr std::size_t flush_bytes = 1 << 22;
  for (std::size_t r = 0; r < rows; ++r) {
    out.append(view, source_row(r, rows, heads));
    if (out.bytes().size() < flush_bytes && r + 1 < rows) continue;
    file.write(out.bytes());
    out.clear();
  }
  model.release(origin.hf_name);
}

void write_stored(const model::Model& model, const GgufOrigin& origin, const codec::Stored& stored,
                  format::GgufWriter& file) {
  const std::size_t heads = model::interleaved_heads(model.architecture(), origin.hf_name);
  const std::size_t row_bytes = stored.views.at(0).size() / stored.rows;
  if (heads == 0) return file.write(stored.views[0]);
  for (std::size_t r = 0; r < stored.rows; ++r)
    file.write(stored.views[0].subspan(source_row(r, stored.rows, heads) * row_bytes, row_bytes));
}

}  // namespace

std::uint32_t ggml_type_of(const codec::Codec& codec) {
  std::string name;
  for (const char c : codec.name) name += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  for (std::uint32_t number = 0; number < 64; ++number)
    if (const format::GgmlType* type = format::find_ggml_type(number); type != nullptr && type->name == name)
      return number;
  STRATA_CHECK(false, "{} is no GGUF type", codec.name);
}

GgufPlan plan_gguf(const model::Model& model, const GgufChoice& choice) {
  const model::Architecture& a = model.architecture();
  std::map<std::string, std::size_t> linears;
  for (std::size_t l = 0; l < a.linears.size(); ++l) linears[a.linears[l].module + ".weight"] = l;
  STRATA_CHECK(choice.linears.empty() || choice.dense == DType::bf16, "the codec keep is bf16");
  GgufPlan plan;
  std::vector<format::GgufTensorSpec> specs;
  for (const model::ExpectedTensor& expected : model::expected_tensors(a)) {
    GgufOrigin origin{expected.name, nullptr};
    if (const auto it = linears.find(expected.name); it != linears.end()) {
      origin.linear = it->second;
      if (!choice.linears.empty()) origin.codec = choice.linears[it->second];
    } else if (expected.name == kEmbedding) {
      origin.codec = choice.embedding;
    }
    if (is_dense(origin.codec)) origin.codec = nullptr;
    const auto name = model::gguf_tensor_name(expected.name);
    if (!name) fail("{}: {} has no name in GGUF", model.path().string(), expected.name);
    const std::uint32_t type = expected.shape.size() == 1 ? 0
                               : is_dense(origin.codec)   ? dense_type(choice.dense)
                                                          : ggml_type_of(*origin.codec);
    specs.push_back({*name, type, expected.shape});
    plan.origins.push_back(std::move(origin));
  }
  if (const std::vector<float> divisors = model::rope_divisors(a); !divisors.empty()) {
    specs.push_back({kRopeDivisors, 0, {divisors.size()}});
    plan.origins.push_back({kRopeDivisors, nullptr});
  }
  const std::uint32_t file_type = file_type_of(specs);
  plan.layout = format::lay_out_gguf(model::gguf_keys(model, file_type), std::move(specs));
  return plan;
}

std::uint64_t write_gguf(const model::Model& model, const GgufPlan& plan, const std::filesystem::path& output,
                         bool overwrite, const EncodeLinear& encode) {
  std::error_code code;
  const auto status = std::filesystem::symlink_status(output, code);
  if (std::filesystem::exists(status) && (!overwrite || std::filesystem::is_directory(status)))
    fail("{}: exists already; {}", output.string(),
         overwrite ? "it is a folder and is not replaced by a file" : "use --overwrite to replace it");
  format::GgufWriter file(output, plan.layout);
  Progress progress("writing", static_cast<std::size_t>(plan.layout.file_bytes >> 10));
  for (std::size_t i = 0; i < plan.origins.size(); ++i) {
    const format::GgufTensorSpec& spec = plan.layout.tensors[i];
    const GgufOrigin& origin = plan.origins[i];
    progress.note(spec.name);
    if (origin.codec != nullptr)
      write_stored(model, origin, encode(origin.linear, *origin.codec), file);
    else if (spec.shape.size() == 1)
      write_vector(model, origin, spec.shape[0], file);
    else
      write_matrix(model, origin, spec, file);
    progress.advance(static_cast<std::size_t>(spec.bytes() >> 10));
  }
  file.commit();
  return plan.layout.file_bytes;
}

}  // namespace strata::pipeline
