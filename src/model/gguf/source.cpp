// Tensors of a GGUF file under their Hugging Face names: dequantized to f32, or as they lie in the file for kernels
// that decode them on the fly. The llama architecture interleaves the rows of q and k for its rotary embedding, which
// is undone row by row: [heads, half, 2] -> [heads, 2, half].
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "core/checked.h"
#include "core/file.h"
#include "core/numbers.h"
#include "core/threads.h"
#include "format/gguf.h"
#include "model/content_hash.h"
#include "model/gguf/config.h"
#include "model/gguf/factors.h"
#include "model/gguf/families.h"
#include "model/gguf/names.h"
#include "model/gguf/split_matrix.h"
#include "model/gguf/tokenizer.h"
#include "model/sources.h"

namespace strata::model {
namespace {

/// The number whose exponential is x, to the last bit where there is one: that in bf16 first, which models are made of.
float logarithm(float x) {
  const float near = std::log(x);
  for (const float guess : {round_bf16(near), near, std::nextafter(near, INFINITY), std::nextafter(near, -INFINITY)})
    if (std::exp(guess) == x) return guess;
  return near;
}

class GgufSource final : public TensorSource {
 public:
  GgufSource(std::shared_ptr<const format::GgufFile> gguf, const json& config, std::string where)
      : gguf_(std::move(gguf)), where_(std::move(where)) {
    const GgufFamily row = gguf_family(gguf_->text("general.architecture"));
    const bool permuted = row.interleaved;
    heads_ = permuted ? config["num_attention_heads"].get<std::size_t>() : 0;
    kv_heads_ = permuted ? config["num_key_value_heads"].get<std::size_t>() : 0;
    Architecture a = parse_architecture(config, where_);
    a.names.root = row.root;
    list_linears(a);
    norm_offset_ = a.norm_offset;
    turned_ = a.ropes.front().dims;
    for (const format::GgufTensor& tensor : gguf_->tensors())
      if (!is_ahead(tensor.name, a.blocks)) by_name_[tensor.name] = tensor;
    factors_ = GgufFactors(a, by_name_, where_);
    for (std::size_t b = 0; b < a.blocks; ++b) {
      assemble(a, b);
      rename_parts(a, b);
      if (a.layout[b].mixture) unstack_pairs(a, b);
      if (a.layout[b].mixture) unstack(a, b);
    }
    std::map<std::string, format::GgufTensor, std::less<>> named;
    for (const auto& [name, tensor] : by_name_) named[hf_tensor_name(a.names, name, row).value_or(name)] = tensor;
    by_name_ = std::move(named);
  }

  std::vector<TensorInfo> tensors() const override {
    std::vector<TensorInfo> result;
    for (const auto& [name, tensor] : by_name_)
      result.push_back({name, format::ggml_type_name(tensor.type), tensor.shape, tensor.data.size()});
    for (const auto& [name, split] : splits_)
      result.push_back({name, split.type(), {split.rows(), split.cols()}, split.bytes()});
    return result;
  }

  bool has(std::string_view name) const override { return by_name_.contains(name) || splits_.contains(name); }

  LinearWeights matrix(const std::string& name, std::size_t rows, std::size_t cols) const override {
    if (const GgufSplitMatrix* split = split_of(name, rows, cols)) return split->decoded(where_);
    const format::GgufTensor& tensor = checked(name, {rows, cols});
    const std::uint64_t row_bytes = format::ggml_row_bytes(tensor.type, cols, where_ + ": " + tensor.name);
    const auto row_of = rows_of(name, rows);
    std::vector<float> values(rows * cols);
    parallel_for(rows, [&](std::size_t r) {
      format::ggml_dequantize_row(tensor.type, tensor.data.data() + row_of(r) * row_bytes, cols,
                                  values.data() + r * cols);
    });
    undo_rates(name, tensor, values);
    if (const float factor = factors_.of(tensor); factor != 1.0f)
      for (float& value : values) value *= factor;
    MappedFile::drop(tensor.data);
    return LinearWeights(std::move(values), rows, cols);
  }

  LinearWeights packed(const std::string& name, std::size_t rows, std::size_t cols) const override {
    if (split_of(name, rows, cols) == nullptr) {
      const format::GgufTensor& tensor = checked(name, {rows, cols});
      if (const std::optional<DType> dense = format::ggml_dense_type(tensor.type); dense && !is_changed(name, tensor))
        return LinearWeights(MatrixView::dense(tensor.data.data(), rows, cols, *dense));
    }
    if (native_codec(name, rows, cols) == nullptr) return matrix(name, rows, cols);
    return LinearWeights(native(name, rows, cols));
  }

