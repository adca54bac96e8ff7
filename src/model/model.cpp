// Opening a model: its configuration becomes an architecture, and its container a source of tensors.
// What the layers above ask for by linear or by norm is looked up by name here.
#include "model/model.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <tuple>

#include "core/hash.h"
#include "format/gguf.h"
#include "hub/model_argument.h"
#include "model/check_tensors.h"
#include "model/gguf/families.h"
#include "model/sources.h"
#include "model/text_configuration.h"
#include "model/unknown.h"

namespace strata::model {
namespace fs = std::filesystem;
namespace {

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

/// The bytes of a stored linear's scale of the whole tensor.
std::vector<std::byte> tensor_scale_of(const codec::Stored& stored) {
  for (std::size_t i = 0; i < stored.specs.size(); ++i)
    if (stored.specs[i].suffix == "weight_global_scale") return {stored.views[i].begin(), stored.views[i].end()};
  return {};
}

/// What to give instead of a folder without config.json, by what is in it.
std::string advice_without_config(const fs::path& folder) {
  std::error_code code;
  if (fs::exists(folder / "adapter_config.json", code))
    return "it is an adapter, which is no model; merge it into its base model (merge_and_unload of peft) and give that";
  std::set<std::string> inner, gguf;
  for (fs::directory_iterator it(folder, code), end; !code && it != end; it.increment(code)) {
    if (fs::exists(it->path() / "config.json", code)) inner.insert(it->path().string());
    if (it->path().extension() == ".gguf") gguf.insert(it->path().string());
  }
  if (!gguf.empty()) return fmt::format("{} is a GGUF file: give that file", *gguf.begin());
  return inner.empty() ? "give a Hugging Face model folder or a GGUF file"
                       : fmt::format("{} has one: give that folder", *inner.begin());
}

}  // namespace

Model Model::open(const fs::path& argument, Fusion fusion, std::span<const Family> table) {
  return open(argument, fusion, table, format::Required::all);
}

Model Model::open_headers(const fs::path& argument, Fusion fusion) {
  return open(argument, fusion, families(), format::Required::header);
}

Model Model::open(const fs::path& argument, Fusion fusion, std::span<const Family> table, format::Required required) {
  const fs::path path = hub::model_path(argument);
  Model model;
  model.path_ = path;
  std::error_code code;
  if (!fs::exists(path, code)) fail("{}: does not exist; give a {}", path.string(), hub::kModelArgument);
  if (fs::is_directory(path, code)) {
    if (!fs::exists(path / "config.json", code))
      fail("{}: has no config.json; {}", path.string(), advice_without_config(path));
    model.open_folder(table, required);
  } else {
    if (!format::is_gguf(path)) fail("{}: is neither a folder nor a GGUF file", path.string());
    GgufModel gguf = open_gguf_model(path, required);
    model.gguf_ = true;
    model.config_ = std::move(gguf.config);
    model.architecture_ = parse_architecture(model.config_, path.string(), table);
    model.architecture_.names.root = gguf.root;
    model.source_ = std::move(gguf.source);
  }
  if (!model.architecture_.why_not_runnable.empty()) {
    model.carried_ = carried_of_unknown(model.architecture_, *model.source_);
  } else {
    list_linears(model.architecture_, fusion);
    model.order_heads(fusion);
    model.carried_ = check_tensors(model.architecture_, model.config_, *model.source_, model.gguf_, path.string());
  }
  for (const TensorInfo& tensor : model.source_->tensors()) model.tensor_bytes_[tensor.name] = tensor.bytes;
  model.find_source_codecs();
  return model;
}

void Model::open_folder(std::span<const Family> table, format::Required required) {
  const std::string where = (path_ / "config.json").string();
  config_ = read_json_file(where);
  const json text = text_configuration(config_, where);
  const bool known = find_family(text["model_type"].get<std::string>(), table) != nullptr;
  architecture_ = known ? parse_architecture(config_, where, table) : unknown_architecture(text);
  const auto open_source = [&] { source_ = open_hf_source(path_, config_, architecture_, required); };
  open_source();
  if (known) find_head(text);
  if (known && lacks_head(architecture_, *source_)) {
    architecture_ = architecture_without_head(text);
    open_source();
  }
  if (architecture_.why_not_runnable.empty()) return;
  // The linears of a model that is not run follow from its tensors, and how tensors are read from its linears.
  find_linears(architecture_, text, *source_, path_.string());
  open_source();
}

void Model::order_heads(Fusion fusion) {
  const bool tiles = tiles_value_heads(architecture_);
  architecture_.delta.tiled = tiles && fusion == Fusion::single;
  if (architecture_.delta.tiled == (tiles && gguf_)) return;
  head_orders_ = value_head_orders(architecture_, architecture_.delta.tiled);
  source_ = reordered(std::move(source_), head_orders_);
}

void Model::find_source_codecs() {
  const Architecture& a = architecture_;
  source_codecs_.assign(a.linears.size(), nullptr);
  // What runtimes load as one matrix: q, k and v; gate and up, of each expert.
  std::map<std::tuple<std::size_t, std::size_t, bool>, std::vector<std::size_t>> scaled;
  for (std::size_t l = 0; l < a.linears.size(); ++l) {
    const Linear& linear = a.linears[l];
    source_codecs_[l] = source_->native_codec(linear.module + ".weight", linear.rows, linear.cols);
    if (source_codecs_[l] != nullptr && source_codecs_[l]->tensor_scaled)
      scaled[{linear.group, linear.expert, linear.role == Role::down}].push_back(l);
  }
  const auto have_one_scale = [&](const std::vector<std::size_t>& linears) {
    const std::vector<std::byte> scale = tensor_scale_of(as_in_source(linears.front()));
    return std::ranges::all_of(linears, [&](std::size_t l) { return tensor_scale_of(as_in_source(l)) == scale; });
  };
  const bool readable = complete();
  for (const auto& [key, linears] : scaled)
    if (!readable || !have_one_scale(linears))
      for (const std::size_t l : linears) source_codecs_[l] = nullptr;
}

codec::Stored Model::as_in_source(std::size_t l) const {
  STRATA_CHECK(source_codecs_[l] != nullptr, "{} has no codec in the source", architecture_.linears[l].module);
  const Linear& linear = architecture_.linears[l];
  return source_->native(linear.module + ".weight", linear.rows, linear.cols);
}

void Model::find_head(const json& text) {
  const std::string module = architecture_.names.linear(Role::lm_head), head = module + ".weight";
  if (leaves_ties_to_class(config_, text) && !source_->has(head) && source_->codec_of(module) == nullptr)
    architecture_.tied = true;
  if (!architecture_.tied || !source_->has(head) || !complete()) return;
  const LinearWeights a = source_->matrix(embedding_name(architecture_), architecture_.vocab, architecture_.hidden);
  const LinearWeights b = source_->matrix(head, architecture_.vocab, architecture_.hidden);
  architecture_.tied = same_values(a.view().dense, b.view().dense);
}

std::vector<Stack> Model::stacks() const {
  const Architecture& a = architecture_;
  std::vector<Stack> result;
  for (std::size_t b = 0; b < a.layout.size(); ++b) {
    const StackNames* names = source_->stacks(b);
    if (!a.layout[b].mixture || (names == nullptr && a.experts.stacks == Experts::Stacks::never)) continue;
    for (Stack& stack : stacks_of(a, b, names != nullptr ? *names : own_stacks(a, b)))
      result.push_back(std::move(stack));
  }
  return result;
}

void Model::require_runnable() const {
  if (!architecture_.why_not_runnable.empty()) fail("{}: {}", path_.string(), architecture_.why_not_runnable);
}

std::string Model::low_bit_types() const {
  std::set<std::string> types;
  for (const Linear& linear : architecture_.linears)
    if (const codec::Codec* codec = codec_of(linear)) types.insert(codec->name);
  for (const TensorInfo& tensor : tensors()) {
    const bool weight = gguf_ || (tensor.name.ends_with(".weight") && codec_of_name(tensor.name) == nullptr);
    if (weight && tensor.shape.size() == 2 && tensor.type != "F32" && tensor.type != "F16" && tensor.type != "BF16")
      types.insert(tensor.type);
  }
  return fmt::format("{}", fmt::join(types, ", "));
}

const codec::Codec* Model::codec_of_name(const std::string& tensor) const {
  if (!tensor.ends_with(".weight")) return nullptr;
  return source_->codec_of(tensor.substr(0, tensor.size() - 7));
}

json Model::config() const {
  json config = config_;
  config.erase("quantization_config");
  config.erase("quantization");  // MLX's name for it
  // Readers that believe config.json would leave out a head that the file has.
  const auto untie = [&](json& part) {
    if (const auto it = part.find("tie_word_embeddings"); it != part.end() && *it == true) *it = architecture_.tied;
  };
  untie(config);
  if (const auto text = config.find("text_config"); text != config.end() && text->is_object()) untie(*text);
  return config;
}

std::vector<Companion> Model::companions() const {
  if (!gguf_) return companions_of(path_);
  std::vector<Companion> files;
  for (auto& [name, text] : gguf_companion_files(path_))
    files.push_back({.name = name, .bytes = text.size(), .text = text});
  return files;
}

LinearWeights Model::weights(const Linear& linear) const {
  return source_->matrix(linear.module + ".weight", linear.rows, linear.cols);
}

LinearWeights Model::packed(const Linear& linear) const {
  return source_->packed(linear.module + ".weight", linear.rows, linear.cols);
}

std::uint64_t Model::copied_bytes(const Linear& linear) const {
  return source_->copied_bytes(linear.module + ".weight", linear.rows, linear.cols);
}

LinearWeights Model::packed_embedding() const {
  return source_->packed(embedding_name(architecture_), architecture_.vocab, architecture_.hidden);
}

std::vector<float> Model::head_bias() const {
  if (!architecture_.head_bias) return {};
  return vector(architecture_.names.linear(Role::lm_head) + ".bias", architecture_.vocab);
}

const codec::Codec* Model::embedding_codec() const {
  return architecture_.why_not_runnable.empty() ? source_->codec_of(architecture_.names.linear(Role::embed)) : nullptr;
}

LinearWeights Model::embedding() const {
  return source_->matrix(embedding_name(architecture_), architecture_.vocab, architecture_.hidden);
}

std::vector<float> Model::norm(Norm norm, std::size_t block) const {
  if (!architecture_.has(norm, block)) return {};
  if (!architecture_.has_weights(norm)) return std::vector<float>(architecture_.norm_size(norm, block), 1.0f);
  std::vector<float> weights =
      source_->vector(norm_name(architecture_, norm, block), architecture_.norm_size(norm, block));
  if (architecture_.norm_offset != 0.0f)
    for (float& weight : weights) weight += architecture_.norm_offset;
  if (architecture_.has_bias(norm)) {
    const std::vector<float> biases = source_->vector(norm_bias_name(architecture_, norm, block), weights.size());
    weights.insert(weights.end(), biases.begin(), biases.end());
  }
  return weights;
}

NormWeights Model::norms(std::span<const Norm> wanted, std::size_t block) const {
  NormWeights weights;
  for (const Norm place : wanted)
    if (architecture_.has(place, block)) weights[place] = norm(place, block);
  return weights;
}

std::uint64_t Model::stored_bytes(const Linear& linear) const {
  if (const codec::Codec* codec = codec_of(linear)) return codec::stored_bytes(*codec, linear.rows, linear.cols);
  const auto it = tensor_bytes_.find(linear.module + ".weight");
  return it == tensor_bytes_.end() ? 0 : it->second;
}

std::uint64_t Model::hash_after(std::uint64_t seed) const {
  std::string text;
  for (const TensorInfo& tensor : source_->tensors()) text += tensor.name + tensor.type + shape_text(tensor.shape);
  json config = config_;
  config.erase("transformers_version");
  text += config.dump();
  return fnv1a(std::as_bytes(std::span(text)), seed);
}

std::string Model::fingerprint() const {
  if (!complete()) return header_fingerprint();
  return fmt::format("{:016x}", hash_after(source_->content_hash()));
}

std::string Model::header_fingerprint() const { return fmt::format("{}{:016x}", kOfHeaders, hash_after(fnv1a({}))); }

}  // namespace strata::model
