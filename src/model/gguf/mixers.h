// Keys of what stands before a block's feed-forward part in a GGUF file: heads of attention, latent attention, gated
// delta nets, short convolutions, Mamba-1. llama.cpp, conversion/*.py and gguf-py/gguf/constants.py.
#pragma once
#include <string>

#include "core/json.h"
#include "format/gguf.h"
#include "format/gguf_write.h"
#include "model/gguf/families.h"
#include "model/model.h"

namespace strata::model {

/// Whether a file of Mamba-1 says that what makes steps, b and c are normed (SelectiveSpace::norm_epsilon).
bool has_selective_norms(const format::GgufFile& gguf, const GgufFamily& row);

/// Adds the keys of heads and of the architecture's mixers.
void add_mixer_keys(format::GgufKeys& keys, const GgufFamily& row, const Architecture& architecture);

/// Adds the keys of the indexer that a model carries, where the architecture has one. Throws Error for a model without.
void add_indexer_keys(format::GgufKeys& keys, const GgufFamily& row, const Model& model);

/// Writes them into config.json in the family's spelling. Throws Error for missing keys and sizes that do not go
/// together.
void add_mixer_config(json& config, const format::GgufFile& gguf, const GgufFamily& row, const Family& family,
                      const std::string& where);

/// What of a's mixers b does not have as a has it; empty when there is nothing.
std::string lost_mixer(const Architecture& a, const Architecture& b);

/// What llama.cpp cannot load of an architecture's mixers; empty when it loads all.
std::string unloadable_mixer(const Architecture& architecture, const GgufFamily& row);

}  // namespace strata::model
