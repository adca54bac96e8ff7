// A model's names, keys and vocabulary as GGUF has them: the inverse of config.h and tokenizer.h.
// llama.cpp, convert_hf_to_gguf.py and gguf-py/gguf/constants.py.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/gguf_write.h"
#include "model/model.h"
#include "model/tokenizer.h"

namespace strata::model {

/// The Hugging Face row that GGUF's row `row` of a head of head_dim rows comes from: GGUF interleaves the two halves
/// of what the rotary embedding turns of a head, its first `turned` rows (llama architecture, q and k only).
inline std::size_t interleaved_from(std::size_t row, std::size_t head_dim, std::size_t turned) {
  const std::size_t within = row % head_dim;
  return within >= turned ? row : row - within + within % 2 * (turned / 2) + within / 2;
}
/// How many heads have interleaved rows in this tensor of a GGUF file; 0: none.
std::size_t interleaved_heads(const Architecture& architecture, std::string_view hf_name);

/// Adds the keys that tell an architecture, but not its name. `where` opens errors.
void add_architecture_keys(format::GgufKeys& keys, const Architecture& architecture, const std::string& where);

/// All metadata: general.*, the architecture's keys, the tokenizer. file_type: a value of llama.h's llama_ftype. The
/// tokenizer keys of a GGUF model are copied. Throws Error for what a GGUF file cannot express: parts that
/// check_gguf_parts refuses, dynamic rotary scaling, a tokenizer whose splitting of words has no name in llama.cpp.
format::GgufKeys gguf_keys(const Model& model, std::uint32_t file_type);

/// Adds tokenizer.*, made from a tokenizer.json. The vocabulary has `size` tokens; ids that the file lacks become
/// unused padding. add_bos and add_eos say what encoding with AddSpecial::yes does. Throws Error for a tokenizer whose
/// splitting of words has no name in llama.cpp.
void add_vocabulary(format::GgufKeys& keys, const NamedTexts& files, std::size_t size, const std::string& where);

}  // namespace strata::model
