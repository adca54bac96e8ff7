// Cutting is model/text.h's; here are the rules of an evaluation and their messages.
// The hash covers tokens, not bytes: the same text under another tokenizer is another evaluation.
#include "eval/text.h"

#include "core/hash.h"
#include "model/text.h"

namespace strata::eval {

EvalText read_eval_text(const model::Tokenizer& tokenizer, const std::filesystem::path& file, std::size_t n_ctx,
                        std::size_t max_chunks) {
  if (n_ctx < kSmallestContext) fail_usage("--n-ctx {} is too small; use at least {}", n_ctx, kSmallestContext);
  model::TextPieces pieces = model::cut_text_file(tokenizer, file, n_ctx, max_chunks);
  if (pieces.pieces.empty())
    fail("{}: has {} tokens, fewer than the {} of one chunk; give a longer text or a smaller --n-ctx", file.string(),
         pieces.tokens, n_ctx);
  EvalText text;
  text.file = file.string();
  text.n_ctx = n_ctx;
  text.text_tokens = pieces.tokens;
  text.chunks = std::move(pieces.pieces);
  text.hash = fnv1a({});
  for (const auto& chunk : text.chunks) text.hash = fnv1a(std::as_bytes(std::span(chunk)), text.hash);
  return text;
}

json EvalText::describe() const {
  return {{"file", file}, {"n_ctx", n_ctx}, {"chunks", chunks.size()}, {"hash", fmt::format("{:016x}", hash)}};
}

}  // namespace strata::eval
