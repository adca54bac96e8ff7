// model/text.h cuts the text; the rules of an evaluation and their messages are here.
// The hash covers tokens, not bytes, because the same text under another tokenizer makes another evaluation.
#include "eval/text.h"

#include "core/hash.h"
#include "model/text.h"

namespace strata::eval {

EvalText read_eval_text(const model::Tokenizer& tokenizer, const std::filesystem::path& file, std::size_t seq_len,
                        std::size_t samples) {
  if (seq_len < kShortestSequence) fail_usage("--seq-len {} is too small; use at least {}", seq_len, kShortestSequence);
  model::TextPieces pieces = model::cut_text_file(tokenizer, file, seq_len, samples);
  if (pieces.pieces.empty())
    fail("{}: has {} tokens, fewer than the {} of one sequence; give a longer text or a smaller --seq-len",
         file.string(), pieces.tokens, seq_len);
  EvalText text;
  text.file = file.string();
  text.seq_len = seq_len;
  text.text_tokens = pieces.tokens;
  text.sequences = std::move(pieces.pieces);
  text.hash = fnv1a({});
  for (const auto& sequence : text.sequences) text.hash = fnv1a(std::as_bytes(std::span(sequence)), text.hash);
  return text;
}

json EvalText::describe() const {
  return {{"file", file}, {"samples", sequences.size()}, {"seq_len", seq_len}, {"hash", fmt::format("{:016x}", hash)}};
}

namespace {

/// Tokenizers of one vocabulary may still differ in the space before the first word.
std::string words_of(const model::Tokenizer& tokenizer, std::span<const engine::Token> tokens) {
  std::string words = tokenizer.decode(tokens, model::SkipSpecial::yes);
  std::erase(words, ' ');
  return words;
}

}  // namespace

void check_same_words(const EvalText& text, const model::Tokenizer& one, const model::Tokenizer& other) {
  for (const auto& sequence : text.sequences)
    if (words_of(one, sequence) != words_of(other, sequence))
      fail("{} and {} read the same tokens as different words; compare a model with the one it was made from",
           one.where(), other.where());
}

}  // namespace strata::eval
