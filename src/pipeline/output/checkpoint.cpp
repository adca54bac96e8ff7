// The checkpoint writer: layout first, then bytes in exactly that layout.
// A linear is encoded when its first tensor is due and forgotten after its last, and written meanwhile.
#include "pipeline/output/checkpoint.h"

#include <algorithm>
#include <cctype>
#include <map>
#include <optional>

#include "core/file.h"
#include "core/progress.h"
#include "format/gguf.h"
#include "pipeline/output/gguf_checkpoint.h"
#include "pipeline/output/linear_encoder.h"
#include "pipeline/output/stored_parts.h"

namespace strata::pipeline {
namespace {

using Files = std::vector<std::pair<std::string, std::string>>;

/// Where a tensor of the output comes from.
struct Origin {
  std::size_t linear = model::kNoLinear;  ///< index into linears, or kNoLinear for a dense tensor
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
  if (a.tied) modules.emplace_back(a.names.head);
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

/// One shard: what is on disk already is left out, and what is written is noted at the ends of blocks.
class ShardWriter {
 public:
  ShardWriter(const model::Model& model, const std::filesystem::path& path, const std::string& name,
              const std::vector<format::TensorSpec>& shard, const WriteOptions& options, Background& disk)
      : model_(model), shard_(shard), name_(name), options_(options), disk_(disk) {
    if (options.parts == nullptr) {
      file_ = std::make_shared<OutputFile>(path / name);
    } else {
      kept_ = options.parts->of(name);
      file_ = std::make_shared<OutputFile>(path / name, kept_.bytes);
    }
    if (kept_.bytes == 0) post(format::safetensors_header(shard));
  }

  void write(const std::map<std::string, Origin>& origins, LinearEncoder& encoder, Progress* progress) {
    for (std::size_t t = kept_.tensors; t < shard_.size(); ++t) {
      const format::TensorSpec& spec = shard_[t];
      const auto origin = origins.find(spec.name);
      if (progress != nullptr) progress->note(spec.name);
      if (origin == origins.end() || encoder.copies(origin->second.linear)) {
        const bool vector = spec.shape.size() == 1;
        dense_rows(model_, spec.name, {vector ? 1 : spec.shape[0], spec.shape.back(), spec.dtype, vector},
                   [&](auto bytes) { post(std::move(bytes)); });
      } else {
        const auto stored = encoder.linear(origin->second.linear);
        const std::span<const std::byte> bytes = stored->views[origin->second.part];
        disk_.post(bytes.size(), [file = file_, stored, bytes] { file->write(bytes); });
      }
      if (options_.parts != nullptr && ends_block(origins, t) && options_.parts->due()) note(t + 1);
      if (progress != nullptr) progress->advance(static_cast<std::size_t>(spec.bytes() >> 10));
    }
    disk_.post(0, [file = file_] { file->commit(); });
  }

 private:
  template <class Bytes>
  void post(Bytes bytes) {
    const std::size_t size = bytes.size();
    disk_.post(size, [file = file_, bytes = std::move(bytes)] { file->write(std::as_bytes(std::span(bytes))); });
  }

  bool ends_block(const std::map<std::string, Origin>& origins, std::size_t t) const {
    const auto block = [&](std::size_t tensor) {
      const auto it = origins.find(shard_[tensor].name);
      return it == origins.end() ? model::kNoBlock : model_.architecture().linears[it->second.linear].block;
    };
    return t + 1 == shard_.size() || block(t) == model::kNoBlock || block(t) != block(t + 1);
  }

  void note(std::size_t tensors) {
    disk_.post(0, [this_file = file_, name = name_, &parts = *options_.parts, tensors,
                   linears = options_.news ? options_.news() : json()] {
      this_file->sync();
      parts.note(name, {tensors, this_file->size()}, linears);
    });
  }

