// GGUF metadata -> the config.json of the same model, and GGUF tensor names <-> Hugging Face names.
// llama.cpp, gguf-py/gguf/constants.py and tensor_mapping.py; convert_hf_to_gguf.py for the transforms.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "core/json.h"
#include "format/gguf.h"
#include "model/architecture.h"

namespace strata::model {

/// Throws Error for an architecture that is not in the family table, missing keys, or rotary scaling that config.json
/// cannot express.
json config_from_gguf(const format::GgufFile& gguf, const std::string& where);

/// Throws Error, opened by `where`, for a family that has no name in GGUF files here, and for a model whose forward
/// pass has parts that neither its architecture nor a key of a GGUF file says: each part is held or refused.
void check_gguf_parts(const Architecture& architecture, const std::string& where);

/// The shortest decimal of a float32, so that 1e-5 stays 1e-05 and not 9.99999974e-06.
double as_float32(double value);

/// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight"; nothing for a tensor that `names` does not have.
std::optional<std::string> hf_tensor_name(const Names& names, std::string_view gguf_name);
/// "model.layers.3.self_attn.q_proj.weight" -> "blk.3.attn_q.weight"; nothing for a tensor that GGUF does not have.
std::optional<std::string> gguf_tensor_name(const Names& names, std::string_view hf_name);

}  // namespace strata::model
