// Rotary embeddings in GGUF files: their keys, the divisors of frequencies that are tensors, and the way back to
// config.json. llama.cpp, conversion/base.py, llama.py and phi.py, src/llama-context.cpp (yarn's factor).
#pragma once
#include <string>
#include <utility>
#include <vector>

#include "model/gguf/families.h"

namespace strata::model {

/// Throws Error for dynamic scaling, which GGUF does not have.
void add_rope_keys(format::GgufKeys& keys, const GgufFamily& row, const Architecture& a, const std::string& where);

/// What frequencies are divided by, as tensors of a GGUF file: "rope_freqs.weight" for the scaling of Llama 3,
/// "rope_factors_long.weight" and "rope_factors_short.weight" for longrope, none for other kinds.
std::vector<std::pair<std::string, std::vector<float>>> rope_tensors(const Architecture& architecture);

/// Sets in config.json what the keys and tensors say. The sizes are there already. Throws Error for scaling that
/// config.json cannot express.
void add_rope_config(json& config, const format::GgufFile& gguf, const GgufFamily& row, const Family& family,
                     const std::string& where);

}  // namespace strata::model
