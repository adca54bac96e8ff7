// Stacks are looked for where transformers keeps them and where model families do; which of the two orientations a
// stack has follows from its shape. The scales of a quantized weight are named after it.
#include "model/hf/places.h"

#include <array>

#include "core/checked.h"
#include "core/error.h"

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
      if (tensor == nullptr || (tensor->dtype != DType::e4m3 && tensor->dtype != DType::u8) || has_codec(linear.module))
        continue;
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

  void add_experts() {
    for (std::size_t b = 0; b < a_.blocks; ++b) {
      if (!a_.layout[b].mixture) continue;
      if (!a_.gated) continue;  // no family without gates has stacks in its files
      const std::string own = a_.names.block(b) + std::string(a_.experts.module) + ".";
      const std::string held = a_.names.block(b) + std::string(kHeldModule) + ".";
      if (add_stacks(b, own)) continue;
      if (own != held && add_stacks(b, held)) rename(held, own);
    }
  }

  Places take() { return std::move(places_); }

 private:
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

std::uint64_t Place::bytes() const {
  const std::uint64_t all = transposed ? stack.cols() : stack.rows();  // the other extent is whole
  if (rows == all) return stack.plane_bytes();
  return stack.plane_bytes() / all * rows + stack.plane_bytes() % all * rows / all;
}

std::span<const std::byte> Place::span() const {
  const auto plane_bytes = stack.plane_of(stack.codes(), plane);
  if (transposed || step != 1) return plane_bytes;
  return plane_bytes.subspan(first * stack.row_bytes(), rows * stack.row_bytes());
}

Places find_places(const format::SafetensorsSet& files, const Architecture& architecture,
                   const std::function<bool(const std::string& module)>& has_codec, EncodedMatrix::Block block,
                   const std::string& where) {
  Finder finder(files, architecture, block, where);
  finder.add_linears(has_codec);
  finder.add_experts();
  return finder.take();
}

}  // namespace strata::model
