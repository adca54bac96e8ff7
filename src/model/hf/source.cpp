// Tensors of a Hugging Face folder by one name a matrix: dense, in a codec (compressed-tensors), quantized by MLX or
// another program, or stacked experts. Dense weights are views into the mapped files wherever their rows lie in order.
#include <algorithm>
#include <array>

#include "core/checked.h"
#include "core/file.h"
#include "core/threads.h"
#include "format/compressed_tensors.h"
#include "model/content_hash.h"
#include "model/find_names.h"
#include "model/hf/input_rounding.h"
#include "model/hf/native.h"
#include "model/hf/places.h"
#include "model/sources.h"

namespace strata::model {
namespace {

using format::EncodedMatrix;
using format::TensorView;

/// Methods of other programs whose tensors say themselves what they hold.
constexpr std::array<std::string_view, 4> kSelfDescribing = {"fp8", "fbgemm_fp8", "modelopt", "mxfp4"};

bool is_float(DType type) { return type == DType::bf16 || type == DType::f16 || type == DType::f32; }

/// The first two positive numbers below `key`, however deep: the extents of blocks that share a scale.
std::optional<EncodedMatrix::Block> find_block(const json& value, std::string_view key) {
  if (!value.is_structured()) return std::nullopt;
  for (const auto& [name, item] : value.items()) {
    if (value.is_object() && name == key && item.is_array() && item.size() == 2 && item[0].is_number_unsigned() &&
        item[1].is_number_unsigned() && item[0] != 0 && item[1] != 0)
      return EncodedMatrix::Block{item[0].get<std::uint64_t>(), item[1].get<std::uint64_t>()};
    if (const auto found = find_block(item, key)) return found;
  }
  return std::nullopt;
}

/// What runtimes keep beside quantized weights for activations and caches: k_scale, input_scale, act_zero_point. The
/// part before the ending is any but "weight", whose scales belong to a linear.
bool is_side_tensor(std::string_view name) {
  const std::string_view last = name.substr(name.rfind('.') + 1);
  return !last.starts_with("weight") &&
         (last.ends_with("_scale") || last.ends_with("_zero_point") || last.ends_with("_amax"));
}

class HfSource final : public TensorSource {
 public:
  HfSource(const std::filesystem::path& directory, const json& config, Architecture& a, format::Required required)
      : where_(directory.string()),
        runnable_(a.why_not_runnable.empty()),
        files_(format::SafetensorsSet::open_directory(directory, required)) {
    std::vector<ExpectedTensor> present;
    for (const auto& [name, tensor] : files_.tensors()) present.push_back({name, tensor.shape});
    if (runnable_) find_names(a, present);
    blocks_ = a.names.root + std::string(a.names.blocks);
    if (runnable_) embedding_ = a.names.linear(Role::embed);
    EncodedMatrix::Block block = {128, 128};
    const auto it = config.find("quantization_config");
    if (it != config.end() && !it->is_null() && !format::is_mlx_quantization(config)) {
      const std::string file = (directory / "config.json").string();
      const std::string method = it->is_object() ? get_or<std::string>(*it, "quant_method", "", file) : "";
      if (std::ranges::find(kSelfDescribing, method) == kSelfDescribing.end())
        scheme_ = format::QuantizationScheme::parse(*it, file);
      else
        inputs_ = InputRounding::of_method(method, *it);
      for (const char* key : {"weight_block_size", "block_structure"})
        if (const auto found = find_block(*it, key)) block = *found;
    }
    places_ = find_places(
        files_, a, [this](const std::string& module) { return codec_of(module) != nullptr; }, block, where_);
    for (const Linear& linear : a.linears) linears_.insert(linear.module + ".weight");
    if (runnable_) linears_.insert(embedding_ + ".weight");
    for (const ExpectedTensor& tensor : expected_tensors(a))
      if (is_side_tensor(tensor.name)) expected_.insert(tensor.name);
  }

