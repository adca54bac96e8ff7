// GGUF metadata -> the config.json of the same model, and GGUF tensor names <-> Hugging Face names.
// llama.cpp, gguf-py/gguf/constants.py and tensor_mapping.py; convert_hf_to_gguf.py for the transforms.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "core/json.h"
#include "format/gguf.h"

namespace strata::model {

/// Throws Error for an architecture that is not in the family table, missing keys, or rotary scaling that config.json
/// cannot express.
json config_from_gguf(const format::GgufFile& gguf, const std::string& where);

/// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight"; nothing for names that no family has.
std::optional<std::string> hf_tensor_name(std::string_view gguf_name);
/// The inverse.
std::optional<std::string> gguf_tensor_name(std::string_view hf_name);

}  // namespace strata::model
