// The repeated part is chosen by weights, so that a small tower beside the main one stays as it is. Numbers behind
// "experts" count experts, and any other number within a block is part of a name.
#include "model/unknown.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <optional>
#include <ranges>
#include <set>
#include <tuple>

#include "model/unknown_names.h"

namespace strata::model {
namespace {

constexpr std::uint64_t kNarrowest = 128;    ///< a matrix with fewer rows or columns is worth no codes
constexpr std::uint64_t kWidest = 1u << 24;  ///< as far as sizes of known families go
constexpr std::size_t kMostBlocks = 10000;
constexpr std::string_view kWeight = ".weight", kPacked = ".weight_packed";

struct Matrix {
  std::string module;
  std::uint64_t rows, cols;
};

/// The matrix that a tensor holds: dense, quantized by another program, or in a codec's codes.
std::optional<Matrix> matrix_of(const TensorInfo& tensor, const TensorSource& source) {
  const std::string_view ending = tensor.name.ends_with(kWeight) ? kWeight : kPacked;
  if (!tensor.name.ends_with(ending) || tensor.shape.size() != 2 || tensor.shape[1] > kWidest) return {};
  Matrix matrix{tensor.name.substr(0, tensor.name.size() - ending.size()), tensor.shape[0], tensor.shape[1]};
  const bool dense = tensor.type == "BF16" || tensor.type == "F16" || tensor.type == "F32";
  const bool stored = source.codec_of(matrix.module) != nullptr;
  if (ending == kWeight && stored) return dense ? std::nullopt : std::optional(std::move(matrix));
  if (ending == kWeight) {
    const bool fp8 =
        tensor.type == "F8_E4M3" && (source.has(tensor.name + "_scale_inv") || source.has(tensor.name + "_scale"));
    const bool nvfp4 = tensor.type == "U8" && source.has(tensor.name + "_scale_2");
    if (nvfp4) matrix.cols *= 2;
    return dense || fp8 || nvfp4 ? std::optional(std::move(matrix)) : std::nullopt;
  }
  if (!stored) return {};
  const std::string shape = matrix.module + ".weight_shape";
  if (!source.has(shape)) {  // two codes in a byte
    matrix.cols *= 2;
    return matrix;
  }
  std::array<std::int64_t, 2> extents{};
  const std::span<const std::byte> bytes = source.raw(shape);
  if (bytes.size() != sizeof(extents)) return {};
  std::memcpy(extents.data(), bytes.data(), sizeof(extents));
  if (extents[0] < 0 || extents[1] < 0) return {};
  matrix.rows = static_cast<std::uint64_t>(extents[0]);
  matrix.cols = static_cast<std::uint64_t>(extents[1]);
  return matrix;
}

/// What a folder's tensors say together about each of its matrices.
class Fitness {
 public:
  Fitness(const std::vector<TensorInfo>& tensors, const std::vector<Matrix>& matrices) {
    std::map<std::string_view, std::uint64_t> biases;
    for (const TensorInfo& tensor : tensors) {
      const std::string_view name = tensor.name;
      mixture_ = mixture_ || name.find("expert") != name.npos;
      if (name.ends_with(kBias) && tensor.shape.size() == 1)
        biases[name.substr(0, name.size() - kBias.size())] = tensor.shape[0];
    }
    for (const Matrix& m : matrices)
      if (const auto it = biases.find(m.module); it != biases.end() && it->second == m.cols) {
        inputs_first_.insert(m.module);
        if (m.rows != m.cols) example_ = m.module;
      }
    // A square matrix may have its bias of either extent, so that other matrices must show the order.
    if (example_.empty()) inputs_first_.clear();
  }

  bool is_fit(const Matrix& m) const {
    if (std::min(m.rows, m.cols) < kNarrowest || std::max(m.rows, m.cols) > kWidest) return false;
    if (m.module.size() > kLongestName || inputs_first_.contains(m.module)) return false;
    const std::string text = "." + m.module + ".";
    for (const std::string_view part : {"router", "embed", "norm", ".wte.", ".wpe.", ".indexer."})
      if (text.find(part) != text.npos) return false;
    const std::string_view last = last_of(m.module);
    return last.find("conv") == last.npos && !(mixture_ && last == "gate");
  }
  /// A module whose weight is (in, out), as its bias shows; empty when there is none.
  const std::string& inputs_first() const { return example_; }

