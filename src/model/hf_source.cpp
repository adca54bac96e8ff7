// Tensors of a Hugging Face directory: safetensors, dense or compressed-tensors.
// Dense weights are views into the mapped files; nothing is copied.
#include <algorithm>
#include <cstring>

#include "core/file.h"
#include "core/hash.h"
#include "format/compressed_tensors.h"
#include "format/safetensors.h"
#include "model/model.h"

namespace strata::model {
namespace {

bool is_float(DType type) { return type == DType::bf16 || type == DType::f16 || type == DType::f32; }

class HfSource final : public TensorSource {
 public:
  HfSource(const std::filesystem::path& directory, const json& config)
      : where_(directory.string()), files_(format::SafetensorsSet::open_directory(directory)) {
    const auto it = config.find("quantization_config");
    if (it != config.end() && !it->is_null())
      scheme_ = format::QuantizationScheme::parse(*it, (directory / "config.json").string());
  }

  std::vector<TensorInfo> tensors() const override {
    std::vector<TensorInfo> result;
    for (const auto& [name, tensor] : files_.tensors())
      result.push_back({name, std::string(dtype_name(tensor.dtype)), tensor.shape, tensor.data.size()});
    return result;
  }

  bool has(std::string_view name) const override { return files_.find(name) != nullptr; }

  LinearWeights matrix(const std::string& name, std::size_t rows, std::size_t cols) const override {
    const format::TensorView& tensor = dense(name, {rows, cols});
    return LinearWeights(MatrixView::dense(tensor.data.data(), rows, cols, tensor.dtype));
  }

  std::vector<float> vector(const std::string& name, std::size_t size) const override {
    const format::TensorView& tensor = dense(name, {size});
    std::vector<float> values(size);
    read_row(MatrixView::dense(tensor.data.data(), 1, size, tensor.dtype), 0, 0, size, values.data());
    return values;
  }

  const codec::Codec* codec_of(const std::string& module) const override { return scheme_.codec_of(module); }

  codec::Stored stored(const Linear& linear, const codec::Codec& codec) const override {
    return format::bind_stored(
        codec, linear.module, linear.rows, linear.cols, [this](std::string_view name) { return files_.find(name); },
        where_);
  }

  std::span<const std::byte> raw(const std::string& name) const override {
    const format::TensorView* tensor = files_.find(name);
    if (tensor == nullptr) fail("{}: {} is missing", where_, name);
    return tensor->data;
  }

  void release(const std::string& name) const override {
    const format::TensorView* tensor = files_.find(name);
    if (tensor != nullptr) MappedFile::drop(tensor->data);
  }

  void will_need(const std::string& name) const override {
    const format::TensorView* tensor = files_.find(name);
    if (tensor != nullptr) MappedFile::will_need(tensor->data);
  }

  std::uint64_t content_hash() const override {
    std::uint64_t hash = fnv1a({});
    for (const auto& [name, tensor] : files_.tensors()) {
      constexpr std::size_t samples = 16, sample_bytes = 256;
      const std::size_t step = std::max<std::size_t>(tensor.data.size() / samples, sample_bytes);
      for (std::size_t at = 0; at < tensor.data.size(); at += step)
        hash = fnv1a(tensor.data.subspan(at, std::min(sample_bytes, tensor.data.size() - at)), hash);
      MappedFile::drop(tensor.data);  // the system has mapped pages around every sample
    }
    return hash;
  }

 private:
  const format::TensorView& dense(const std::string& name, const std::vector<std::uint64_t>& shape) const {
    const format::TensorView* tensor = files_.find(name);
    if (tensor == nullptr) fail("{}: {} is missing", where_, name);
    if (tensor->shape != shape)
      fail("{}: {} has shape [{}], expected [{}]", where_, name, fmt::join(tensor->shape, ", "),
           fmt::join(shape, ", "));
    if (!is_float(tensor->dtype))
      fail("{}: {} is {}, expected BF16, F16 or F32", where_, name, dtype_name(tensor->dtype));
    return *tensor;
  }

  std::string where_;
  format::SafetensorsSet files_;
  format::QuantizationScheme scheme_;
};

}  // namespace

std::unique_ptr<TensorSource> open_hf_source(const std::filesystem::path& directory, const json& config) {
  return std::make_unique<HfSource>(directory, config);
}

}  // namespace strata::model
