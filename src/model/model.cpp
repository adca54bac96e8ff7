// Opening a model and comparing its tensors with its configuration, so that whatever is wrong with the files is found
// out before any work starts.
#include "model/model.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <set>

#include "core/file.h"
#include "core/hash.h"
#include "format/gguf.h"

namespace strata::model {
namespace fs = std::filesystem;
namespace {

std::string shape_text(const std::vector<std::uint64_t>& shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

/// Whether checkpoints carry a tensor of this name although nothing needs it.
bool superfluous(std::string_view name, const Architecture& a) {
  return name.ends_with("rotary_emb.inv_freq") || name == a.names.linear(Role::lm_head) + ".weight" ||
         name == "rope_freqs.weight";
}

/// Whether a tensor belongs to one block more than the model runs, with which some models predict several tokens at
/// once.
bool predicts_ahead(std::string_view name, const json& config, const Architecture& a) {
  return config.value("num_nextn_predict_layers", json(0)) != json(0) && name.starts_with(a.names.block(a.blocks));
}

/// Whether two dense matrices of one shape hold the same values.
bool same_values(const MatrixView& a, const MatrixView& b) {
  std::vector<float> x(a.cols), y(a.cols);
  for (std::size_t r = 0; r < a.rows; ++r) {
    read_row(a, r, 0, a.cols, x.data());
    read_row(b, r, 0, a.cols, y.data());
    if (std::memcmp(x.data(), y.data(), a.cols * sizeof(float)) != 0) return false;
  }
  return true;
}

constexpr std::array<const char*, 12> kCompanions = {"generation_config.json",
                                                     "tokenizer.json",
                                                     "tokenizer_config.json",
                                                     "special_tokens_map.json",
                                                     "added_tokens.json",
                                                     "vocab.json",
                                                     "merges.txt",
                                                     "tokenizer.model",
                                                     "chat_template.jinja",
                                                     "chat_template.json",
                                                     "LICENSE",
                                                     "README.md"};

}  // namespace

Model Model::open(const fs::path& path, Fusion fusion, std::span<const Family> table) {
  Model model;
  model.path_ = path;
  std::error_code code;
  if (!fs::exists(path, code))
    fail("{}: does not exist; give a Hugging Face model folder or a GGUF file", path.string());
  if (fs::is_directory(path, code)) {
    if (!fs::exists(path / "config.json", code))
      fail("{}: has no config.json; give a Hugging Face model folder or a GGUF file", path.string());
    model.config_ = read_json_file(path / "config.json");
    model.architecture_ = parse_architecture(model.config_, (path / "config.json").string(), table);
    model.source_ = open_hf_source(path, model.config_);
    model.find_names();
  } else {
    if (!format::is_gguf(path)) fail("{}: is neither a folder nor a GGUF file", path.string());
    GgufModel gguf = open_gguf_model(path);
    model.gguf_ = true;
    model.config_ = std::move(gguf.config);
    model.architecture_ = parse_architecture(model.config_, path.string(), table);
    model.source_ = std::move(gguf.source);
  }
  list_linears(model.architecture_, fusion);
  model.check_tensors();
  for (const TensorInfo& tensor : model.source_->tensors()) model.tensor_bytes_[tensor.name] = tensor.bytes;
  return model;
}

void Model::find_names() {
  Names& names = architecture_.names;
  const std::string embedding = std::string(names.embedding) + ".weight", head = std::string(names.head) + ".weight";
  bool found = false, has_head = false;
  const std::vector<TensorInfo> present = source_->tensors();
  const auto ends = [](const std::string& name, const std::string& ending) {
    return name.ends_with(ending) && (name.size() == ending.size() || name[name.size() - ending.size() - 1] == '.');
  };
  for (const TensorInfo& tensor : present)
    if (ends(tensor.name, embedding) &&
        tensor.shape == std::vector<std::uint64_t>{architecture_.vocab, architecture_.hidden}) {
      const std::string root = tensor.name.substr(0, tensor.name.size() - embedding.size());
      if (!found || root.size() < names.root.size()) names.root = root;
      found = true;
    }
  for (const TensorInfo& tensor : present)
    if (ends(tensor.name, head) && !has_head) {
      names.head_root = tensor.name.substr(0, tensor.name.size() - head.size());
      has_head = true;
    }
  if (!architecture_.tied || !has_head) return;
  // The file decides: some that say that the head is the embedding hold another one.
  const LinearWeights a = source_->matrix(embedding_name(architecture_), architecture_.vocab, architecture_.hidden);
  const LinearWeights b =
      source_->matrix(names.linear(Role::lm_head) + ".weight", architecture_.vocab, architecture_.hidden);
  architecture_.tied = same_values(a.view().dense, b.view().dense);
}

std::string Model::low_bit_types() const {
  if (!gguf_) return {};
  std::set<std::string> types;
  for (const TensorInfo& tensor : tensors())
    if (tensor.shape.size() == 2 && tensor.type != "F32" && tensor.type != "F16" && tensor.type != "BF16")
      types.insert(tensor.type);
  return fmt::format("{}", fmt::join(types, ", "));
}

void Model::check_tensors() const {
  const std::vector<TensorInfo> present = source_->tensors();
  std::map<std::string_view, const TensorInfo*> by_name;
  for (const TensorInfo& tensor : present) by_name[tensor.name] = &tensor;
  std::set<std::string> known;
  for (const ExpectedTensor& expected : expected_tensors(architecture_)) {
    known.insert(expected.name);
    const auto it = by_name.find(expected.name);
    if (it != by_name.end()) {
      if (it->second->shape != expected.shape && codec_of_name(expected.name) == nullptr)
        fail("{}: {} has shape {}, but config.json asks for {}", path_.string(), expected.name,
             shape_text(it->second->shape), shape_text(expected.shape));
      continue;
    }
    if (codec_of_name(expected.name) == nullptr)
      fail("{}: {} is missing; the files are incomplete or config.json belongs to another model", path_.string(),
           expected.name);
  }
  for (const TensorInfo& tensor : present) {
    if (known.contains(tensor.name) || superfluous(tensor.name, architecture_)) continue;
    if (predicts_ahead(tensor.name, config_, architecture_)) continue;
    const std::string module = tensor.name.substr(0, tensor.name.rfind('.'));
    if (known.contains(module + ".weight") && source_->codec_of(module) != nullptr) continue;
    fail("{}: {} is not part of a {} model with {} blocks as config.json describes it", path_.string(), tensor.name,
         architecture_.model_type, architecture_.blocks);
  }
}

const codec::Codec* Model::codec_of_name(const std::string& tensor) const {
  if (!tensor.ends_with(".weight")) return nullptr;
  return source_->codec_of(tensor.substr(0, tensor.size() - 7));
}

std::vector<std::pair<std::string, std::string>> Model::companion_files() const {
  if (gguf_) return gguf_companion_files(path_);
  std::vector<std::pair<std::string, std::string>> files;
  for (const char* name : kCompanions) {
    std::error_code code;
    if (fs::is_regular_file(path_ / name, code)) files.emplace_back(name, read_text_file(path_ / name));
  }
  return files;
}

LinearWeights Model::weights(const Linear& linear) const {
  if (const codec::Codec* codec = codec_of(linear)) return LinearWeights(source_->stored(linear, *codec));
  return source_->matrix(linear.module + ".weight", linear.rows, linear.cols);
}

LinearWeights Model::packed(const Linear& linear) const {
  if (codec_of(linear) != nullptr) return weights(linear);
  return source_->packed(linear.module + ".weight", linear.rows, linear.cols);
}

LinearWeights Model::packed_embedding() const {
  return source_->packed(embedding_name(architecture_), architecture_.vocab, architecture_.hidden);
}

LinearWeights Model::embedding() const {
  return source_->matrix(embedding_name(architecture_), architecture_.vocab, architecture_.hidden);
}

std::vector<float> Model::norm(Norm norm, std::size_t block) const {
  if (!architecture_.has(norm)) return {};
  std::vector<float> weights = source_->vector(norm_name(architecture_, norm, block), architecture_.norm_size(norm));
  if (architecture_.norm_offset != 0.0f)
    for (float& weight : weights) weight += architecture_.norm_offset;
  return weights;
}

NormWeights Model::norms(std::span<const Norm> wanted, std::size_t block) const {
  NormWeights weights;
  for (const Norm place : wanted)
    if (architecture_.has(place)) weights[place] = norm(place, block);
  return weights;
}

std::uint64_t Model::stored_bytes(const Linear& linear) const {
  if (const codec::Codec* codec = codec_of(linear)) return codec::stored_bytes(*codec, linear.rows, linear.cols);
  const auto it = tensor_bytes_.find(linear.module + ".weight");
  return it == tensor_bytes_.end() ? 0 : it->second;
}

std::string Model::fingerprint() const {
  std::string text;
  for (const TensorInfo& tensor : source_->tensors()) text += tensor.name + tensor.type + shape_text(tensor.shape);
  json config = config_;
  config.erase("transformers_version");
  text += config.dump();
  return fmt::format("{:016x}", fnv1a(std::as_bytes(std::span(text)), source_->content_hash()));
}

}  // namespace strata::model
