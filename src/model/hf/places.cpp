// Stacks are looked for where transformers keeps them and where model families do; which of the two orientations a
// stack has follows from its shape. The scales of a quantized weight are named after it.
#include "model/hf/places.h"

#include <algorithm>
#include <array>

#include "core/checked.h"
#include "core/error.h"
#include "model/mlx/families.h"
#include "model/tensors.h"

namespace strata::model {
namespace {

using format::EncodedMatrix;
using format::TensorView;

/// How the two stacks of a block are named within its mixture, and their router where it is not "gate".
struct StackEndings {
  std::string_view gate_up, down, router;
};
constexpr std::array<StackEndings, 2> kStackEndings = {
    {{"experts.gate_up_proj", "experts.down_proj", {}},
     {"input_linear.weight", "output_linear.weight", "router.layer.weight"}}};  // GraniteMoe

/// What transformers 5 calls the mixture of every family, when it saves experts as it holds them.
constexpr std::string_view kHeldModule = "mlp";

/// Names of norms within blocks, and what transformers calls these when it saves some families (conversion_mapping.py,
/// OLMo Hybrid).
struct OtherName {
  std::string_view own, other;
};
constexpr std::array<OtherName, 2> kOtherNorms = {
    {{"input_layernorm", "attention_layer_norm"}, {"post_attention_layernorm", "feedforward_layer_norm"}}};

/// Types of weights whose values take scales. MLX's codes are U32.
bool is_quantized(DType type) { return type == DType::e4m3 || type == DType::e5m2 || type == DType::u8; }

class Finder {
 public:
  Finder(const format::SafetensorsSet& files, const Architecture& a, EncodedMatrix::Block block,
         const std::string& where)
      : files_(files), a_(a), block_(block), where_(where) {}

  /// Weights of linears that are quantized otherwise than by a codec.
  void add_linears(const std::function<bool(const std::string& module)>& has_codec) {
    for (const Linear& linear : a_.linears) {
      const std::string name = linear.module + ".weight";
      const TensorView* tensor = files_.find(name);
      if (tensor == nullptr || !is_quantized(tensor->dtype) || has_codec(linear.module)) continue;
      if (files_.find(linear.module + ".pre_quant_scale") != nullptr)
        fail(
            "{}: {} is to be multiplied with inputs that are scaled first (pre_quant_scale), which is not done; use "
            "the original model",
            where_, name);
      Place place{.stack = encoded(name, false), .rows = linear.rows, .cols = linear.cols};
      if (place.stack.rows() != linear.rows || place.stack.cols() != linear.cols)
        fail("{}: {} has shape [{}, {}], but config.json asks for [{}, {}]", where_, name, place.stack.rows(),
             place.stack.cols(), linear.rows, linear.cols);
      places_.by_name.emplace(name, place);
    }
  }

  /// Dense linears that the files hold as (in, out).
  void add_turned(const std::function<bool(const std::string& module)>& has_codec) {
    for (const Linear& linear : a_.linears) {
      const std::string name = linear.module + ".weight";
      const TensorView* tensor = files_.find(name);
      if (linear.block == kNoBlock || tensor == nullptr || is_quantized(tensor->dtype) || has_codec(linear.module))
        continue;
      Place place{.stack = encoded(name, false), .transposed = true, .rows = linear.rows, .cols = linear.cols};
      if (place.stack.rows() != linear.cols || place.stack.cols() != linear.rows)
        fail("{}: {} has shape [{}, {}], but config.json asks for [{}, {}], inputs first", where_, name,
             place.stack.rows(), place.stack.cols(), linear.cols, linear.rows);
      places_.by_name.emplace(name, place);
    }
  }

  /// Matrices that MLX has quantized: linears, the embedding, routers.
  void add_mlx() {
    for (const ExpectedTensor& tensor : expected_tensors(a_)) {
      if (tensor.shape.size() != 2 || !tensor.name.ends_with(kWeight)) continue;
      const std::string module = tensor.name.substr(0, tensor.name.size() - kWeight.size());
      if (auto matrix = mlx_matrix(module, 0, tensor.shape[0], tensor.shape[1]))
        places_.by_name.emplace(tensor.name,
                                Place{.rows = tensor.shape[0], .cols = tensor.shape[1], .mlx = std::move(matrix)});
    }
  }

  void add_experts() {
    for (std::size_t b = 0; b < a_.blocks; ++b) {
      if (!a_.layout[b].mixture || add_mlx_stacks(b)) continue;
      if (!a_.gated) continue;  // no family without gates has stacks in its files
      const std::string own = mixture_prefix(a_, b);
      const std::string held = a_.names.block(b) + std::string(kHeldModule) + ".";
      if (add_stacks(b, own)) continue;
      if (own != held && add_stacks(b, held)) rename(held, own);
    }
  }

  void add_norms() {
    for (std::size_t b = 0; b < a_.blocks; ++b)
      for (const Norm norm : {Norm::before_attention, Norm::after_attention, Norm::before_feed_forward}) {
        if (!a_.has(norm, b)) continue;
        for (const OtherName& names : kOtherNorms)
          if (norm_part(a_, norm, b) == names.own)
            rename_tensor(fmt::format("{}{}.weight", a_.names.block(b), names.other), norm_name(a_, norm, b));
      }
  }