  std::vector<TensorInfo> tensors() const override {
    std::vector<TensorInfo> result;
    const auto add = [&](const std::string& name, const TensorView& tensor) {
      result.push_back({name, std::string(dtype_name(tensor.dtype)), tensor.shape, tensor.data.size()});
    };
    for (const auto& [name, tensor] : files_.tensors())
      if (!places_.taken.contains(name) && !is_ignored(name)) add(name, tensor);
    for (const auto& [name, tensor] : places_.aliases) add(name, *tensor);
    for (const auto& [name, place] : places_.by_name)
      result.push_back({name, place.type(), place.shape(), place.bytes()});
    return result;
  }

  bool has(std::string_view name) const override { return places_.by_name.contains(name) || find(name) != nullptr; }

  LinearWeights matrix(const std::string& name, std::size_t rows, std::size_t cols) const override {
    if (const Place* place = place_of(name)) {
      check_shape(name, place->shape(), {rows, cols});
      return weights_of(*place);
    }
    if (const codec::Codec* codec = codec_of_weight(name)) return decoded(bound(name, *codec, rows, cols));
    const TensorView& tensor = dense(name, {rows, cols});
    return LinearWeights(MatrixView::dense(tensor.data.data(), rows, cols, tensor.dtype));
  }

  LinearWeights packed(const std::string& name, std::size_t rows, std::size_t cols) const override {
    if (native_codec(name, rows, cols) != nullptr) return LinearWeights(native(name, rows, cols));
    return matrix(name, rows, cols);
  }

  std::uint64_t copied_bytes(const std::string& name, std::size_t, std::size_t) const override {
    const Place* const place = place_of(name);
    return place == nullptr ? 0 : copied_bytes_of(*place);
  }

  const codec::Codec* native_codec(const std::string& name, std::size_t, std::size_t) const override {
    const Place* place = place_of(name);
    return place == nullptr ? codec_of_weight(name) : native_codec_of(*place);
  }

  codec::Stored native(const std::string& name, std::size_t rows, std::size_t cols) const override {
    if (const Place* place = place_of(name)) {
      check_shape(name, place->shape(), {rows, cols});
      return native_of(*place);
    }
    return bound(name, *codec_of_weight(name), rows, cols);
  }

  std::vector<float> vector(const std::string& name, std::size_t size) const override {
    std::vector<float> values(size);
    if (const Place* place = place_of(name)) {
      check_shape(name, place->shape(), {size});
      for (std::size_t r = 0; r < size; ++r)
        place->stack.read_row(place->plane, place->first + r * place->step, &values[r]);
      return values;
    }
    const TensorView* given = find(name);
    const bool fits = given != nullptr && given->shape.size() <= 3 && product(given->shape) == size;
    const TensorView& tensor = dense(name, fits ? given->shape : std::vector<std::uint64_t>{size});
    read_row(MatrixView::dense(tensor.data.data(), 1, size, tensor.dtype), 0, 0, size, values.data());
    return values;
  }

  const codec::Codec* codec_of(const std::string& module) const override {
    if (!runnable_ || module != embedding_) return scheme_.codec_of(module);
    // Patterns that are meant for linears may match it.
    const TensorView* const tensor = files_.find(module + ".weight");
    const bool dense = tensor != nullptr && is_float(tensor->dtype);
    return dense ? nullptr : scheme_.codec_of(module, format::kEmbeddingClass);
  }

  codec::ActivationRounding activations_of(const std::string& module) const override {
    const Place* const place = place_of(module + ".weight");
    const auto kind = place != nullptr && inputs_.known() ? inputs_.of_place(*place) : scheme_.activations_of(module);
    return with_scale(kind, [&](std::string_view suffix) { return find(fmt::format("{}.{}", module, suffix)); });
  }

  std::optional<float> side_scale(const std::string& name) const override { return scale_in(find(name)); }

  const StackNames* stacks(std::size_t block) const override {
    const auto it = places_.stacks.find(block);
    return it == places_.stacks.end() ? nullptr : &it->second;
  }

  std::span<const std::byte> raw(const std::string& name) const override {
    const TensorView* tensor = files_.find(name);
    if (tensor == nullptr) fail("{}: {} is missing", where_, name);
    return tensor->data;
  }

