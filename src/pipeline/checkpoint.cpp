// The checkpoint writer: layout first, then bytes in exactly that layout.
// A linear is encoded when its first tensor is due and forgotten after its last.
#include "pipeline/checkpoint.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstring>
#include <map>
#include <optional>

#include "core/checked.h"
#include "core/file.h"
#include "core/numbers.h"
#include "core/progress.h"
#include "pipeline/gguf_checkpoint.h"
#include "pipeline/tensor_scales.h"
#include "quantize/rtn.h"
#include "quantize/scan.h"

namespace strata::pipeline {
namespace {

using Files = std::vector<std::pair<std::string, std::string>>;

/// Where a tensor of the output comes from.
struct Origin {
  std::size_t linear = model::kNoBlock;  ///< index into linears, or kNoBlock for a dense tensor
  std::size_t part = 0;
};

std::map<std::string, std::size_t> linears_by_module(const model::Architecture& a) {
  std::map<std::string, std::size_t> result;
  for (std::size_t l = 0; l < a.linears.size(); ++l) result[a.linears[l].module] = l;
  return result;
}

std::vector<format::TensorSpec> list_tensors(const model::Architecture& a,
                                             const std::vector<const codec::Codec*>& codecs,
                                             std::map<std::string, Origin>* origins) {
  const auto by_module = linears_by_module(a);
  std::vector<format::TensorSpec> specs;
  for (const model::ExpectedTensor& expected : model::expected_tensors(a)) {
    const std::string module = expected.name.substr(0, expected.name.rfind('.'));
    const auto it = by_module.find(module);
    if (it == by_module.end() || !expected.name.ends_with(".weight")) {
      specs.push_back({expected.name, expected.written, expected.shape});
      continue;
    }
    const model::Linear& linear = a.linears[it->second];
    std::size_t part = 0;
    for (const codec::PartSpec& spec : codecs[it->second]->layout(*codecs[it->second], linear.rows, linear.cols)) {
      specs.push_back({module + "." + spec.suffix, spec.dtype, spec.shape});
      if (origins != nullptr) (*origins)[specs.back().name] = {it->second, part};
      ++part;
    }
  }
  return specs;
}

/// The experts of a block as one target of the configuration, which runtimes look up by pattern.
std::string experts_target(const model::FusionGroup& group) {
  std::string pattern = "re:";
  for (const char c : group.name) pattern += c == '.' ? "\\." : std::string(1, c);
  return pattern + "\\..*";
}

/// Modules that runtimes have and that are never quantized.
std::vector<std::string> never_quantized(const model::Architecture& a) {
  std::vector<std::string> modules;
  if (a.tied) modules.emplace_back("lm_head");
  const auto add = [&](std::string tensor) { modules.push_back(tensor.substr(0, tensor.rfind('.'))); };
  for (std::size_t b = 0; b < a.blocks; ++b) {
    if (a.layout[b].mixture) add(model::router_name(a, b));
    if (a.layout[b].mixture && a.experts.shared_gate) add(model::shared_gate_name(a, b));
  }
  return modules;
}

json output_config(const model::Model& model, const std::vector<const codec::Codec*>& codecs, const Target* target) {
  json config = model.config();
  // Blocks that predict several tokens at once are not written.
  if (config.contains("num_nextn_predict_layers")) config["num_nextn_predict_layers"] = 0;
  const char* dtype_key = config.contains("dtype") ? "dtype" : "torch_dtype";
  config[dtype_key] = "bfloat16";
  if (target == nullptr) return config;
  const model::Architecture& a = model.architecture();
  std::vector<format::ModuleCodec> modules;
  bool quantized = false;
  for (const model::FusionGroup& group : a.groups) {
    const std::size_t first = group.linears.front();
    quantized = quantized || codecs[first]->family != "keep";
    if (a.linears[first].routed())
      modules.push_back({experts_target(group), codecs[first]});
    else
      for (const std::size_t l : group.linears) modules.push_back({a.linears[l].module, codecs[l]});
  }
  const std::vector<std::string> ignored = never_quantized(a);
  if (quantized) config["quantization_config"] = format::quantization_config(modules, ignored, target->activations);
  return config;
}

CheckpointLayout layout_of(const model::Model& model, const std::vector<const codec::Codec*>& codecs,
                           const Target* target, std::uint64_t shard_bytes, const Files& companions) {
  CheckpointLayout layout;
  layout.shards = format::cut_shards(list_tensors(model.architecture(), codecs, nullptr), shard_bytes);
  layout.text_files.emplace_back("config.json", output_config(model, codecs, target).dump(2) + "\n");
  if (layout.shards.size() > 1)
    layout.text_files.emplace_back("model.safetensors.index.json", format::shard_index(layout.shards));
  layout.text_files.insert(layout.text_files.end(), companions.begin(), companions.end());
  for (const auto& shard : layout.shards) {
    layout.tensor_file_bytes += format::safetensors_header(shard).size();
    for (const format::TensorSpec& tensor : shard) layout.tensor_file_bytes += tensor.bytes();
  }
  layout.total_bytes = layout.tensor_file_bytes;
  for (const auto& [name, text] : layout.text_files) layout.total_bytes += text.size();
  return layout;
}

/// Appends a dense tensor, bf16 or f32.
void write_dense_tensor(const model::Model& model, const format::TensorSpec& spec, OutputFile& file) {
  const std::size_t rows = spec.shape.size() == 2 ? spec.shape[0] : 1, cols = spec.shape.back();
  const auto write_rows = [&](const MatrixView& view) {
    constexpr std::size_t stretch_weights = 1 << 20;
    const std::size_t stretch = std::max<std::size_t>(1, stretch_weights / std::max<std::size_t>(cols, 1));
    std::vector<float> row(cols);
    std::vector<bf16> out(stretch * cols);
    for (std::size_t begin = 0; begin < rows; begin += stretch) {
      const std::size_t end = std::min(rows, begin + stretch);
      for (std::size_t r = begin; r < end; ++r) {
        read_row(view, r, 0, cols, row.data());
        if (spec.dtype == DType::f32) file.write(std::as_bytes(std::span(row)));
        for (std::size_t c = 0; c < cols; ++c) {
          if (!std::isfinite(row[c]))
            fail("{}: {}: weight [{}, {}] is {}; the file is damaged or training diverged", model.path().string(),
                 spec.name, r, c, row[c]);
          out[(r - begin) * cols + c] = to_bf16(row[c]);
        }
      }
      if (spec.dtype == DType::bf16) file.write(std::as_bytes(std::span(out).first((end - begin) * cols)));
    }
  };
  if (spec.shape.size() == 2) {
    const model::LinearWeights weights = model.matrix(spec.name, rows, cols);
    write_rows(weights.view().dense);
    model.release(spec.name);
  } else {
    const std::vector<float> values = model.vector(spec.name, cols);
    write_rows(MatrixView::dense(values.data(), 1, cols, DType::f32));
  }
}

/// Encodes linears on demand, keeping the one whose tensors are being written.
class Encoder {
 public:
  Encoder(const model::Model& model, const std::vector<const codec::Codec*>& codecs, const WriteOptions& options)
      : model_(model), codecs_(codecs), options_(options), scales_(model) {}

