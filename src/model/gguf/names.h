// GGUF tensor names <-> Hugging Face names. llama.cpp, gguf-py/gguf/constants.py and tensor_mapping.py.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/gguf/families.h"

namespace strata::model {

/// "blk.3.attn_q.weight" -> "model.layers.3.self_attn.q_proj.weight"; nothing for a tensor that `names` does not have.
std::optional<std::string> hf_tensor_name(const Names& names, std::string_view gguf_name, const GgufFamily& row = {});
/// "model.layers.3.self_attn.q_proj.weight" -> "blk.3.attn_q.weight"; nothing for a tensor that GGUF does not have.
std::optional<std::string> gguf_tensor_name(const Names& names, std::string_view hf_name, const GgufFamily& row = {});

/// The name of a tensor that is carried, not run, in GGUF files that have it: those of an indexer. Nothing for others.
std::optional<std::string> gguf_carried_name(const Architecture& architecture, std::string_view hf_name);

/// The tensor that holds what the products of a matrix are multiplied by: "blk.3.attn_q.scale" of
/// "blk.3.attn_q.weight".
std::string gguf_factor_name(std::string_view gguf_name);

/// Whether a tensor of a GGUF file is a norm that holds what the norm multiplies by, which is more than Hugging Face's
/// files hold by Architecture::norm_offset.
bool holds_norm_offset(std::string_view gguf_name);

/// How a tensor of Hugging Face's files lies in GGUF.
enum class GgufForm {
  as_it_is,
  float32,   ///< a matrix that is float32
  row,       ///< Hugging Face's files may have a matrix of one row, GGUF a vector
  squeezed,  ///< Hugging Face's files have (channels, 1, kernel), GGUF (channels, kernel), float32
  rates,     ///< GGUF holds minus the exponentials of the values, float32
};
/// A tensor's whole name in both kinds of file.
struct GgufName {
  std::string gguf, hf;
  GgufForm form = GgufForm::as_it_is;
  std::size_t matrix_rows = 0;  ///< a vector is a matrix of so many rows in GGUF, float32; 0: it is a vector there too
};
/// The tensors of a block whose names tell of parts: sinks, what a mixer has beside its linears, the router and its
/// biases, the shared expert.
std::vector<GgufName> gguf_part_names(const Architecture& architecture, std::size_t block);

/// A tensor of a GGUF file and the Hugging Face tensors that are stacked in it, in order.
struct GgufStack {
  std::string name;
  bool bias = false;  ///< of vectors, float32; otherwise of matrices
  std::vector<std::string> parts;
  std::vector<std::string> singles;  ///< what the parts are called in files that do not stack them: blk.N.ffn_gate.E
};
/// The stacks of a mixture block: blk.N.ffn_{gate,up,down}_exps.
std::vector<GgufStack> gguf_stacks(const Architecture& architecture, std::size_t block);
/// The stack that other writers make of gate and up, one after another for every expert; such files have it in place of
/// the two.
std::string gguf_gate_up_stack(std::size_t block);

}  // namespace strata::model