  std::uint64_t copied_bytes(const std::string& name, std::size_t rows, std::size_t cols) const override {
    const codec::Codec* const codec = native_codec(name, rows, cols);
    const auto it = by_name_.find(name);
    if (codec != nullptr)
      return it == by_name_.end() || heads_of(name) != 0 ? codec::stored_bytes(*codec, rows, cols) : 0;
    const bool moved = it == by_name_.end() || is_changed(name, it->second);
    return !moved && format::ggml_dense_type(it->second.type) ? 0 : rows * cols * sizeof(float);
  }

  const codec::Codec* native_codec(const std::string& name, std::size_t rows, std::size_t cols) const override {
    const auto it = by_name_.find(name);
    const GgufSplitMatrix* const split = split_of(name, rows, cols);
    if (it == by_name_.end() && (split == nullptr || !split->alike())) return nullptr;
    const codec::Codec* const codec =
        format::codec_of_ggml_type(split != nullptr ? split->tensors().front().type : it->second.type);
    if (codec == nullptr || !codec::why_not(*codec, rows, cols).empty()) return nullptr;
    return split == nullptr && !holds_factor(*codec, factors_.of(it->second)) ? nullptr : codec;
  }

  codec::Stored native(const std::string& name, std::size_t rows, std::size_t cols) const override {
    const codec::Codec* const codec = native_codec(name, rows, cols);
    if (const GgufSplitMatrix* split = split_of(name, rows, cols)) return split->stored(*codec);
    const format::GgufTensor& tensor = checked(name, {rows, cols});
    codec::Stored stored{codec, rows, cols, codec->layout(*codec, rows, cols), {}, {tensor.data}};
    if (codec->tensor_scaled) {
      const float factor = factors_.of(tensor);
      stored.parts.resize(2);
      stored.parts[1].resize(sizeof factor);
      std::memcpy(stored.parts[1].data(), &factor, sizeof factor);
      stored.views.emplace_back(stored.parts[1]);
    }
    if (heads_of(name) == 0) return stored;
    const std::uint64_t row_bytes = format::ggml_row_bytes(tensor.type, cols, where_ + ": " + tensor.name);
    const auto row_of = rows_of(name, rows);
    if (stored.parts.empty()) stored.parts.emplace_back();
    std::vector<std::byte>& ordered = stored.parts.front();
    ordered.resize(tensor.data.size());
    for (std::size_t r = 0; r < rows; ++r)
      std::copy_n(tensor.data.data() + row_of(r) * row_bytes, row_bytes, ordered.data() + r * row_bytes);
    stored.views.front() = ordered;
    return stored;
  }

  std::vector<float> vector(const std::string& name, std::size_t size) const override {
    std::vector<std::uint64_t> shape = {size};
    if (const auto found = by_name_.find(name); found != by_name_.end() && !found->second.shape.empty()) {
      const std::uint64_t last = std::max<std::uint64_t>(found->second.shape.back(), 1);
      if (found->second.shape.size() == 2) shape = {size / last, last};
      if (found->second.shape.size() == 3) shape = {size / last, 1, last};  // a convolution's
    }
    const format::GgufTensor& tensor = checked(name, shape);
    format::ggml_row_bytes(tensor.type, size, where_ + ": " + tensor.name);
    std::vector<float> values(size);
    format::ggml_dequantize_row(tensor.type, tensor.data.data(), size, values.data());
    if (holds_norm_offset(tensor.name))
      for (float& value : values) value -= norm_offset_;
    undo_rates(name, tensor, values);
    if (heads_of(name) == 0) return values;
    const auto row_of = rows_of(name, size);
    std::vector<float> ordered(size);
    for (std::size_t r = 0; r < size; ++r) ordered[r] = values[row_of(r)];
    return ordered;
  }

  const codec::Codec* codec_of(const std::string&) const override { return nullptr; }

  void release(const std::string& name) const override {
    if (const auto it = by_name_.find(name); it != by_name_.end()) MappedFile::drop(it->second.data);
    if (const auto it = splits_.find(name); it != splits_.end())
      for (const format::GgufTensor& tensor : it->second.tensors()) MappedFile::drop(tensor.data);
  }
  void will_need(const std::string&) const override {}
  bool complete() const override { return gguf_->complete(); }
  std::span<const std::byte> raw(const std::string& name) const override {
    const auto it = by_name_.find(name);
    if (it == by_name_.end()) fail("{}: {} is missing", where_, name);
    return it->second.data;
  }