  const codec::Stored& linear(std::size_t index) {
    if (options_.stored) return options_.stored(index);
    if (index == current_) return stored_;
    const model::Linear& linear = model_.architecture().linears[index];
    const codec::Codec& codec = *codecs_[index];
    const model::LinearWeights weights = model_.weights(linear);
    const std::span<const float> importance =
        options_.importance.empty() ? std::span<const float>() : std::span<const float>(options_.importance[index]);
    const float scale = scales_.of(index, codec, weights.view().dense);
    stored_ = quantize::quantize_rtn(codec, weights.view().dense, importance, options_.scale_fit, scale);
    model_.release(linear.module + ".weight");
    current_ = index;
    return stored_;
  }

 private:
  const model::Model& model_;
  const std::vector<const codec::Codec*>& codecs_;
  const WriteOptions& options_;
  TensorScales scales_;
  std::size_t current_ = model::kNoBlock;
  codec::Stored stored_;
};

std::uint64_t write_folder(const model::Model& model, const CheckpointLayout& layout,
                           const std::vector<const codec::Codec*>& codecs, const std::filesystem::path& output,
                           const WriteOptions& options) {
  OutputDirectory folder(output, options.overwrite);
  std::map<std::string, Origin> origins;
  list_tensors(model.architecture(), codecs, &origins);
  Encoder encoder(model, codecs, options);
  std::optional<Progress> progress;  // stored linears have a progress of their own
  if (!options.stored) progress.emplace("writing", static_cast<std::size_t>(layout.tensor_file_bytes >> 10));
  std::uint64_t written = 0;
  for (std::size_t s = 0; s < layout.shards.size(); ++s) {
    OutputFile file(folder.path() / format::shard_name(s, layout.shards.size()));
    file.write(format::safetensors_header(layout.shards[s]));
    for (const format::TensorSpec& spec : layout.shards[s]) {
      if (progress) progress->note(spec.name);
      if (const auto it = origins.find(spec.name); it != origins.end()) {
        file.write(encoder.linear(it->second.linear).views[it->second.part]);
      } else {
        write_dense_tensor(model, spec, file);
      }
      if (progress) progress->advance(static_cast<std::size_t>(spec.bytes() >> 10));
    }
    file.commit();
    written += file.size();
  }
  for (const auto& [name, text] : layout.text_files) {
    write_text_file(folder.path() / name, text);
    written += text.size();
  }
  STRATA_CHECK(written == layout.total_bytes, "wrote {} bytes, planned {}", written, layout.total_bytes);
  folder.commit();
  return written;
}

GgufChoice gguf_choice(const model::Model& model, const Plan& plan, std::uint64_t shard_bytes) {
  return {DType::bf16, codecs_by_linear(plan, model.architecture()), shard_bytes};
}

std::uint64_t write_gguf_checkpoint(const model::Model& model, const Plan& plan, const std::filesystem::path& output,
                                    const WriteOptions& options) {
  const GgufChoice choice = gguf_choice(model, plan, options.shard_bytes);
  Encoder encoder(model, choice.linears, options);
  const EncodeLinear encode = [&](std::size_t linear, const codec::Codec&) -> const codec::Stored& {
    return encoder.linear(linear);
  };
  return write_gguf(model, plan_gguf(model, choice), output, options.overwrite, encode);
}

}  // namespace

CheckpointLayout lay_out(const model::Model& model, const Plan& plan, const Target& target, std::uint64_t shard_bytes,
                         const Files& companions) {
  if (target.gguf) {
    CheckpointLayout layout;
    layout.total_bytes = layout.tensor_file_bytes =
        plan_gguf(model, gguf_choice(model, plan, shard_bytes)).total_bytes();
    return layout;
  }
  return layout_of(model, codecs_by_linear(plan, model.architecture()), &target, shard_bytes, companions);
}

std::filesystem::path opened_by(const model::Model& model, const Plan& plan, const Target& target,
                                const std::filesystem::path& output, std::uint64_t shard_bytes) {
  if (!target.gguf) return output;
  return gguf_files(plan_gguf(model, gguf_choice(model, plan, shard_bytes)), output).front();
}

std::uint64_t write_checkpoint(const model::Model& model, const Plan& plan, const Target& target,
                               const std::filesystem::path& output, const WriteOptions& options) {
  const auto codecs = codecs_by_linear(plan, model.architecture());
  if (target.gguf) return write_gguf_checkpoint(model, plan, output, options);
  return write_folder(model, layout_of(model, codecs, &target, options.shard_bytes, model.companion_files()), codecs,
                      output, options);
}

std::uint64_t write_dense(const model::Model& model, const std::filesystem::path& output, std::uint64_t shard_bytes,
                          bool overwrite) {
  const std::vector<const codec::Codec*> keeps(model.architecture().linears.size(), &codec::by_name("keep"));
  WriteOptions options;
  options.scale_fit = codec::ScaleFit::minmax;
  options.shard_bytes = shard_bytes;
  options.overwrite = overwrite;
  return write_folder(model, layout_of(model, keeps, nullptr, shard_bytes, model.companion_files()), keeps, output,
                      options);
}

std::uint64_t parse_size(const std::string& text, const std::string& option) {
  static const std::map<std::string, double> units = {{"", 1},
                                                      {"b", 1},
                                                      {"kib", 1024.0},
                                                      {"mib", 1048576.0},
                                                      {"gib", 1073741824.0},
                                                      {"tib", 1099511627776.0},
                                                      {"k", 1024.0},
                                                      {"m", 1048576.0},
                                                      {"g", 1073741824.0},
                                                      {"kb", 1e3},
                                                      {"mb", 1e6},
                                                      {"gb", 1e9},
                                                      {"tb", 1e12}};
  std::size_t used = 0;
  double number = -1;
  try {
    number = std::stod(text, &used);
  } catch (const std::exception&) {
    used = 0;
  }
  std::string unit;
  for (const char c : text.substr(used))
    if (c != ' ') unit += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const auto it = units.find(unit);
  if (used == 0 || it == units.end() || !(number > 0) || number * it->second >= 9e18)
    fail_usage("{}: '{}' is not a size; write for example 90MiB or 8GB", option, text);
  return static_cast<std::uint64_t>(number * it->second);
}

}  // namespace strata::pipeline
