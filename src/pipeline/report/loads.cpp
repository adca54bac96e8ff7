// Asks every target about every linear.
#include "pipeline/report/loads.h"

#include "pipeline/plan/shapes.h"
#include "pipeline/report/stored_codecs.h"

namespace strata::pipeline {
namespace {

using codec::Codec;
using model::Linear;

/// Why the target cannot load a linear in this codec; empty when it can.
std::string why_not_linear(const Target& target, const Codec& codec, const Linear& linear,
                           const model::Architecture& a) {
  if (!codec.has_codes()) return {};
  std::string why = target.why_not(codec);
  if (why.empty() && linear.routed()) why = why_not_experts(target, codec, a.experts);
  if (why.empty()) why = why_not_shape(codec, linear.rows, linear.cols);
  if (why.empty()) why = why_not_fused(target, codec, a, a.groups[linear.group], 1);
  return why;
}

Verdict verdict(const Target& target, const model::Model& checkpoint, const std::vector<const Codec*>& codecs) {
  const bool gguf = !target.extension().empty();
  if (gguf != checkpoint.from_gguf()) {
    if (!gguf) return {&target, "it loads folders of safetensors, and this is a GGUF file", {}, 0};
    if (std::string why = why_not_family(target, checkpoint.architecture()); !why.empty())
      return {&target, std::move(why), {}, 0};
    return {&target, "it loads GGUF files only; `strata convert` makes one of a dense model", {}, 0};
  }
  if (std::string why = why_not_family(target, checkpoint.architecture()); !gguf && !why.empty())
    return {&target, std::move(why), {}, 0};
  Verdict result{&target, {}, {}, 0};
  const bool listed = checkpoint.architecture().embedding() != model::kNoLinear;
  if (const Codec* codec = checkpoint.embedding_codec(); !gguf && !listed && codec != nullptr)
    if (result.reason = target.why_not_embedding(*codec); !result.reason.empty()) {
      result.first = fmt::format("{} in {}", codec->name, checkpoint.architecture().names.linear(model::Role::embed));
      result.linears = 1;
    }
  const Codec* experts = nullptr;
  const auto& linears = checkpoint.architecture().linears;
  for (std::size_t l = 0; l < linears.size(); ++l) {
    std::string why = why_not_linear(target, *codecs[l], linears[l], checkpoint.architecture());
    if (why.empty() && target.one_expert_codec && linears[l].routed()) {
      if (experts != nullptr && experts != codecs[l]) why = "it loads one codec for all experts of a model";
      if (experts == nullptr) experts = codecs[l];
    }
    if (why.empty()) continue;
    if (result.linears++ == 0) {
      result.first = fmt::format("{} in {}", codecs[l]->name, linears[l].module);
      result.reason = std::move(why);
    }
  }
  return result;
}

}  // namespace

std::string Verdict::text() const {
  if (loads()) return fmt::format("{}: yes", target->name);
  const std::string others = linears > 1 ? fmt::format(" and {} other linears", linears - 1) : "";
  return first.empty() ? fmt::format("{}: no: {}", target->name, reason)
                       : fmt::format("{}: no: {} ({}{})", target->name, reason, first, others);
}

std::vector<Verdict> verdicts(const model::Model& checkpoint) {
  const std::vector<const Codec*> codecs = stored_codecs(checkpoint);
  std::vector<Verdict> result;
  for (const Target& target : targets()) result.push_back(verdict(target, checkpoint, codecs));
  return result;
}

}  // namespace strata::pipeline
