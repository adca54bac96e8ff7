// GGUF metadata -> the config.json of the same model. llama.cpp, gguf-py/gguf/constants.py; conversion/*.py for the
// keys.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"
#include "format/gguf.h"
#include "model/architecture.h"

namespace strata::model {

/// Throws Error for an architecture that is not in the family table, missing keys, or rotary scaling that config.json
/// cannot express.
json config_from_gguf(const format::GgufFile& gguf, const std::string& where);

/// The key, behind the architecture's name, of the epsilon of norms of a kind.
std::string norm_epsilon_key(NormKind kind);

/// How many blocks a file's model has without those that predict several tokens at once, which come after them and are
/// not read. Throws Error where there are no others.
std::uint64_t block_count(const format::GgufFile& gguf, const std::string& where);

/// The values of a key that is a number or a truth for all blocks, or an array with one for each of them and perhaps of
/// more. Throws Error where there are fewer, or none at all.
std::vector<std::int64_t> by_block(const format::GgufFile& gguf, const std::string& key, std::size_t blocks,
                                   const std::string& where);

/// The shortest decimal of a float32, so that 1e-5 stays 1e-05 and not 9.99999974e-06.
double as_float32(double value);

}  // namespace strata::model