  Places take() { return std::move(places_); }

 private:
  static constexpr std::string_view kWeight = ".weight";

  std::shared_ptr<const format::MlxMatrix> mlx_matrix(const std::string& module, std::uint64_t planes,
                                                      std::uint64_t rows, std::uint64_t cols) {
    auto matrix = format::MlxMatrix::find(
        module, planes, rows, cols, [&](std::string_view name) { return files_.find(name); }, where_);
    if (!matrix) return nullptr;
    for (const TensorView* part : matrix->parts()) places_.taken.insert(part->name);
    return std::make_shared<const format::MlxMatrix>(*std::move(matrix));
  }

  /// A stack for each role, quantized or dense, as mlx_lm saves them.
  bool add_mlx_stacks(std::size_t b) {
    const std::vector<std::string> modules = mlx_stack_modules(a_, b);
    const auto has_stack = [&](const std::string& module) {
      return files_.find(fmt::format("{}.{}.weight", module, mlx_role_name(Role::down))) != nullptr;
    };
    const auto module = std::ranges::find_if(modules, has_stack);
    if (module == modules.end()) return false;
    for (const Role role : a_.expert_roles())
      add_mlx_stack(b, role, fmt::format("{}.{}", *module, mlx_role_name(role)));
    return true;
  }

  void add_mlx_stack(std::size_t b, Role role, const std::string& module) {
    const Linear& first = a_.linear(b, role, 0);
    const std::string name = module + std::string(kWeight);
    Place place{.mlx = mlx_matrix(module, a_.experts.count, first.rows, first.cols)};
    if (place.mlx == nullptr) {
      if (files_.find(name) == nullptr) fail("{}: {} is missing", where_, name);
      place.stack = encoded(name, true);
      const EncodedMatrix& stack = place.stack;
      if (stack.planes() != a_.experts.count || stack.rows() != first.rows || stack.cols() != first.cols)
        fail("{}: {} has shape [{}, {}, {}], but config.json asks for [{}, {}, {}]", where_, name, stack.planes(),
             stack.rows(), stack.cols(), a_.experts.count, first.rows, first.cols);
    }
    for (std::size_t e = 0; e < a_.experts.count; ++e) {
      place.plane = e;
      add(a_.linear(b, role, e), place);
    }
  }

  /// A tensor, or the codes of one in MXFP4.
  const TensorView* codes_of(const std::string& name) const {
    const TensorView* tensor = files_.find(name);
    return tensor != nullptr ? tensor : files_.find(name + "_blocks");
  }

  /// The matrix of a name that codes_of finds, with the scales beside it.
  EncodedMatrix encoded(const std::string& name, bool stacked) {
    format::EncodedParts parts{codes_of(name)};
    for (const char* ending : {"_scale_inv", "_scale", "_scales"})
      if (parts.scales == nullptr) parts.scales = files_.find(name + ending);
    parts.tensor_scales = files_.find(name + "_scale_2");
    for (const TensorView* part : {parts.codes, parts.scales, parts.tensor_scales})
      if (part != nullptr) places_.taken.insert(part->name);
    return {parts, stacked, block_, where_};
  }

  bool add_stacks(std::size_t b, const std::string& prefix) {
    for (const StackEndings& names : kStackEndings) {
      const std::string gate_up = prefix + std::string(names.gate_up), down = prefix + std::string(names.down);
      if (codes_of(gate_up) == nullptr || codes_of(down) == nullptr) continue;
      add_stacks(b, gate_up, down);
      if (!names.router.empty())
        rename_tensor(prefix + std::string(names.router), fmt::format("{}{}.weight", prefix, a_.experts.router));
      return true;
    }
    return false;
  }

  void add_stacks(std::size_t b, const std::string& gate_up, const std::string& down) {
    const Experts& e = a_.experts;
    const EncodedMatrix both = encoded(gate_up, true), second = encoded(down, true);
    const bool transposed = check_stacks(both, second);
    // MXFP4 lies along the inputs, which are the last extent then, whatever the family's dense stacks hold.
    const bool turned = both.kind() == EncodedMatrix::Kind::mxfp4 && e.stacks != Experts::Stacks::never;
    places_.stacks[b] = {gate_up, down, transposed || turned};
    const std::uint64_t step = e.interleaved ? 2 : 1, up = e.interleaved ? 1 : e.intermediate;
    for (std::size_t i = 0; i < e.count; ++i) {
      add(a_.linear(b, Role::gate, i), {.stack = both, .plane = i, .step = step, .transposed = transposed});
      add(a_.linear(b, Role::up, i), {.stack = both, .plane = i, .first = up, .step = step, .transposed = transposed});
      add(a_.linear(b, Role::down, i), {.stack = second, .plane = i, .transposed = transposed});
    }
    if (const TensorView* bias = files_.find(gate_up + "_bias")) {
      const EncodedMatrix column = biases(*bias, 2 * e.intermediate);
      for (std::size_t i = 0; i < e.count; ++i) {
        add_bias(a_.linear(b, Role::gate, i), {.stack = column, .plane = i, .step = step});
        add_bias(a_.linear(b, Role::up, i), {.stack = column, .plane = i, .first = up, .step = step});
      }
    }
    if (const TensorView* bias = files_.find(down + "_bias")) {
      const EncodedMatrix column = biases(*bias, a_.hidden);
      for (std::size_t i = 0; i < e.count; ++i) add_bias(a_.linear(b, Role::down, i), {.stack = column, .plane = i});
    }
  }

