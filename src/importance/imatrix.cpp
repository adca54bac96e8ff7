// Tensors NAME.in_sum2 (matrices, inputs) and NAME.counts (matrices, 1), NAME being the weight's in GGUF and experts
// stacked: importance = sum / count. Source: llama.cpp, tools/imatrix/imatrix.cpp.
#include "importance/imatrix.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include "core/error.h"
#include "core/file.h"
#include "format/gguf.h"
#include "format/gguf_write.h"
#include "importance/imatrix_dat.h"
#include "model/gguf/names.h"
#include "model/gguf/splits.h"
#include "model/head_order.h"

namespace strata::importance {
namespace {

constexpr std::uint32_t kF32 = 0;

/// A tensor of a GGUF model, and the linears that it holds: the experts of a stack in order, or one.
struct Weight {
  std::string name;
  std::vector<const model::Linear*> linears;
  std::size_t cols() const { return linears.front()->cols; }
};

bool is_collected(const model::Linear& linear) { return linear.role != model::Role::embed; }

/// The weights of a model whose inputs an importance matrix has, in the order of Architecture::linears.
std::vector<Weight> weights_of(const model::Architecture& a, const std::string& where) {
  if (a.experts.shared_intermediate != 0)
    fail("{}: importance matrices of models with shared experts are not read or written here", where);
  std::map<std::string, std::vector<std::string>> names;  // of stacked experts and of matrices in two tensors
  for (std::size_t b = 0; b < a.blocks; ++b) {
    for (const model::GgufSplit& split : model::gguf_splits(a, b))
      if (std::ranges::none_of(split.pieces, &model::GgufPiece::transposed))  // whose inputs are other ones
        for (const model::GgufPiece& piece : split.pieces) names[split.hf].push_back(piece.name);
    if (a.layout[b].mixture)
      for (const model::GgufStack& stack : model::gguf_stacks(a, b))
        for (const std::string& part : stack.parts) names[part] = {stack.name};
  }
  std::vector<Weight> result;
  std::map<std::string, std::size_t> places;
  for (const model::Linear& linear : a.linears) {
    if (!is_collected(linear)) continue;
    const std::string hf_name = linear.module + ".weight";
    if (!names.contains(hf_name)) {
      const auto name = model::gguf_tensor_name(a.names, hf_name, model::gguf_family_of(a));
      if (!name) fail("{}: {} has no place in an importance matrix", where, linear.module);
      names[hf_name] = {*name};
    }
    for (const std::string& name : names[hf_name]) {
      const auto [place, added] = places.emplace(name, result.size());
      if (added) result.push_back({name, {}});
      result[place->second].linears.push_back(&linear);
    }
  }
  return result;
}

/// Where the model has the inputs of a linear that an importance matrix has in llama.cpp's order.
class InputOrder {
 public:
  explicit InputOrder(const model::Architecture& a) {
    if (a.delta.tiled != model::tiles_value_heads(a)) orders_ = model::value_head_orders(a, true);
  }
  std::size_t source(const model::Linear& linear, std::size_t input) const {
    const auto it = orders_.find(linear.module + ".weight");
    return it == orders_.end() || !it->second.columns ? input : it->second.source(input);
  }

 private:
  model::HeadOrders orders_;
};

/// How many tokens a linear's mean square is over.
std::size_t tokens_of(const InputMeanSquare& inputs, const model::Linear& linear) {
  if (!linear.routed()) return inputs.tokens();
  const std::size_t own = inputs.routed(linear.block)[linear.expert];
  return own < kFewTokens ? inputs.tokens() : own;
}

/// A file of importances: the means of a weight's inputs, those of stacked experts one after another.
class Source {
 public:
  Source(const std::filesystem::path& path, std::string where) : where_(std::move(where)) {
    if (!format::is_gguf(path)) {
      const MappedFile file(path);
      old_ = parse_imatrix_dat(file.bytes(), where_);
      return;
    }
    gguf_.emplace(format::GgufFile::open(path));
    if (!gguf_->has("general.type") || gguf_->text("general.type") != "imatrix")
      fail("{}: is a GGUF file, but no importance matrix; make one with strata score --imatrix-out or llama-imatrix",
           where_);
  }

  bool has(const std::string& name) const {
    return gguf_ ? gguf_->find(name + ".in_sum2") != nullptr : old_.contains(name);
  }
  /// Empty when the file has nothing of the name.
  std::vector<float> means(const std::string& name, std::size_t matrices, std::size_t cols) const {
    if (gguf_) return means_of_sums(name, matrices, cols);
    const auto it = old_.find(name);
    if (it == old_.end()) return {};
    if (it->second.size() != matrices * cols)
      refuse(name, fmt::format("{} numbers", it->second.size()), matrices, cols);
    return it->second;
  }

