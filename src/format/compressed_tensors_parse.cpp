// quantization_config -> codecs. A group of the configuration is read into a Scheme, and the codec with the same
// scheme is looked up, so a scheme without a codec is refused by its name.
#include "core/error.h"
#include "format/compressed_tensors.h"
#include "format/declared_activations.h"
#include "format/strict_json.h"

namespace strata::format {
namespace {

bool absent(const json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() || it->is_null();
}

/// object[key] as an object; nullptr when absent or null.
const json* object_or_null(const json& object, const char* key, const std::string& where) {
  if (absent(object, key)) return nullptr;
  const json& value = object.at(key);
  if (!value.is_object()) fail("{}: '{}' is no object", where, key);
  return &value;
}

std::vector<std::string> texts(const json& list, const char* key, const std::string& where) {
  std::vector<std::string> result;
  if (!list.is_array()) fail("{}: '{}' is no list", where, key);
  for (const json& item : list) {
    if (!item.is_string()) fail("{}: '{}' holds other than texts", where, key);
    result.push_back(item.get<std::string>());
  }
  return result;
}

std::string lower(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

/// Columns are stored in another order than the model's for "group" (also called "dynamic", or true).
void refuse_activation_order(const json& weights, const std::string& where) {
  if (absent(weights, "actorder")) return;
  const json& order = weights.at("actorder");
  const std::string name = order.is_string() ? lower(order.get<std::string>()) : order.dump();
  if (name != "weight" && name != "static" && name != "false")
    fail("{}: activation order '{}' stores columns in another order, which cannot be read", where, printable(name));
}

std::uint64_t group_size_of(const json& weights, const std::string& where) {
  const auto size = get_or<std::int64_t>(weights, "group_size", -1, where);
  if (size < -1 || size == 0 || size > (1 << 30)) fail("{}: 'group_size' is {}", where, size);
  return size == -1 ? 0 : static_cast<std::uint64_t>(size);
}

/// compressed-tensors' rule for a strategy that is left out.
std::string inferred_strategy(const json& weights, std::uint64_t group_size) {
  if (group_size > 0) return "group";
  return absent(weights, "group_size") ? "tensor" : "channel";
}

Scheme read_scheme(const json& weights, const std::string& format, const std::string& where) {
  refuse_activation_order(weights, where);
  if (!absent(weights, "dynamic") && weights.at("dynamic") != false)
    fail("{}: weights that are quantized anew in each run ('dynamic') are not stored quantized", where);
  Scheme scheme{format,
                get_or<unsigned>(weights, "num_bits", 8, where),
                lower(get_or<std::string>(weights, "type", "int", where)),
                "",
                group_size_of(weights, where),
                get_or<bool>(weights, "symmetric", true, where)};
  scheme.strategy =
      lower(get_or<std::string>(weights, "strategy", inferred_strategy(weights, scheme.group_size), where));
  if (scheme.format == "naive-quantized") scheme.format = scheme.type == "float" ? "float-quantized" : "int-quantized";
  return scheme;
}

/// nullptr for FP8 with scales of blocks, which may be of any size and type, or of tensors: EncodedMatrix reads both.
const codec::Codec* codec_of_scheme(const Scheme& scheme, const std::string& where) {
  static const std::vector<std::pair<Scheme, const codec::Codec*>> known = [] {
    std::vector<std::pair<Scheme, const codec::Codec*>> table;
    for (const codec::Codec& codec : codec::all())
      if (has_scheme(codec) && scheme_of(codec).strategy != "block") table.emplace_back(scheme_of(codec), &codec);
    return table;
  }();
  for (const auto& [candidate, codec] : known)
    if (candidate == scheme) return codec;
  const bool other_fp8 = scheme.format == "float-quantized" && scheme.type == "float" && scheme.num_bits == 8 &&
                         scheme.symmetric && (scheme.strategy == "block" || scheme.strategy == "tensor");
  if (other_fp8) return nullptr;
  fail("{}: no codec reads the scheme '{}'", where, printable(scheme.text()));
}

/// What a group declares of its modules' inputs.
codec::ActivationRounding::Kind read_activations(const json& group) {
  using enum codec::ActivationRounding::Kind;
  if (absent(group, "input_activations")) return none;
  const json& declared = group.at("input_activations");
  if (!declared.is_object()) return unknown;
  const auto word = [&](const char* key, const std::string& otherwise) {
    if (absent(declared, key)) return otherwise;
    const json& value = declared.at(key);
    return lower(value.is_string() ? value.get<std::string>() : value.dump());
  };
  const auto number = [&](const char* key, std::int64_t otherwise) {
    if (absent(declared, key)) return otherwise;
    return declared.at(key).is_number_integer() ? declared.at(key).get<std::int64_t>() : std::int64_t{-1};
  };
  const std::int64_t group_size = number("group_size", 0);
  const std::string strategy = word("strategy", group_size == 0 ? "tensor" : "group");
  if (word("symmetric", "true") != "true") return unknown;
  for (const DeclaredActivations& row : declared_activations())
    if (row.num_bits == number("num_bits", 8) && row.type == word("type", "int") && row.strategy == strategy &&
        row.dynamic == word("dynamic", "false") && row.group_size == group_size)
      return row.kind;
  return unknown;
}

void check_top_level(const json& config, const std::string& where) {
  const auto method = get<std::string>(config, "quant_method", where);
  if (method != "compressed-tensors")
    fail(
        "{}: quantization method '{}' cannot be read, known are compressed-tensors, fp8, fbgemm_fp8, modelopt and "
        "mxfp4; give the original that it was made from",
        where, printable(method));
  const auto status = get_or<std::string>(config, "quantization_status", "compressed", where);
  if (status != "compressed" && status != "frozen")
    fail("{}: 'quantization_status' is '{}', only 'compressed' checkpoints can be read", where, printable(status));
  if (const json* sparsity = object_or_null(config, "sparsity_config", where); sparsity != nullptr) {
    const auto format = get_or<std::string>(*sparsity, "format", "dense", where);
    if (format != "dense") fail("{}: the sparse format '{}' cannot be read", where, printable(format));
  }
  const json* transforms = object_or_null(config, "transform_config", where);
  if (transforms != nullptr && object_or_null(*transforms, "config_groups", where) != nullptr &&
      !transforms->at("config_groups").empty())
    fail("{}: transforms of weights or activations ('transform_config') are not supported", where);
}

}  // namespace

QuantizationScheme QuantizationScheme::parse(const json& quantization_config, const std::string& where) {
  const json& config = quantization_config;
  if (!config.is_object()) fail("{}: 'quantization_config' is no object", where);
  check_top_level(config, where);
  QuantizationScheme result;
  result.where_ = where;
  const auto top_format = get_or<std::string>(config, "format", "", where);

  const json* groups = object_or_null(config, "config_groups", where);
  if (groups == nullptr) fail("{}: 'config_groups' is missing", where);
  for (const auto& [name, group] : groups->items()) {
    const std::string here = fmt::format("{}: config group '{}'", where, printable(name));
    if (!group.is_object()) fail("{}: is no object; presets by name cannot be read", here);
    const json* weights = object_or_null(group, "weights", here);
    if (weights == nullptr) continue;  // a group for attention or for activations only
    const auto format = get_or<std::string>(group, "format", top_format, here);
    const Group read{codec_of_scheme(read_scheme(*weights, format, here), here), read_activations(group)};
    if (absent(group, "targets")) fail("{}: 'targets' is missing", here);
    for (std::string& target : texts(group.at("targets"), "targets", here)) {
      if (target.starts_with("re:")) {
        result.patterns_.push_back({TargetPattern(target.substr(3), here), read});
      } else if (const auto [it, fresh] = result.exact_.emplace(std::move(target), read);
                 !fresh && it->second.codec != read.codec) {
        fail("{}: the target '{}' is in another group too, with another scheme", here, printable(it->first));
      }
    }
  }
  if (!absent(config, "ignore"))
    for (std::string& name : texts(config.at("ignore"), "ignore", where)) {
      if (name.starts_with("re:"))
        result.ignored_patterns_.emplace_back(name.substr(3), where);
      else
        result.ignored_.insert(std::move(name));
    }
  return result;
}

bool QuantizationScheme::ignores(const std::string& module, std::string_view class_name) const {
  if (ignored_.contains(module) || ignored_.contains(class_name)) return true;
  for (const TargetPattern& pattern : ignored_patterns_)
    if (pattern.matches(module)) return true;
  return false;
}

QuantizationScheme::Group QuantizationScheme::group_of(const std::string& module, std::string_view class_name) const {
  if (ignores(module, class_name)) return {};
  if (const auto it = exact_.find(module); it != exact_.end()) return it->second;
  const PatternTarget* found = nullptr;
  for (const PatternTarget& target : patterns_) {
    if (!target.pattern.matches(module)) continue;
    if (found == nullptr) found = &target;
    if (found->group.codec != target.group.codec)
      fail("{}: the patterns '{}' and '{}' both match {}, with different schemes", where_,
           printable(found->pattern.text()), printable(target.pattern.text()), printable(module));
  }
  if (found != nullptr) return found->group;
  const auto it = exact_.find(class_name);
  return it == exact_.end() ? Group{} : it->second;
}

const codec::Codec* QuantizationScheme::codec_of(const std::string& module, std::string_view class_name) const {
  return group_of(module, class_name).codec;
}

codec::ActivationRounding::Kind QuantizationScheme::activations_of(const std::string& module) const {
  return group_of(module, kLinearClass).activations;
}

}  // namespace strata::format