  /// Returns whether the stacks hold (in, out). Both orientations at once would need 2 I = H = I.
  bool check_stacks(const EncodedMatrix& gate_up, const EncodedMatrix& down) const {
    const std::uint64_t both = 2 * a_.experts.intermediate, one = a_.experts.intermediate, hidden = a_.hidden;
    const auto fits = [&](const EncodedMatrix& stack, std::uint64_t rows, std::uint64_t cols) {
      return stack.planes() == a_.experts.count && stack.rows() == rows && stack.cols() == cols;
    };
    if (fits(gate_up, both, hidden) && fits(down, hidden, one)) return false;
    if (fits(gate_up, hidden, both) && fits(down, one, hidden)) return true;
    fail(
        "{}: {} has shape [{}, {}, {}] and {} [{}, {}, {}]; {} experts of {} rows that read {} need [{}, {}, {}] and "
        "[{}, {}, {}], or the last two extents of both the other way round",
        where_, gate_up.codes().name, gate_up.planes(), gate_up.rows(), gate_up.cols(), down.codes().name,
        down.planes(), down.rows(), down.cols(), a_.experts.count, one, hidden, a_.experts.count, both, hidden,
        a_.experts.count, hidden, one);
  }

  EncodedMatrix biases(const TensorView& tensor, std::uint64_t size) {
    const EncodedMatrix column = EncodedMatrix::column(tensor, where_);
    if (column.planes() != a_.experts.count || column.rows() != size)
      fail("{}: {} has shape [{}], expected [{}, {}]", where_, tensor.name, fmt::join(tensor.shape, ", "),
           a_.experts.count, size);
    places_.taken.insert(tensor.name);
    return column;
  }

  void add(const Linear& linear, Place place) {
    place.rows = linear.rows;
    place.cols = linear.cols;
    places_.by_name.emplace(linear.module + ".weight", place);
  }

  void add_bias(const Linear& linear, Place place) {
    place.rows = linear.rows;
    place.cols = 1;
    place.is_vector = true;
    places_.by_name.emplace(linear.module + ".bias", place);
  }

  /// Lists all tensors below `from` under names below `to`.
  void rename(const std::string& from, const std::string& to) {
    for (auto it = files_.tensors().lower_bound(from); it != files_.tensors().end() && it->first.starts_with(from);
         ++it)
      if (!places_.taken.contains(it->first)) rename_tensor(it->first, to + it->first.substr(from.size()));
  }

  void rename_tensor(const std::string& from, const std::string& to) {
    const TensorView* tensor = files_.find(from);
    if (tensor == nullptr || files_.find(to) != nullptr) return;
    places_.aliases[to] = tensor;
    places_.taken.insert(from);
  }

  const format::SafetensorsSet& files_;
  const Architecture& a_;
  EncodedMatrix::Block block_;
  const std::string& where_;
  Places places_;
};

}  // namespace

std::vector<std::uint64_t> Place::shape() const {
  if (is_vector) return {rows};
  return {rows, cols};
}

std::string Place::type() const { return mlx != nullptr ? mlx->codec().name : stack.type(); }

std::uint64_t Place::bytes() const {
  if (mlx != nullptr) return mlx->plane_bytes();
  const std::uint64_t all = transposed ? stack.cols() : stack.rows();  // the other extent is whole
  if (rows == all) return stack.plane_bytes();
  return stack.plane_bytes() / all * rows + stack.plane_bytes() % all * rows / all;
}

std::vector<std::span<const std::byte>> Place::spans() const {
  if (mlx != nullptr) return mlx->spans(plane);
  std::vector<std::span<const std::byte>> result = {stack.plane_of(stack.codes(), plane)};
  if (!transposed && step == 1) result[0] = result[0].subspan(first * stack.row_bytes(), rows * stack.row_bytes());
  if (stack.parts().scales != nullptr) result.push_back(stack.plane_of(*stack.parts().scales, plane));
  return result;
}

Places find_places(const format::SafetensorsSet& files, const Architecture& architecture,
                   const std::function<bool(const std::string& module)>& has_codec, EncodedMatrix::Block block,
                   const std::string& where) {
  Finder finder(files, architecture, block, where);
  finder.add_linears(has_codec);
  if (architecture.turned_linears) finder.add_turned(has_codec);
  finder.add_mlx();
  finder.add_experts();
  finder.add_norms();
  return finder.take();
}

}  // namespace strata::model
