// The parts of config.json's reading, each of which fills its members of the Architecture. Keys and defaults are those
// of transformers; `where` names the file in errors.
#pragma once
#include <string>

#include "core/json.h"
#include "model/architecture.h"
#include "model/families.h"

namespace strata::model {

/// Sizes of latent attention, and with them head_dim and kv_heads.
void parse_latent(const json& config, Architecture& architecture, const std::string& where);
/// Sizes of gated delta nets.
void parse_delta(const json& config, const Family& family, Architecture& architecture, const std::string& where);
/// The size of short convolutions, which blocks have one, and the width of the dense blocks beside them.
void parse_convolution(const json& config, Architecture& architecture, const std::string& where);
/// Puts the parts of blocks, however config.json spells them, into the list of MambaKeys::parts and their number into
/// num_hidden_layers, where the family has blocks of one part.
void list_block_parts(json& config, const MambaKeys& keys, const std::string& where);
/// Sizes of Mamba-2, and which blocks have it, attention, a feed-forward part or experts. After parse_mixture.
void parse_mamba(const json& config, const MambaKeys& keys, Architecture& architecture, const std::string& where);
/// Windows, stretches, rotary embeddings, caps, sinks and factors of attention, by block.
void parse_attention(const json& config, const Family& family, Architecture& architecture, const std::string& where);
/// Sizes of the mixture and which blocks are mixtures; all blocks are dense without one.
void parse_mixture(const json& config, const Mixture* mixture, Architecture& architecture, const std::string& where);

}  // namespace strata::model