  std::uint64_t content_hash() const override {
    std::vector<std::span<const std::byte>> tensors;
    for (const auto& [name, tensor] : by_name_) tensors.push_back(tensor.data);
    for (const auto& [name, split] : splits_)
      for (const format::GgufTensor& tensor : split.tensors()) tensors.push_back(tensor.data);
    for (const std::span<const std::byte> bytes : factors_.bytes()) tensors.push_back(bytes);
    return model::content_hash(tensors);
  }

 private:
  const GgufSplitMatrix* split_of(std::string_view name, std::size_t rows, std::size_t cols) const {
    const auto it = splits_.find(name);
    if (it == splits_.end()) return nullptr;
    STRATA_CHECK(it->second.rows() == rows && it->second.cols() == cols, "{}", name);
    return &it->second;
  }

  /// GgufForm::rates, where the tensor is of that form: in place of the rates their logarithms.
  void undo_rates(const std::string& name, const format::GgufTensor& tensor, std::vector<float>& values) const {
    if (!rates_.contains(name)) return;
    for (float& value : values) {
      if (!(value < 0)) fail("{}: {} holds {}, expected negative numbers", where_, tensor.name, value);
      value = logarithm(-value);
    }
  }

  /// Finds the tensors that a matrix of the block lies in.
  void assemble(const Architecture& a, std::size_t b) {
    for (GgufSplit& split : gguf_splits(a, b)) {
      const auto is_there = [&](const GgufPiece& piece) { return by_name_.contains(piece.name); };
      if (!std::ranges::all_of(split.pieces, is_there)) continue;  // what is missing is named later
      std::vector<format::GgufTensor> tensors;
      for (const GgufPiece& piece : split.pieces) {
        tensors.push_back(by_name_.extract(piece.name).mapped());
        expect_shape(tensors.back(), piece.shape());
        refuse_factor(tensors.back());
      }
      splits_.emplace(split.hf, GgufSplitMatrix(std::move(split.pieces), std::move(tensors)));
    }
  }

  /// Whether a tensor belongs to a block behind the model's last, which predicts several tokens at once.
  bool is_ahead(std::string_view name, std::size_t blocks) const {
    constexpr std::string_view prefix = "blk.";
    std::uint64_t block = 0;
    if (!name.starts_with(prefix)) return false;
    name.remove_prefix(prefix.size());
    const auto [end, code] = std::from_chars(name.data(), name.data() + name.size(), block);
    return code == std::errc() && block >= blocks &&
           block < gguf_->integer(gguf_->text("general.architecture") + ".block_count");
  }

  void expect_shape(const format::GgufTensor& tensor, const std::vector<std::uint64_t>& shape) const {
    if (tensor.shape != shape)
      fail("{}: {} has shape [{}], expected [{}]", where_, tensor.name, fmt::join(tensor.shape, ", "),
           fmt::join(shape, ", "));
  }

  void refuse_factor(const format::GgufTensor& tensor) const {
    if (factors_.has(tensor.name))
      fail("{}: {} is to be multiplied with {}, which is not done yet; use a file without such factors", where_,
           tensor.name, gguf_factor_name(tensor.name));
  }

  /// Whether the values of a matrix are others than those that lie in the file, or lie otherwise.
  bool is_changed(const std::string& name, const format::GgufTensor& tensor) const {
    return heads_of(name) != 0 || rates_.contains(name) || factors_.of(tensor) != 1.0f;
  }

  const format::GgufTensor& checked(const std::string& name, const std::vector<std::uint64_t>& shape) const {
    const auto it = by_name_.find(name);
    if (it == by_name_.end()) fail("{}: {} is missing", where_, name);
    expect_shape(it->second, shape);
    return it->second;
  }

  /// Gives the tensors that are parts of this architecture their names.
  void rename_parts(const Architecture& a, std::size_t b) {
    for (const GgufName& name : gguf_part_names(a, b)) {
      auto node = by_name_.extract(name.gguf);
      if (!node) continue;  // what is missing is named later
      std::vector<std::uint64_t>& shape = node.mapped().shape;
      if (name.form == GgufForm::row && shape.size() == 1) shape.insert(shape.begin(), 1);
      if (name.form == GgufForm::squeezed && shape.size() == 2) shape.insert(shape.begin() + 1, 1);
      if (name.form == GgufForm::rates) rates_.insert(name.hf);
      if (shape.size() == 2 && shape.front() != 0 && shape.front() == name.matrix_rows)
        shape = {shape.front() * shape.back()};
      by_name_[name.hf] = node.mapped();
    }
  }

