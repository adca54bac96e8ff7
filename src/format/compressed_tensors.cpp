// Codecs -> quantization_config. The table of schemes is the only place that knows compressed-tensors' names.
// Every key of a weights object is written, as llm-compressor does; unknown ones would be refused by the readers.
#include "format/compressed_tensors.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "format/declared_activations.h"

namespace strata::format {
namespace {

constexpr const char* kVersion = "0.18.0";  // from here on 3, 5 and 6 bits are packed densely

bool codes_are_packed(const codec::Codec& codec) {
  return codec.layout(codec, 128, 128).front().suffix == "weight_packed";  // 128: a multiple of every group size
}

json scale_dtype(const Scheme& scheme) {
  if (scheme.format == "nvfp4-pack-quantized") return "torch.float8_e4m3fn";
  if (scheme.format.starts_with("mxfp")) return "torch.uint8";
  return nullptr;
}

json weights_json(const Scheme& scheme) {
  return {{"num_bits", scheme.num_bits},
          {"type", scheme.type},
          {"symmetric", scheme.symmetric},
          {"strategy", scheme.strategy},
          {"group_size", scheme.group_size == 0 ? json(nullptr) : json(scheme.group_size)},
          {"dynamic", false},
          {"actorder", nullptr},
          {"block_structure", scheme.strategy == "block" ? json({128, 128}) : json(nullptr)},
          {"observer", "memoryless_minmax"},
          {"observer_kwargs", json::object()},
          {"scale_dtype", scale_dtype(scheme)},
          {"zp_dtype", nullptr}};
}

json input_activations(const codec::Codec& codec, Activations activations) {
  const auto kind = declared_activations_of(codec, activations);
  const auto row = std::ranges::find(declared_activations(), kind, &DeclaredActivations::kind);
  if (row == declared_activations().end()) return nullptr;
  json object = {{"num_bits", row->num_bits}, {"type", row->type}, {"strategy", row->strategy}};
  object["dynamic"] = row->dynamic == "local" ? json(row->dynamic) : json(row->dynamic == "true");
  object["symmetric"] = true;
  if (row->group_size == 0) return object;
  object["group_size"] = row->group_size;
  object["scale_dtype"] = scale_dtype(scheme_of(codec));
  return object;
}

}  // namespace

std::string Scheme::text() const {
  const std::string group = group_size == 0 ? "" : fmt::format(" {}", group_size);
  return fmt::format("{} {}{} {}{} {}", format, type, num_bits, strategy, group,
                     symmetric ? "symmetric" : "asymmetric");
}

bool has_scheme(const codec::Codec& codec) { return codec.container == codec::Container::compressed_tensors; }

Scheme scheme_of(const codec::Codec& codec) {
  using enum codec::Family;
  const std::string strategy = codec.group_size == 0 ? "channel" : "group";
  switch (codec.family) {
    case nvfp4:
      return {"nvfp4-pack-quantized", 4, "float", "tensor_group", codec.group_size, true};
    case mxfp4:
      return {"mxfp4-pack-quantized", 4, "float", strategy, codec.group_size, true};
    case mxfp8:
      return {"mxfp8-quantized", 8, "float", strategy, codec.group_size, true};
    case fp8:  // with groups: fp8_block, whose blocks are as many rows
      return {"float-quantized", 8, "float", codec.group_size == 0 ? "channel" : "block", 0, true};
    case integer:
      return {codes_are_packed(codec) ? "pack-quantized" : "int-quantized",
              codec.code_bits,
              "int",
              strategy,
              codec.group_size,
              codec.symmetric};
    case keep:
    case affine:
    case ggml:
      break;
  }
  STRATA_CHECK(false, "{}", codec.name);
}

codec::ActivationRounding::Kind declared_activations_of(const codec::Codec& codec, Activations activations) {
  using enum codec::ActivationRounding::Kind;
  const bool by_token = codec.family == codec::Family::fp8 && activations == Activations::dynamic;
  return codec.activations == none && by_token ? e4m3_token : codec.activations;
}

std::string_view input_scale_name(codec::ActivationRounding::Kind kind) {
  return kind == codec::ActivationRounding::Kind::nvfp4 ? "input_global_scale" : "input_scale";
}

json fp8_cache_scheme() {
  return {{"num_bits", 8}, {"type", "float"}, {"strategy", "tensor"}, {"dynamic", false}, {"symmetric", true}};
}

json quantization_config(std::span<const ModuleCodec> modules, std::span<const std::string> always_ignored,
                         Activations activations) {
  std::vector<std::pair<const codec::Codec*, json>> groups;  // by first appearance: codec, targets
  json ignore = json::array();
  std::set<std::string_view> seen;
  for (const std::string& module : always_ignored)
    if (seen.insert(module).second) ignore.push_back(module);
  for (const ModuleCodec& entry : modules) {
    const bool fresh = seen.insert(entry.module).second;
    if (!entry.codec->has_codes()) {
      if (fresh) ignore.push_back(entry.module);
      continue;
    }
    if (!has_scheme(*entry.codec))
      fail("{}: a compressed-tensors checkpoint cannot hold the codec {}", entry.module, entry.codec->name);
    STRATA_CHECK(fresh, "{} twice, or quantized and ignored", entry.module);
    auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& g) { return g.first == entry.codec; });
    if (group == groups.end()) group = groups.insert(groups.end(), {entry.codec, json::array()});
    group->second.push_back(entry.module);
  }
  if (groups.empty()) return json::object();

  json config_groups = json::object();
  std::set<std::string> formats;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const Scheme scheme = scheme_of(*groups[i].first);
    formats.insert(scheme.format);
    config_groups[fmt::format("group_{:03}", i)] = {
        {"format", scheme.format},
        {"targets", std::move(groups[i].second)},
        {"weights", weights_json(scheme)},
        {"input_activations", input_activations(*groups[i].first, activations)},
        {"output_activations", nullptr}};
  }
  return {{"quant_method", "compressed-tensors"},
          {"version", kVersion},
          {"format", formats.size() == 1 ? *formats.begin() : "mixed-precision"},
          {"quantization_status", "compressed"},
          {"global_compression_ratio", nullptr},
          {"kv_cache_scheme", nullptr},
          {"sparsity_config", json::object()},
          {"transform_config", json::object()},
          {"ignore", std::move(ignore)},
          {"config_groups", std::move(config_groups)}};
}

}  // namespace strata::format
