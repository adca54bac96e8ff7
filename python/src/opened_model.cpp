// Descriptions and forward passes of an opened model.
// The sequences of a call run in one batch, without caches.
#include "opened_model.h"

#include <algorithm>

#include "pipeline/job/precision.h"

namespace strata::python {
namespace {

kernel::Precision precision_named(const std::string& name) {
  for (const kernel::Precision precision : {kernel::Precision::f32, kernel::Precision::bf16})
    if (name == pipeline::precision_name(precision)) return precision;
  fail_usage("precision {}: expected f32 or bf16", name);
}

json linears_of(const model::Model& model) {
  const model::Architecture& a = model.architecture();
  json linears = json::array();
  for (const model::Linear& linear : a.linears) {
    const codec::Codec* codec = model.codec_of(linear);
    linears.push_back({{"module", linear.module},
                       {"block", linear.block == model::kNoBlock ? json() : json(linear.block)},
                       {"role", model::role_name(linear.role)},
                       {"group", a.groups[linear.group].name},
                       {"rows", linear.rows},
                       {"cols", linear.cols},
                       {"codec", codec == nullptr ? json() : json(codec->name)},
                       {"bytes", model.stored_bytes(linear)}});
  }
  return linears;
}

}  // namespace

OpenedModel::OpenedModel(const std::string& path, const std::string& precision)
    : model_(model::Model::open(path)), precision_(precision_named(precision)) {}

json OpenedModel::describe() const {
  const model::Architecture& a = model_.architecture();
  return {{"path", model_.path().string()},
          {"fingerprint", model_.fingerprint()},
          {"container", model_.from_gguf() ? "gguf" : "safetensors"},
          {"model_type", a.model_type},
          {"blocks", a.blocks},
          {"hidden", a.hidden},
          {"vocab", a.vocab},
          {"max_position", a.max_position},
          {"linears", linears_of(model_)}};
}

const model::Tokenizer& OpenedModel::tokenizer() {
  const std::lock_guard lock(busy_);
  if (!tokenizer_) tokenizer_ = model::Tokenizer::of(model_);
  return *tokenizer_;
}

engine::Engine& OpenedModel::engine() {
  model_.require_runnable();
  if (!engine_) engine_.emplace(model_, precision_);
  return *engine_;
}

std::vector<float> OpenedModel::logits(std::span<const engine::Token> ids, std::size_t sequences) {
  const std::lock_guard lock(busy_);
  if (ids.empty()) return {};
  const std::vector<engine::Sequence> batch(sequences, engine::Sequence{ids.size() / sequences});
  const std::vector<float> h = engine().forward(ids, batch);
  std::vector<float> out(ids.size() * vocab());
  engine().logits(h.data(), ids.size(), out.data());
  return out;
}

std::vector<eval::Continuation> OpenedModel::log_likelihoods(
    std::span<const engine::Token> context, std::span<const std::vector<engine::Token>> continuations) {
  const std::lock_guard lock(busy_);
  return eval::log_likelihoods(engine(), context, continuations);
}

std::string OpenedModel::generate(std::span<const engine::Token> prompt, std::size_t count,
                                  const engine::Sampling& sampling, const std::vector<std::string>& until) {
  const model::Tokenizer& words = tokenizer();
  const std::lock_guard lock(busy_);
  model::StreamDecoder decoder(words);
  std::string text;
  std::size_t end = std::string::npos;
  const auto ends_with = [&](const std::string& piece) {
    const std::size_t before = text.size();
    text += piece;
    for (const std::string& stop : until)
      if (!stop.empty()) end = std::min(end, text.find(stop, before - std::min(before, stop.size() - 1)));
    return end != std::string::npos;
  };
  engine::generate(engine(), prompt, count, sampling, words.eos(),
                   [&](engine::Token token) { return !ends_with(decoder.push(token)); });
  if (end == std::string::npos) ends_with(decoder.finish());
  return text.substr(0, end);
}

const model::ChatTemplate& OpenedModel::chat() {
  const std::lock_guard lock(busy_);
  if (!chat_) chat_ = model::ChatTemplate::from_files(model::tokenizer_files(model_), model_.path().string());
  if (!chat_) fail("{}: has no chat template", model_.path().string());
  return *chat_;
}

}  // namespace strata::python
