// Tensors NAME.in_sum2 (1, inputs) and NAME.counts (1, 1), NAME being the weight's in GGUF: importance = sum / count.
// Source: llama.cpp, tools/imatrix/imatrix.cpp.
#include "importance/imatrix.h"

#include <cmath>

#include "core/error.h"
#include "format/gguf.h"
#include "format/gguf_write.h"
#include "model/gguf/config.h"

namespace strata::importance {
namespace {

constexpr std::uint32_t kF32 = 0;

std::string gguf_name(const model::Architecture& a, const model::Linear& linear) {
  const auto name = model::gguf_tensor_name(a.names, linear.module + ".weight");
  STRATA_CHECK(name.has_value(), "{}", linear.module);
  return *name;
}

void refuse_experts(const model::Model& model) {
  if (model.architecture().experts.count != 0)
    fail("{}: importance matrices of models with experts are not read or written here", model.path().string());
}

bool is_collected(const model::Linear& linear) { return linear.role != model::Role::embed; }

/// A tensor of `count` numbers, or an empty vector when the file has none of the name.
std::vector<float> read_numbers(const format::GgufFile& file, const std::string& name, std::size_t count,
                                const std::string& where) {
  const format::GgufTensor* tensor = file.find(name);
  if (tensor == nullptr) return {};
  std::uint64_t size = 1;
  for (const std::uint64_t extent : tensor->shape) size *= extent;
  if (tensor->type != kF32 || size != count)
    fail("{}: {} is {} [{}] where this model needs F32 [{}]; the importance matrix is of another model", where, name,
         format::ggml_type_name(tensor->type), fmt::join(tensor->shape, ", "), count);
  std::vector<float> values(count);
  format::ggml_dequantize_row(kF32, tensor->data.data(), count, values.data());
  return values;
}

}  // namespace

void write_imatrix(const std::filesystem::path& path, const model::Model& model, const InputMeanSquare& inputs,
                   const CalibrationSource& source) {
  refuse_experts(model);
  format::GgufKeys keys;
  keys.add("general.type", "imatrix");
  keys.add("imatrix.datasets", std::vector<std::string>{source.text()});
  keys.add("imatrix.chunk_count", static_cast<std::uint32_t>(inputs.tokens() / source.seq_len));
  keys.add("imatrix.chunk_size", static_cast<std::uint32_t>(source.seq_len));
  std::vector<format::GgufTensorSpec> specs;
  for (const model::Linear& linear : model.architecture().linears) {
    if (!is_collected(linear)) continue;
    specs.push_back({gguf_name(model.architecture(), linear) + ".in_sum2", kF32, {1, linear.cols}});
    specs.push_back({gguf_name(model.architecture(), linear) + ".counts", kF32, {1, 1}});
  }
  const format::GgufLayout layout = format::lay_out_gguf(std::move(keys), std::move(specs));
  format::GgufWriter file(path, layout);
  const auto count = static_cast<float>(inputs.tokens());
  for (const model::Linear& linear : model.architecture().linears) {
    if (!is_collected(linear)) continue;
    std::vector<float> sums = inputs.of(linear);
    for (float& sum : sums) sum *= count;
    file.write(std::as_bytes(std::span(sums)));
    file.write(std::as_bytes(std::span(&count, 1)));
  }
  file.commit();
}

std::vector<std::vector<float>> read_imatrix(const std::filesystem::path& path, const model::Model& model) {
  refuse_experts(model);
  const std::string where = path.string();
  if (!format::is_gguf(path))
    fail("{}: is no importance matrix in GGUF; older .dat files are converted by llama-imatrix", where);
  const format::GgufFile file = format::GgufFile::open(path);
  if (!file.has("general.type") || file.text("general.type") != "imatrix")
    fail("{}: is a GGUF file, but no importance matrix; make one with strata score --imatrix-out or llama-imatrix",
         where);
  std::vector<std::vector<float>> result;
  for (const model::Linear& linear : model.architecture().linears) {
    const std::string name = gguf_name(model.architecture(), linear);
    std::vector<float> values = read_numbers(file, name + ".in_sum2", linear.cols, where);
    const std::vector<float> count = read_numbers(file, name + ".counts", 1, where);
    if (values.empty() || count.empty()) {
      if (linear.block != model::kNoBlock)
        fail("{}: has no {}; the importance matrix is of another model", where, name);
      result.emplace_back();
      continue;
    }
    for (float& value : values) {
      value = count[0] > 0.0f ? value / count[0] : 1.0f;  // what was never fed counts alike, as in llama.cpp
      if (!(std::isfinite(value) && value >= 0.0f)) fail("{}: {} holds {}; the file is damaged", where, name, value);
    }
    result.push_back(std::move(values));
  }
  const std::size_t blocks = model.architecture().blocks;
  if (file.find(fmt::format("blk.{}.attn_q.weight.in_sum2", blocks)) != nullptr)
    fail("{}: has more than the {} blocks of this model; the importance matrix is of another model", where, blocks);
  return result;
}

}  // namespace strata::importance
