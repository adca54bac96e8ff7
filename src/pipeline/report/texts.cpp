// Runs one model after the other over all prompts.
// Both get the same token ids, those of the original's tokenizer.
#include "pipeline/report/texts.h"

#include "core/interrupt.h"
#include "core/progress.h"
#include "engine/sampler.h"
#include "model/chat_template.h"
#include "model/tokenizer.h"

namespace strata::pipeline {

std::vector<std::string> default_prompts() {
  return {"Why is the sky blue? Answer in one sentence.", "What is the capital of France?",
          "Write a short sentence about the sea."};
}

std::vector<ReportData::Sample> side_by_side(const model::Model& original, const model::Model& quantized,
                                             std::span<const std::string> prompts, std::size_t tokens) {
  if (original.architecture().vocab != quantized.architecture().vocab)
    fail("{}: has {} tokens and {} has {}; they are not of one model", quantized.path().string(),
         quantized.architecture().vocab, original.path().string(), original.architecture().vocab);
  const model::NamedTexts files = model::tokenizer_files(original);
  const std::string where = original.path().string();
  const auto tokenizer = model::Tokenizer::from_files(files, where);
  const auto chat = model::ChatTemplate::from_files(files, where);
  std::vector<ReportData::Sample> samples;
  std::vector<std::vector<engine::Token>> encoded;
  for (const std::string& prompt : prompts) {
    samples.push_back({prompt, "", ""});
    const std::vector<model::ChatMessage> messages = {{"user", prompt}};
    encoded.push_back(chat ? tokenizer.encode(chat->render(messages, model::GenerationPrompt::yes))
                           : tokenizer.encode(prompt, model::AddSpecial::yes));
  }
  Progress progress("text", 2 * prompts.size());
  for (const model::Model* model : {&original, &quantized}) {
    engine::Engine engine(*model, kernel::Precision::bf16);
    for (std::size_t i = 0; i < samples.size(); ++i) {
      const auto out = engine::generate(engine, encoded[i], tokens, {}, tokenizer.eos(), [](engine::Token) {
        check_interrupt();
        return true;
      });
      (model == &original ? samples[i].original : samples[i].quantized) =
          tokenizer.decode(out, model::SkipSpecial::yes);
      progress.advance();
    }
  }
  return samples;
}

}  // namespace strata::pipeline