  void release(const std::string& name) const override { advise(name, MappedFile::drop); }
  void will_need(const std::string& name) const override { advise(name, MappedFile::will_need); }

  std::uint64_t content_hash() const override {
    std::vector<std::span<const std::byte>> tensors;
    for (const auto& [name, tensor] : files_.tensors()) tensors.push_back(tensor.data);
    return model::content_hash(tensors);
  }

  bool complete() const override { return files_.complete(); }

 private:
  /// Whether a tensor of a block belongs to no weight and is nothing that the model's own arithmetic reads. Of a model
  /// whose arithmetic is not known only what stands beside a linear's weight is such.
  bool is_ignored(const std::string& name) const {
    if (!name.starts_with(blocks_) || !is_side_tensor(name) || expected_.contains(name)) return false;
    return runnable_ || linears_.contains(name.substr(0, name.rfind('.')) + ".weight");
  }

  const Place* place_of(std::string_view name) const {
    const auto it = places_.by_name.find(name);
    return it == places_.by_name.end() ? nullptr : &it->second;
  }

  /// The whole tensor of a name; nullptr when there is none.
  const TensorView* find(std::string_view name) const {
    if (const auto it = places_.aliases.find(name); it != places_.aliases.end()) return it->second;
    return places_.taken.contains(name) ? nullptr : files_.find(name);
  }

  /// The codec of a weight. A scheme may be for all of class "Linear", which norms are not.
  const codec::Codec* codec_of_weight(const std::string& name) const {
    return linears_.contains(name) ? codec_of(name.substr(0, name.rfind('.'))) : nullptr;
  }

  codec::Stored bound(const std::string& name, const codec::Codec& codec, std::size_t rows, std::size_t cols) const {
    return format::bind_stored(
        codec, name.substr(0, name.rfind('.')), rows, cols, [this](std::string_view part) { return find(part); },
        where_);
  }

  void check_shape(const std::string& name, const std::vector<std::uint64_t>& shape,
                   const std::vector<std::uint64_t>& expected) const {
    if (shape != expected)
      fail("{}: {} has shape [{}], expected [{}]", where_, name, fmt::join(shape, ", "), fmt::join(expected, ", "));
  }

  const TensorView& dense(const std::string& name, const std::vector<std::uint64_t>& shape) const {
    const TensorView* tensor = find(name);
    if (tensor == nullptr) fail("{}: {} is missing", where_, name);
    check_shape(name, tensor->shape, shape);
    if (!is_float(tensor->dtype))
      fail("{}: {} is {}, expected BF16, F16 or F32", where_, name, dtype_name(tensor->dtype));
    return *tensor;
  }

  /// Tells the system about the pages of a weight, those of its scales included.
  void advise(const std::string& name, void (*tell)(std::span<const std::byte>)) const {
    if (const Place* place = place_of(name)) {
      for (const std::span<const std::byte> span : place->spans()) tell(span);
    } else if (codec_of_weight(name) != nullptr) {
      // The parts of a codec are named after the weight: weight_packed, weight_scale.
      for (auto it = files_.tensors().lower_bound(name); it != files_.tensors().end() && it->first.starts_with(name);
           ++it)
        tell(it->second.data);
    } else if (const TensorView* tensor = find(name)) {
      tell(tensor->data);
    }
  }

  std::string where_;
  bool runnable_;
  std::string blocks_;  ///< what the names of all blocks begin with
  format::SafetensorsSet files_;
  format::QuantizationScheme scheme_;
  InputRounding inputs_;  ///< of methods whose tensors describe themselves
  Places places_;
  std::string embedding_;           ///< the module of the embedding of a model that is run
  std::set<std::string> linears_;   ///< names of their weights, and of the embedding's
  std::set<std::string> expected_;  ///< tensors that the model needs although they are named like side tensors
};

}  // namespace

std::unique_ptr<TensorSource> open_hf_source(const std::filesystem::path& directory, const json& config,
                                             Architecture& architecture, format::Required required) {
  return std::make_unique<HfSource>(directory, config, architecture, required);
}

}  // namespace strata::model
