// Tokens that the files beside tokenizer.json declare, by the rules of transformers' from_pretrained
// (transformers/tokenization_utils_base.py and tokenization_utils_tokenizers.py).
#pragma once
#include <array>
#include <string>

#include "model/tokenizer.h"

namespace strata::model {

/// The keys of named special tokens that every tokenizer of transformers has, in its order.
inline constexpr std::array<const char*, 7> kSpecialNames = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                             "pad_token", "cls_token", "mask_token"};

/// Lists of {content, single_word, lstrip, rstrip, normalized, special}, each in the order in which transformers adds
/// its tokens: a token that is new to the vocabulary gets the next free id.
struct DeclaredTokens {
  json listed = json::array();  ///< of added_tokens_decoder in tokenizer_config.json, or else of added_tokens.json
  bool listed_replace = false;  ///< whether their flags replace those of the same tokens in tokenizer.json
  json named = json::array();   ///< special tokens: "bos_token", "image_token" and so on, and lists of extra ones
};

/// Throws Error naming the file and the entry for a list of added tokens that is of another form.
DeclaredTokens declared_tokens(const NamedTexts& files, const std::string& where);

}  // namespace strata::model
