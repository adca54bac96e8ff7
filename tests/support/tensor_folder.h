// A Hugging Face folder whose tensors a test renames, stacks and encodes before it is written.
// It begins as a golden model of one file.
#pragma once
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/json.h"
#include "core/random.h"
#include "format/safetensors.h"
#include "model/model.h"
#include "support/golden_model.h"
#include "support/temporary_folder.h"

namespace strata::fixtures {

struct FileTensor {
  DType dtype;
  std::vector<std::uint64_t> shape;
  std::vector<std::byte> data;
};

class TensorFolder {
 public:
  explicit TensorFolder(const std::string& golden) {
    config = read_json_file(golden_model(golden) / "config.json");
    const auto set = format::SafetensorsSet::open_directory(golden_model(golden));
    for (const auto& [name, t] : set.tensors()) tensors[name] = {t.dtype, t.shape, {t.data.begin(), t.data.end()}};
  }

  /// Writes the folder; nothing that was opened from it before may be in use.
  const std::filesystem::path& write() const {
    std::vector<format::TensorSpec> specs;
    for (const auto& [name, tensor] : tensors) specs.push_back({name, tensor.dtype, tensor.shape});
    std::string file = format::safetensors_header(specs);
    for (const auto& [name, tensor] : tensors)
      file.append(reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size());
    write_text_file(folder_.path() / "model.safetensors", file);
    write_json_file(folder_.path() / "config.json", config);
    return folder_.path();
  }
  model::Model open() const { return model::Model::open(write()); }

  FileTensor take(const std::string& name) {
    FileTensor tensor = tensors.at(name);
    tensors.erase(name);
    return tensor;
  }
  /// Any bytes below `limit`, which depend on the name alone.
  FileTensor& add_bytes(const std::string& name, DType dtype, std::vector<std::uint64_t> shape, unsigned limit = 256) {
    std::size_t count = 1;
    for (const std::uint64_t extent : shape) count *= extent;
    std::vector<std::byte> data(count);
    Random random(fnv1a(std::as_bytes(std::span(name))));
    for (std::byte& b : data) b = static_cast<std::byte>(static_cast<unsigned>(random.uniform() * limit));
    return tensors[name] = {dtype, std::move(shape), std::move(data)};
  }
  void add_floats(const std::string& name, std::vector<std::uint64_t> shape, const std::vector<float>& values) {
    const auto bytes = std::as_bytes(std::span(values));
    tensors[name] = {DType::f32, std::move(shape), {bytes.begin(), bytes.end()}};
  }

  json config;
  std::map<std::string, FileTensor> tensors;

 private:
  TemporaryFolder folder_;
};

/// All weights of a linear as f32.
inline std::vector<float> values_of(const model::LinearWeights& weights) {
  const kernel::Weights view = weights.view();
  std::vector<float> values(view.rows() * view.cols());
  for (std::size_t r = 0; r < view.rows(); ++r) kernel::read_row(view, r, values.data() + r * view.cols());
  return values;
}

}  // namespace strata::fixtures