  const model::Model& model_;
  const std::vector<format::TensorSpec>& shard_;
  std::string name_;
  const WriteOptions& options_;
  Background& disk_;
  StoredPart kept_;
  std::shared_ptr<OutputFile> file_;
};

void write_files(const model::Model& model, const CheckpointLayout& layout,
                 const std::vector<const codec::Codec*>& codecs, const std::filesystem::path& folder,
                 const WriteOptions& options) {
  std::map<std::string, Origin> origins;
  list_tensors(model.architecture(), codecs, &origins);
  LinearEncoder encoder(model, codecs, options);
  std::optional<Progress> progress;  // stored linears have a progress of their own
  if (!options.stored) progress.emplace("writing", static_cast<std::size_t>(layout.tensor_file_bytes >> 10));
  Background disk(kUnwrittenBytes);
  for (std::size_t s = 0; s < layout.shards.size(); ++s) {
    const std::string name = format::shard_name(s, layout.shards.size());
    std::error_code code;
    // Renamed means complete: that comes after the last byte was synced.
    if (options.parts != nullptr && std::filesystem::exists(folder / name, code)) continue;
    ShardWriter(model, folder, name, layout.shards[s], options, disk)
        .write(origins, encoder, progress ? &*progress : nullptr);
  }
  disk.finish();
  std::uint64_t written = 0;
  for (std::size_t s = 0; s < layout.shards.size(); ++s)
    written += std::filesystem::file_size(folder / format::shard_name(s, layout.shards.size()));
  for (const auto& [name, text] : layout.text_files) {
    write_text_file(folder / name, text);
    written += text.size();
  }
  STRATA_CHECK(written == layout.total_bytes, "wrote {} bytes, planned {}", written, layout.total_bytes);
}

std::uint64_t write_gguf_checkpoint(const model::Model& model, const Plan& plan, const std::filesystem::path& output,
                                    const WriteOptions& options) {
  const GgufChoice choice = gguf_choice(model, plan, options.shard_bytes);
  LinearEncoder encoder(model, choice.linears, options);
  const EncodeLinear encode = [&](std::size_t linear, const codec::Codec&) { return encoder.linear(linear); };
  return write_gguf(model, plan_gguf(model, choice), output, options.overwrite, encode, {options.parts, options.news});
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

std::vector<std::filesystem::path> written_names(const model::Model& model, const Plan& plan, const Target& target,
                                                 const std::filesystem::path& output, std::uint64_t shard_bytes) {
  const std::filesystem::path plain = output.lexically_normal();
  const std::filesystem::path name = (plain.has_filename() ? plain : plain.parent_path()).filename();
  if (!target.gguf) return {name};
  return gguf_files(plan_gguf(model, gguf_choice(model, plan, shard_bytes)), name);
}

std::filesystem::path existing_output(const std::filesystem::path& output, const Target& target) {
  std::error_code code;
  if (!target.gguf || std::filesystem::exists(output, code)) return output;
  std::filesystem::path stem = output;
  return format::find_first_gguf_part(stem.replace_extension()).value_or(output);
}

std::uint64_t write_checkpoint(const model::Model& model, const Plan& plan, const Target& target,
                               const std::filesystem::path& output, const WriteOptions& options) {
  if (target.gguf) return write_gguf_checkpoint(model, plan, output, options);
  const auto codecs = codecs_by_linear(plan, model.architecture());
  const CheckpointLayout layout = layout_of(model, codecs, &target, options.shard_bytes, model.companion_files());
  if (options.parts != nullptr) {
    std::error_code code;
    std::filesystem::create_directory(output, code);
    if (code) fail("{}: cannot be created: {}", output.string(), code.message());
    write_files(model, layout, codecs, output, options);
  } else {
    OutputDirectory folder(output, options.overwrite);
    write_files(model, layout, codecs, folder.path(), options);
    folder.commit();
  }
  return layout.total_bytes;
}

std::uint64_t write_dense(const model::Model& model, const std::filesystem::path& output, std::uint64_t shard_bytes,
                          bool overwrite) {
  const std::vector<const codec::Codec*> keeps(model.architecture().linears.size(), &codec::by_name("keep"));
  const CheckpointLayout layout = layout_of(model, keeps, nullptr, shard_bytes, model.companion_files());
  OutputDirectory folder(output, overwrite);
  write_files(model, layout, keeps, folder.path(), {});
  folder.commit();
  return layout.total_bytes;
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
