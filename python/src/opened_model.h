// A model that Python has opened: its description, its tokenizer, and an engine that is made when first needed.
// One thread at a time runs the engine; the others wait.
#pragma once
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/json.h"
#include "engine/sampler.h"
#include "eval/continuations.h"
#include "kernel/matmul.h"
#include "model/chat_template.h"
#include "model/tokenizer.h"

namespace strata::python {

class OpenedModel {
 public:
  /// precision: "f32" or "bf16", of activations in matrix products. Throws Error as Model::open does.
  OpenedModel(const std::string& path, const std::string& precision);

  /// path, fingerprint, container, architecture (sizes), and every linear with its group and codec.
  json describe() const;
  /// The model's own tokenizer. Throws Error when it has none.
  const model::Tokenizer& tokenizer();
  /// Logits (sequences * length, vocab) of sequences of the same length, one after another in `ids`. Throws Error for a
  /// model that cannot be run and for an id outside the vocabulary.
  std::vector<float> logits(std::span<const engine::Token> ids, std::size_t sequences);
  /// log p of each continuation after the context, which runs once (eval/continuations.h).
  std::vector<eval::Continuation> log_likelihoods(std::span<const engine::Token> context,
                                                  std::span<const std::vector<engine::Token>> continuations);
  /// What the model writes after the prompt: at most `count` tokens, to the token that ends a text or to where one of
  /// the texts `until` begins. Throws Error for an empty prompt.
  std::string generate(std::span<const engine::Token> prompt, std::size_t count, const engine::Sampling& sampling,
                       const std::vector<std::string>& until);
  /// The model's chat template. Throws Error when it has none.
  const model::ChatTemplate& chat();
  std::size_t vocab() const { return model_.architecture().vocab; }

 private:
  engine::Engine& engine();

  model::Model model_;
  kernel::Precision precision_;
  std::mutex busy_;  ///< held while the tokenizer or the engine is made, and while the engine runs
  std::optional<model::Tokenizer> tokenizer_;
  std::optional<model::ChatTemplate> chat_;
  std::optional<engine::Engine> engine_;
};

}  // namespace strata::python
