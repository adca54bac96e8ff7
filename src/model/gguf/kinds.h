// Keys of a GGUF file for models whose blocks with and without a window differ: heads, shared keys and values, rotary
// embeddings, rows of tokens for blocks. llama.cpp, its gemma4.cpp and conversion/gemma.py.
#pragma once
#include <string>
#include <vector>

#include "core/json.h"
#include "format/gguf.h"
#include "format/gguf_write.h"
#include "model/gguf/families.h"

namespace strata::model {

/// Adds the keys of heads, of what blocks share, and of the rows that tokens have for blocks.
void add_kind_keys(format::GgufKeys& keys, const GgufFamily& row, const Architecture& architecture);
/// Sets them in config.json. Throws Error for missing keys, and for arrays that have not a value for every block.
void add_kind_config(json& config, const format::GgufFile& gguf, const GgufFamily& row, const std::string& where);

/// Adds the keys of the rotary embeddings of both kinds of block.
void add_kind_rope_keys(format::GgufKeys& keys, const GgufFamily& row, const Architecture& architecture);
/// What divides the frequencies of blocks that see all keys: pairs that do not turn are divided by 1e30.
std::vector<float> kind_divisors(const Rope& rope);
/// Sets the rotary embeddings in config.json. divisors: what kind_divisors made.
void add_kind_rope_config(json& config, const format::GgufFile& gguf, const GgufFamily& row,
                          const std::vector<float>& divisors, const std::string& where);

/// What of a block of a that depends on its kind the same block of b does not have; empty when there is nothing.
std::string lost_kind(const Architecture& a, const Architecture& b, std::size_t block);
/// What llama.cpp cannot load of such an architecture; empty when it loads all.
std::string unloadable_kind(const Architecture& architecture);

}  // namespace strata::model