 private:
  std::vector<float> means_of_sums(const std::string& name, std::size_t matrices, std::size_t cols) const;
  std::vector<float> numbers(const std::string& name, std::size_t matrices, std::size_t cols) const;
  [[noreturn]] void refuse(const std::string& name, const std::string& has, std::size_t matrices,
                           std::size_t cols) const {
    fail("{}: {} is {} where this model needs F32 [{}, {}]; the importance matrix is of another model", where_, name,
         has, matrices, cols);
  }

  std::string where_;
  std::optional<format::GgufFile> gguf_;
  std::map<std::string, std::vector<float>> old_;
};

std::vector<float> Source::numbers(const std::string& name, std::size_t matrices, std::size_t cols) const {
  const format::GgufTensor* tensor = gguf_->find(name);
  if (tensor == nullptr) return {};
  std::uint64_t size = 1;
  for (const std::uint64_t extent : tensor->shape) size *= extent;
  if (tensor->type != kF32 || size != matrices * cols)
    refuse(name, fmt::format("{} [{}]", format::ggml_type_name(tensor->type), fmt::join(tensor->shape, ", ")), matrices,
           cols);
  std::vector<float> values(size);
  format::ggml_dequantize_row(kF32, tensor->data.data(), size, values.data());
  return values;
}

std::vector<float> Source::means_of_sums(const std::string& name, std::size_t matrices, std::size_t cols) const {
  std::vector<float> values = numbers(name + ".in_sum2", matrices, cols);
  const std::vector<float> counts = numbers(name + ".counts", matrices, 1);
  if (values.empty() || counts.empty()) return {};
  for (std::size_t m = 0; m < matrices; ++m)
    for (std::size_t c = m * cols; c < (m + 1) * cols; ++c)
      values[c] = counts[m] > 0.0f ? values[c] / counts[m] : 1.0f;  // what was never fed counts alike, as in llama.cpp
  return values;
}

}  // namespace

void write_imatrix(const std::filesystem::path& path, const model::Model& model, const InputMeanSquare& inputs,
                   const CalibrationSource& source) {
  const std::vector<Weight> weights = weights_of(model.architecture(), model.path().string());
  format::GgufKeys keys;
  keys.add("general.type", "imatrix");
  keys.add("imatrix.datasets", std::vector<std::string>{source.text()});
  keys.add("imatrix.chunk_count", static_cast<std::uint32_t>(inputs.tokens() / source.seq_len));
  keys.add("imatrix.chunk_size", static_cast<std::uint32_t>(source.seq_len));
  std::vector<format::GgufTensorSpec> specs;
  for (const auto& [name, linears] : weights) {
    specs.push_back({name + ".in_sum2", kF32, {linears.size(), linears.front()->cols}});
    specs.push_back({name + ".counts", kF32, {linears.size(), 1}});
  }
  const format::GgufLayout layout = format::lay_out_gguf(std::move(keys), std::move(specs));
  format::GgufWriter file(path, layout);
  const InputOrder order(model.architecture());
  for (const Weight& weight : weights) {
    std::vector<float> sums, counts;
    for (const model::Linear* const linear : weight.linears) {
      counts.push_back(static_cast<float>(tokens_of(inputs, *linear)));
      const std::vector<float> means = inputs.of(*linear);
      for (std::size_t i = 0; i < means.size(); ++i) sums.push_back(means[order.source(*linear, i)] * counts.back());
    }
    file.write(std::as_bytes(std::span(sums)));
    file.write(std::as_bytes(std::span(counts)));
  }
  file.commit();
}

std::vector<std::vector<float>> read_imatrix(const std::filesystem::path& path, const model::Model& model) {
  const std::string where = path.string();
  const model::Architecture& a = model.architecture();
  const Source source(path, where);
  const InputOrder order(a);
  std::vector<std::vector<float>> result(a.linears.size());
  for (const Weight& weight : weights_of(a, model.path().string())) {
    const std::vector<float> means = source.means(weight.name, weight.linears.size(), weight.cols());
    if (means.empty() && weight.linears.front()->block != model::kNoBlock)
      fail("{}: has no {}; the importance matrix is of another model", where, weight.name);
    for (const float mean : means)
      if (!(std::isfinite(mean) && mean >= 0.0f))
        fail("{}: {} holds {}; the file is damaged", where, weight.name, mean);
    for (std::size_t i = 0; i < weight.linears.size() && !means.empty(); ++i) {
      const model::Linear& linear = *weight.linears[i];
      std::vector<float>& of_linear = result[static_cast<std::size_t>(&linear - a.linears.data())];
      of_linear.resize(weight.cols());
      for (std::size_t c = 0; c < weight.cols(); ++c) of_linear[order.source(linear, c)] = means[i * weight.cols() + c];
    }
  }
  if (source.has(fmt::format("blk.{}.attn_q.weight", a.blocks)))
    fail("{}: has more than the {} blocks of this model; the importance matrix is of another model", where, a.blocks);
  return result;
}

}  // namespace strata::importance
