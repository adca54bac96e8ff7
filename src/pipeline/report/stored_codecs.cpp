// compressed-tensors names a codec for each linear; GGUF names a type for each tensor.
// Types are compared by name, because that is what a model says of its tensors.
#include "pipeline/report/stored_codecs.h"

#include <algorithm>
#include <map>

#include "format/ggml_types.h"

namespace strata::pipeline {
namespace {

constexpr std::uint32_t kTypeNumbers = 256;  // ggml numbers its types from 0, with room to spare

const codec::Codec* codec_of_type(const std::string& type) {
  for (std::uint32_t number = 0; number < kTypeNumbers; ++number)
    if (const format::GgmlType* known = format::find_ggml_type(number); known != nullptr && known->name == type)
      return format::codec_of_ggml_type(number);
  return nullptr;
}

/// The codec of the same weights whose checkpoints declare inputs that are rounded so; itself where there is none.
const codec::Codec* with_inputs(const codec::Codec* codec, codec::ActivationRounding::Kind kind) {
  const auto alike = [&](const codec::Codec& other) {
    const bool same = other.layout == codec->layout || codec == &codec::fp8_groups();  // as blocks of FP8 are read
    return same && other.code_bits == codec->code_bits && other.family == codec->family &&
           other.group_size == codec->group_size && other.container == codec->container && other.activations == kind;
  };
  const auto found = std::ranges::find_if(codec::all(), alike);
  return codec->has_codes() && found != codec::all().end() ? &*found : codec;
}

}  // namespace

std::vector<const codec::Codec*> stored_codecs(const model::Model& quantized) {
  std::map<std::string, const codec::Codec*> by_tensor;
  for (const model::TensorInfo& tensor : quantized.tensors())
    if (quantized.from_gguf())
      by_tensor[tensor.name] = codec_of_type(tensor.type);
    else if (const codec::Codec* codec = codec::find(tensor.type))  // of MLX
      by_tensor[tensor.name] = codec;
  std::vector<const codec::Codec*> codecs;
  const std::vector<codec::ActivationRounding> declared = quantized.declared_activations();
  for (const model::Linear& linear : quantized.architecture().linears) {
    const auto tensor = by_tensor.find(linear.module + ".weight");
    const codec::Codec* codec = tensor != by_tensor.end() ? tensor->second : quantized.codec_of(linear);
    if (codec == nullptr) codec = &codec::by_name("keep");
    codecs.push_back(with_inputs(codec, declared[codecs.size()].kind));
  }
  return codecs;
}

void check_plan_of(const Plan& plan, const model::Model& quantized, const std::string& where) {
  std::map<std::string, const codec::Codec*> planned;
  for (const PlannedGroup& group : plan.groups)
    for (const std::string& linear : group.linears) planned[linear] = group.codec;
  const std::vector<const codec::Codec*> stored = stored_codecs(quantized);
  for (std::size_t l = 0; l < stored.size(); ++l) {
    const model::Linear& linear = quantized.architecture().linears[l];
    const std::string& module = linear.module;
    if (linear.role == model::Role::embed && !stored[l]->has_codes()) continue;  // plans that leave it dense are silent
    auto it = planned.find(module);
    if (it == planned.end() && linear.role == model::Role::lm_head)  // it was tied
      it = planned.find(quantized.architecture().names.linear(model::Role::embed));
    if (it == planned.end() || it->second != stored[l])
      fail("{}: gives {} {}, and in {} it is {}; give the plan that {} was made with", where, module,
           it == planned.end() ? "nothing" : it->second->name, quantized.path().string(), stored[l]->name,
           quantized.path().string());
  }
}

}  // namespace strata::pipeline
