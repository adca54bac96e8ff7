// One writer a tool. Module names are given whole, never as patterns that could match more than was planned.
// JSON is YAML, so llm-compressor's recipe is JSON too.
#include "pipeline/plan/export_plan.h"

#include <array>
#include <map>
#include <set>

#include "core/suggest.h"
#include "format/compressed_tensors.h"
#include "model/gguf/names.h"
#include "pipeline/plan/plan.h"

namespace strata::pipeline {
namespace {

using codec::Codec;
using codec::Container;

/// Empty for codecs of compressed-tensors, else whose they are.
std::string foreign(const Codec& codec) {
  if (codec.container == Container::gguf) return "it is a type of GGUF files; plan --for transformers or vllm";
  return codec.container == Container::mlx ? "it is a quantization of MLX; plan --for transformers or vllm" : "";
}

std::string text_of(const json& value) { return value.dump(2) + "\n"; }

/// A regular expression that matches the name and nothing else.
std::string exactly(const std::string& name) {
  std::string pattern = "^";
  for (const char c : name) pattern += c == '.' ? std::string("\\.") : std::string(1, c);
  return pattern + "$";
}

std::string llm_compressor_lacks(const Codec& codec) { return foreign(codec); }

std::string llm_compressor(const ExportedPlan& plan) {
  std::vector<format::ModuleCodec> modules;
  for (const ExportedPlan::Linear& linear : plan.linears) modules.push_back({linear.module, linear.codec});
  const std::array<std::string, 1> head = {"lm_head"};
  const json config = format::quantization_config(modules, head, format::Activations::none);
  if (config.empty()) fail("the plan keeps every linear in bf16; there is nothing for llm-compressor to do");
  return text_of(
      {{"default_stage",
        {{"default_modifiers",
          {{"QuantizationModifier", {{"config_groups", config["config_groups"]}, {"ignore", config["ignore"]}}}}}}}});
}

constexpr auto kUnrounded = codec::ActivationRounding::Kind::none;

/// auto-round's name for the numbers of a codec; empty when it has none.
std::string auto_round_type(const Codec& codec) {
  using enum codec::Family;
  switch (codec.family) {
    case keep:
      return "float";
    case integer:
      return "int";
    case fp8:
      return "fp";
    case nvfp4:
      return "nv_fp";
    case mxfp4:
    case mxfp8:
      return "mx_fp";
    default:
      return {};
  }
}

std::string auto_round_lacks(const Codec& codec) {
  if (std::string why = foreign(codec); !why.empty()) return why;
  return auto_round_type(codec).empty() ? "auto-round has no data type for it; plan with other --codecs" : "";
}

json auto_round_scheme(const Codec& codec) {
  if (!codec.has_codes()) return {{"bits", 16}, {"data_type", "float"}, {"act_bits", 16}, {"act_data_type", "float"}};
  return {{"bits", codec.code_bits},
          {"group_size", codec.group_size == 0 ? -1 : static_cast<int>(codec.group_size)},
          {"sym", codec.symmetric},
          {"data_type", auto_round_type(codec)},
          {"act_bits", codec.activations == kUnrounded ? 16 : codec.code_bits}};
}

std::string auto_round(const ExportedPlan& plan) {
  json layers = json::object();
  for (const ExportedPlan::Linear& linear : plan.linears) layers[linear.module] = auto_round_scheme(*linear.codec);
  return text_of({{"scheme", "W4A16"}, {"layer_config", std::move(layers)}});
}

std::string gptqmodel_lacks(const Codec& codec) {
  if (std::string why = foreign(codec); !why.empty()) return why;
  if (!codec.has_codes() || (codec.is_integer() && codec.symmetric && codec.activations == kUnrounded)) return "";
  return "its GPTQ checkpoints hold symmetric integers only; plan with --codecs of int4_g64, int8_g32 and their like";
}

json gptqmodel_scheme(const Codec& codec) {
  return {{"bits", codec.code_bits},
          {"group_size", codec.group_size == 0 ? -1 : static_cast<int>(codec.group_size)},
          {"sym", true},
          {"desc_act", false}};
}

std::string gptqmodel(const ExportedPlan& plan) {
  std::map<const Codec*, std::size_t> counts;
  const Codec* most = nullptr;
  for (const ExportedPlan::Linear& linear : plan.linears)
    if (linear.codec->has_codes())
      if (const std::size_t count = ++counts[linear.codec]; most == nullptr || count > counts[most])
        most = linear.codec;
  if (most == nullptr) fail("the plan keeps every linear in bf16; there is nothing for gptqmodel to do");
  json config = gptqmodel_scheme(*most);
  json dynamic = json::object();
  for (const ExportedPlan::Linear& linear : plan.linears)
    if (!linear.codec->has_codes())
      dynamic["-:" + exactly(linear.module)] = json::object();
    else if (linear.codec != most)
      dynamic["+:" + exactly(linear.module)] = gptqmodel_scheme(*linear.codec);
  config["lm_head"] = false;
  config["dynamic"] = std::move(dynamic);
  return text_of(config);
}

std::string llama_quantize_lacks(const Codec& codec) {
  return codec.has_codes() && codec.container != Container::gguf ? "GGUF has no such type; plan with --for llama.cpp"
                                                                 : "";
}

std::string llama_quantize(const ExportedPlan& plan) {
  std::string text;
  const auto add = [&](const std::string& tensor, const Codec& codec) {
    const auto name = model::gguf_tensor_name({}, tensor);  // a plan has no model: the names of most families
    if (!name) fail("{}: has no name in GGUF files that is known here", tensor);
    text += fmt::format("{}={}\n", exactly(*name), codec.has_codes() ? codec.name : "bf16");
  };
  for (const ExportedPlan::Linear& linear : plan.linears) add(linear.module + ".weight", *linear.codec);
  return text;
}

constexpr std::array<Exporter, 4> kExporters{{
    {"llm-compressor", "oneshot(model=MODEL, recipe=FILE)", llm_compressor_lacks, llm_compressor},
    {"auto-round", "AutoRound(MODEL, **json.load(open(FILE)))", auto_round_lacks, auto_round},
    {"gptqmodel", "GPTQModel.load(MODEL, QuantizeConfig(**json.load(open(FILE))))", gptqmodel_lacks, gptqmodel},
    {"llama-quantize", "llama-quantize --tensor-type-file FILE model-bf16.gguf out.gguf q8_0", llama_quantize_lacks,
     llama_quantize},
}};

}  // namespace

std::span<const Exporter> exporters() { return kExporters; }

const Exporter& exporter_by_name(std::string_view name) {
  std::vector<std::string> known;
  for (const Exporter& exporter : kExporters) {
    if (exporter.name == name) return exporter;
    known.emplace_back(exporter.name);
  }
  fail_usage("--to {}: unknown tool{}; known are {}", name, did_you_mean(name, known), fmt::join(known, ", "));
}

ExportedPlan ExportedPlan::from_json(const json& value, const std::string& where) {
  check_is_plan(value, where);
  const auto codec_of = [&](const std::string& name) {
    const Codec* codec = codec::find(name);
    if (codec == nullptr) fail("{}: the codec '{}' is unknown", where, name);
    return codec;
  };
  ExportedPlan plan;
  const auto list = value.find("groups");
  if (list == value.end() || !list->is_array() || list->empty()) fail("{}: 'groups' is missing", where);
  std::set<std::string> seen;
  for (const json& entry : *list) {
    if (!entry.is_object()) fail("{}: an entry of 'groups' is not an object", where);
    const Codec* codec = codec_of(get<std::string>(entry, "codec", where));
    for (const auto& module : get<std::vector<std::string>>(entry, "linears", where)) {
      if (!seen.insert(module).second) fail("{}: {} is in two groups", where, module);
      plan.linears.push_back({module, codec});
    }
  }
  return plan;
}

std::string export_plan(const ExportedPlan& plan, const Exporter& exporter) {
  for (const ExportedPlan::Linear& linear : plan.linears)
    if (const std::string why = exporter.why_not(*linear.codec); !why.empty())
      fail("{} cannot make {} of {}: {}", exporter.name, linear.codec->name, linear.module, why);
  return exporter.write(plan);
}

}  // namespace strata::pipeline