 private:
  static constexpr std::string_view kBias = ".bias";
  bool mixture_ = false;  ///< "gate" is a router's name then
  std::set<std::string, std::less<>> inputs_first_;
  std::string example_;
};

/// What stands behind one prefix and a number.
struct Repeats {
  std::set<std::size_t> numbers;
  std::map<std::string_view, std::size_t> rests;
  double weights = 0;
};

/// What the blocks' names begin with: the prefix of most weights of which something stands in at least half of the
/// blocks.
std::optional<std::string> repeated_prefix(const std::vector<TensorInfo>& tensors) {
  std::map<std::string_view, Repeats> by_prefix;
  for (const TensorInfo& tensor : tensors) {
    double weights = 1;
    for (const std::uint64_t extent : tensor.shape) weights *= static_cast<double>(extent);
    for (const NameSplit& split : splits_of(tensor.name)) {
      if (split.before.ends_with(kExperts)) continue;
      Repeats& repeats = by_prefix[split.before];
      repeats.numbers.insert(split.number);
      ++repeats.rests[split.rest];
      repeats.weights += weights;
    }
  }
  std::optional<std::string> best;
  double most = 0;
  for (const auto& [prefix, repeats] : by_prefix) {
    const std::size_t blocks = repeats.numbers.size();
    const bool repeated = blocks > 1 && std::ranges::any_of(repeats.rests, [&](const auto& rest) {
                            return rest.second > 1 && 2 * rest.second >= blocks;
                          });
    if (repeated && repeats.weights > most) best = std::string(prefix), most = repeats.weights;
  }
  return best;
}

/// The matrices of the blocks below `last`, by block, with experts in the order of their numbers. Where one matrix of a
/// block's experts is unfit, all stay as they are: runtimes look experts up by one pattern.
std::map<std::size_t, std::vector<Matrix>> blocks_of(const std::vector<Matrix>& matrices, const Fitness& fitness,
                                                     const std::string& prefix, std::size_t last) {
  std::set<std::string> unfit;
  for (const Matrix& m : matrices)
    if (!fitness.is_fit(m) && expert_of(m.module)) unfit.insert(group_of(m.module));
  std::map<std::size_t, std::vector<Matrix>> blocks;
  for (const Matrix& m : matrices)
    for (const NameSplit& split : splits_of(m.module))
      if (split.before == prefix && split.number < last && fitness.is_fit(m) && !unfit.contains(group_of(m.module)))
        blocks[split.number].push_back(m);
  for (auto& [number, block] : blocks)
    std::ranges::sort(block, {}, [](const Matrix& m) {
      const auto expert = expert_of(m.module);
      return std::tuple(expert.has_value(), group_of(m.module), expert ? expert->number : 0, m.module);
    });
  return blocks;
}

void add_block(Architecture& a, const std::vector<Matrix>& matrices) {
  const std::size_t block = a.layout.size();
  a.layout.push_back({a.linears.size(), matrices.size(), false});
  std::map<std::string, std::set<std::uint64_t>> widths;
  for (const Matrix& m : matrices) widths[group_of(m.module)].insert(m.cols);
  for (const Matrix& m : matrices) {
    const auto expert = expert_of(m.module);
    std::string group = group_of(m.module);
    if (!expert && widths[group].size() > 1) group = m.module;  // what is fused reads the same inputs
    if (a.groups.empty() || a.groups.back().name != group) a.groups.push_back({group, block, {}});
    a.groups.back().linears.push_back(a.linears.size());
    a.linears.push_back({m.module, role_of(m.module), block, m.rows, m.cols, false, a.groups.size() - 1,
                         expert ? expert->number : kNoExpert});
  }
}

[[noreturn]] void refuse(const std::string& type, const Fitness& fitness, const std::string& where) {
  if (!fitness.inputs_first().empty())
    fail(
        "{}: model_type '{}' is not known, and its matrices are stored with inputs first, as {}.weight, whose bias has "
        "its second extent; a folder of compressed-tensors holds them with outputs first",
        where, type, fitness.inputs_first());
  fail(
      "{}: model_type '{}' is not known, and its files hold no repeated blocks (two or more) of matrices (names such "
      "as layers.0.attention.q.weight, {} or more rows and columns) that could be quantized; known are {}",
      where, type, kNarrowest, known_families(families()));
}

}  // namespace

namespace {

Architecture not_runnable(const json& config, const std::string& why) {
  Architecture a;
  a.model_type = config["model_type"].get<std::string>();
  a.why_not_runnable = why +
                       "; quantize --method rtn works, into a folder with --preset prior, uniform:CODEC or lwq, and "
                       "inspect does";
  a.tied = true;  // no linear is taken for a head
  a.heads = a.kv_heads = 1;
  return a;
}

}  // namespace

Architecture unknown_architecture(const json& config) {
  return not_runnable(config, fmt::format("model_type '{}' is not known here, so its forward pass cannot be run",
                                          config["model_type"].get<std::string>()));
}

bool lacks_head(const Architecture& a, const TensorSource& source) {
  const auto is_there = [&](const std::string& module) {
    return source.has(module + std::string(kWeight)) || source.codec_of(module) != nullptr;
  };
  if (a.tied || is_there(a.names.linear(Role::lm_head))) return false;
  // A model of which more is missing has another fault, which check_tensors names.
  const auto missing = [&](const Linear& l) { return l.role != Role::lm_head && !is_there(l.module); };
  const auto wide = [](const Linear& l) { return l.role != Role::lm_head && std::min(l.rows, l.cols) >= kNarrowest; };
  return std::ranges::none_of(a.linears, missing) && std::ranges::any_of(a.linears, wide);
}

Architecture architecture_without_head(const json& config) {
  return not_runnable(config,
                      "its files hold no lm_head, so that it makes no logits that could be measured (if the embedding "
                      "is the head too, set config.json's tie_word_embeddings to true)");
}

void find_linears(Architecture& a, const json& config, const TensorSource& source, const std::string& where) {
  const std::vector<TensorInfo> tensors = source.tensors();
  std::vector<Matrix> matrices;
  std::set<std::string> seen;
  for (const TensorInfo& tensor : tensors)
    if (auto matrix = matrix_of(tensor, source); matrix && seen.insert(matrix->module).second)
      matrices.push_back(std::move(*matrix));
  const Fitness fitness(tensors, matrices);
  const std::optional<std::string> prefix = repeated_prefix(tensors);
  if (!prefix) refuse(a.model_type, fitness, where);
  const auto announced = config.find("num_hidden_layers");
  const bool says = announced != config.end() && announced->is_number_integer() && *announced > 0;
  const auto blocks = blocks_of(matrices, fitness, *prefix, says ? announced->get<std::size_t>() : kNoBlock);
  if (blocks.empty()) refuse(a.model_type, fitness, where);
  if (blocks.size() > kMostBlocks)
    fail("{}: has {} blocks named {}N, expected at most {}", where, blocks.size(), *prefix, kMostBlocks);
  a.names.root = *prefix;
  a.names.blocks = {};
  a.blocks = blocks.size();
  a.attention.resize(a.blocks);
  for (const auto& [number, block] : blocks) add_block(a, block);
}

std::vector<TensorInfo> carried_of_unknown(const Architecture& a, const TensorSource& source) {
  std::set<std::string, std::less<>> modules;
  for (const Linear& linear : a.linears) modules.insert(linear.module);
  std::vector<TensorInfo> carried;
  for (const TensorInfo& tensor : source.tensors()) {
    const std::string module = tensor.name.substr(0, tensor.name.rfind('.'));
    const bool weight = tensor.name == module + std::string(kWeight);
    const bool part = tensor.name.starts_with(module + ".weight") && source.codec_of(module) != nullptr;
    if (!modules.contains(module) || !(weight || part)) carried.push_back(tensor);
  }
  return carried;
}

void check_copies(const Model& model) {
  if (model.architecture().why_not_runnable.empty()) return;
  for (const TensorInfo& tensor : model.carried()) {
    const bool scaled = model.has(tensor.name + "_scale_inv") || model.has(tensor.name + "_scale");
    if (tensor.name.ends_with(kPacked) || tensor.name.ends_with("_blocks") || (tensor.type == "F8_E4M3" && scaled))
      fail(
          "{}: {} is quantized already and is not among the matrices that would be quantized here, so that no "
          "quantization_config could describe it beside them; quantize the model's original",
          model.path().string(), tensor.name);
  }
}

void check_gguf_names(const Architecture& a, const std::string& where) {
  if (!a.why_not_runnable.empty() && find_family(a.model_type) != nullptr)
    fail(
        "{}: its files hold no lm_head, without which a GGUF file is no model; write a folder: an --output whose name "
        "does not end in .gguf",
        where);
  if (!a.why_not_runnable.empty())
    fail(
        "{}: model_type '{}' is not known here, and neither are the names that a GGUF file has for its tensors; write "
        "a folder: an --output whose name does not end in .gguf",
        where, a.model_type);
}

}  // namespace strata::model
