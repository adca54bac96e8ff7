// Keys of Mamba-2 and of what blocks consist of in GGUF files. llama.cpp, conversion/{mamba,granite,nemotron}.py.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/json.h"
#include "format/gguf.h"
#include "format/gguf_write.h"
#include "model/gguf/families.h"

namespace strata::model {

/// Adds the sizes of Mamba-2 where the architecture has them, whether or not a block is of this kind.
void add_mamba_keys(format::GgufKeys& keys, const GgufFamily& row, const Architecture& architecture);

/// Writes them into config.json in the family's spelling, and which part each block is. Throws Error for missing keys
/// and sizes that do not go together.
void add_mamba_config(json& config, const format::GgufFile& gguf, const GgufFamily& row, const Family& family,
                      const std::string& where);

/// How wide the feed-forward part of each block is, 0 where there is none.
std::vector<std::int32_t> feed_forward_lengths(const Architecture& architecture);

/// Whether a block of the family's models is a mixer or a feed-forward part.
bool has_blocks_of_one_part(const Family& family);

/// Whether a file's sizes of Mamba-2 and its rotary embedding are those that models of the family have, where llama.cpp
/// has several families under one name; true elsewhere.
bool mamba_alike(const format::GgufFile& gguf, const GgufFamily& row, const Family& family);

/// What of a's Mamba-2 b does not have as a has it; empty when there is nothing.
std::string lost_mamba(const Architecture& a, const Architecture& b);

/// What llama.cpp cannot load of an architecture with Mamba-2; empty when it loads all.
std::string unloadable_mamba(const Architecture& architecture, const GgufFamily& row);

}  // namespace strata::model
