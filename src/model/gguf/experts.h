// The tensors of a mixture of experts in a GGUF file: the experts' matrices stacked, (experts, out, in), and the
// router. llama.cpp, gguf-py/gguf/tensor_mapping.py and convert_hf_to_gguf.py.
#pragma once
#include <string>
#include <vector>

#include "core/json.h"
#include "format/gguf.h"
#include "format/gguf_write.h"
#include "model/families.h"

namespace strata::model {

/// A tensor of a GGUF file and the Hugging Face tensors that are stacked in it, in order.
struct GgufStack {
  std::string name;
  std::vector<std::string> parts;
  std::vector<std::string> singles;  ///< what the parts are called in files that do not stack them: blk.N.ffn_gate.E
};
/// The stacks of a mixture block: blk.N.ffn_{gate,up,down}_exps.
std::vector<GgufStack> gguf_stacks(const Architecture& architecture, std::size_t block);
/// The router's tensor, blk.N.ffn_gate_inp.weight, which is float32.
std::string gguf_router_name(std::size_t block);

/// Throws Error for what cannot be written, or what llama.cpp computes otherwise: a shared expert, mixed dense and
/// mixture blocks, weights that are (not) normalized against its rule, norms of q and k of another size than hidden.
void check_gguf_experts(const Architecture& architecture, const std::string& where);
/// Adds the keys of an architecture's experts to a GGUF file's; nothing for a dense architecture.
void add_expert_keys(format::GgufKeys& keys, const Architecture& architecture);
/// Writes what a GGUF file's keys say of experts into config.json.
void add_expert_config(json& config, const format::GgufFile& gguf, const Family& family);
/// Whether a GGUF file has experts.
bool has_experts(const format::GgufFile& gguf);

}  // namespace strata::model
