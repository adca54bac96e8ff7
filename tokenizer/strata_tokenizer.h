// C interface of the tokenizer crate: Hugging Face `tokenizers` (text <-> ids) and `minijinja` (chat templates).
// No panic crosses it; used by src/model/tokenizer.cpp and src/model/chat_template.cpp only.
#pragma once
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// Every call returns one of these. On failure `error` holds one UTF-8 sentence without the input's name.
enum strata_status {
  STRATA_OK = 0,
  STRATA_INPUT = 1,   // the tokenizer.json, the text, the ids or the template is at fault
  STRATA_ABSENT = 2,  // no such token or id; `error` stays empty
};

// Bytes owned by the crate: release with strata_text_free. Not null-terminated; empty is {NULL, 0}.
typedef struct {
  char* data;
  size_t size;
} strata_text;

// Token ids owned by the crate: release with strata_ids_free.
typedef struct {
  uint32_t* data;
  size_t size;
} strata_ids;

typedef struct strata_tokenizer strata_tokenizer;

// json: the bytes of a tokenizer.json. On success *out is released with strata_tokenizer_free.
int strata_tokenizer_create(const char* json, size_t size, strata_tokenizer** out, strata_text* error);
void strata_tokenizer_free(strata_tokenizer* tokenizer);

// Adds tokens, which are then found in text before any splitting, and skipped by decode when asked if they are special.
// tokens_json: a list of {content, single_word, lstrip, rstrip, normalized, special}, each of them needed. A token of the
// vocabulary keeps its id, all others get the next free ones in the list's order. A token that is added already has the
// list's flags from now on, or with `keep` its own, but is special if either says so. Not to be called while other threads
// use the tokenizer.
int strata_tokenizer_add_tokens(strata_tokenizer* tokenizer, const char* tokens_json, size_t size, int keep,
                                strata_text* error);

// All added tokens by rising id, as a JSON list of [id, content, special].
int strata_tokenizer_added_tokens(const strata_tokenizer* tokenizer, strata_text* out, strata_text* error);

// text must be UTF-8. add_special: apply the post-processor (usually: put the beginning-of-sequence token in front).
// May be called from several threads at once, as may all that follow.
int strata_tokenizer_encode(const strata_tokenizer* tokenizer, const char* text, size_t size, int add_special,
                            strata_ids* out, strata_text* error);

// Ids the vocabulary does not have contribute nothing. Bytes that are no UTF-8 become U+FFFD.
int strata_tokenizer_decode(const strata_tokenizer* tokenizer, const uint32_t* ids, size_t count, int skip_special,
                            strata_text* out, strata_text* error);

// Number of tokens, added ones included. Ids may have holes: the largest id is not always this minus one.
size_t strata_tokenizer_vocab_size(const strata_tokenizer* tokenizer);

int strata_tokenizer_token_to_id(const strata_tokenizer* tokenizer, const char* token, size_t size, uint32_t* out,
                                 strata_text* error);
int strata_tokenizer_id_to_token(const strata_tokenizer* tokenizer, uint32_t id, strata_text* out,
                                 strata_text* error);

// Renders a Jinja template as transformers' apply_chat_template does: trim_blocks, lstrip_blocks, loop controls, no
// escaping, raise_exception, strftime_now, and tojson as Python's json.dumps. context_json: a JSON object.
int strata_template_render(const char* source, size_t source_size, const char* context_json, size_t context_size,
                           strata_text* out, strata_text* error);

void strata_text_free(strata_text text);
void strata_ids_free(strata_ids ids);

#ifdef __cplusplus
}
#endif