  /// Lists the gate and up of every expert where one tensor holds both.
  void unstack_pairs(const Architecture& a, std::size_t b) {
    const auto node = by_name_.extract(gguf_gate_up_stack(b));
    if (!node || !a.gated) return;
    const format::GgufTensor& whole = node.mapped();
    const std::uint64_t rows = a.experts.intermediate;
    expect_shape(whole, {a.experts.count, 2 * rows, a.expert_size()});
    const std::size_t bytes = whole.data.size() / (2 * a.experts.count);
    for (std::size_t part = 0; part < 2 * a.experts.count; ++part)
      by_name_[a.linear(b, part % 2 == 0 ? Role::gate : Role::up, part / 2).module + ".weight"] = {
          whole.name, whole.type, {rows, a.expert_size()}, whole.data.part(part * bytes, bytes)};
  }

  /// Lists the experts' matrices and biases, which are parts of the stacked tensors, under names of their own.
  void unstack(const Architecture& a, std::size_t b) {
    for (const GgufStack& stack : gguf_stacks(a, b)) {
      const auto node = by_name_.extract(stack.name);
      if (!node) {  // files of before April 2024 have a tensor an expert; missing ones are named later
        for (std::size_t e = 0; e < stack.parts.size(); ++e)
          if (auto single = by_name_.extract(stack.singles[e])) by_name_[stack.parts[e]] = single.mapped();
        continue;
      }
      const format::GgufTensor& whole = node.mapped();
      if (whole.shape.size() != (stack.bias ? 2 : 3) || whole.shape[0] != stack.parts.size())
        fail("{}: {} has shape [{}], expected [{}{}]", where_, stack.name, fmt::join(whole.shape, ", "),
             stack.parts.size(), stack.bias ? ", out" : ", out, in");
      const std::size_t bytes = whole.data.size() / stack.parts.size();
      for (std::size_t e = 0; e < stack.parts.size(); ++e)
        by_name_[stack.parts[e]] = {
            whole.name, whole.type, {whole.shape.begin() + 1, whole.shape.end()}, whole.data.part(e * bytes, bytes)};
    }
  }

  /// How many heads have interleaved rows in a tensor; 0: none.
  std::size_t heads_of(std::string_view name) const {
    if (name.find(".q_proj.") != std::string_view::npos) return heads_;
    if (name.find(".k_proj.") != std::string_view::npos) return kv_heads_;
    return 0;
  }

  /// A function from a row of the matrix to the row of the file that holds it.
  std::function<std::size_t(std::size_t)> rows_of(const std::string& name, std::size_t rows) const {
    const std::size_t heads = heads_of(name);
    if (heads == 0) return [](std::size_t r) { return r; };
    if (rows % heads != 0 || rows / heads % 2 != 0)
      fail("{}: {}: {} rows are not {} heads of even size", where_, name, rows, heads);
    return [head_dim = rows / heads, turned = turned_](std::size_t r) {
      const std::size_t first = r / head_dim * head_dim, within = r % head_dim, half = turned / 2;
      return within >= turned ? r : first + within % half * 2 + within / half;
    };
  }

  std::shared_ptr<const format::GgufFile> gguf_;
  std::string where_;
  std::size_t heads_ = 0, kv_heads_ = 0;
  std::size_t turned_ = 0;    ///< how many rows of a head are interleaved
  float norm_offset_ = 0.0f;  ///< GGUF's norms hold this + what Hugging Face's files hold
  std::map<std::string, format::GgufTensor, std::less<>> by_name_;
  std::map<std::string, GgufSplitMatrix, std::less<>> splits_;
  GgufFactors factors_;
  std::set<std::string, std::less<>> rates_;  ///< tensors whose numbers are logarithms of what the file holds
};

}  // namespace

std::vector<std::pair<std::string, std::string>> gguf_companion_files(const std::filesystem::path& path) {
  return tokenizer_from_gguf(gguf_vocabulary(format::GgufFile::open(path, format::Required::header)), path.string());
}

GgufModel open_gguf_model(const std::filesystem::path& path, format::Required required) {
  auto gguf = std::make_shared<const format::GgufFile>(format::GgufFile::open(path, required));
  json config = config_from_gguf(*gguf, path.string());
  auto source = std::make_unique<GgufSource>(gguf, config, path.string());
  return {std::move(config), std::move(source), std::string(gguf_family(gguf->text("general.architecture")).root)};
}

}  // namespace strata::model
