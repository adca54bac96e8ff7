// What config.json and files of a family say of its gated delta nets: where the families that have them differ.
// Sources: transformers' configuration_qwen3_next.py and configuration_olmo_hybrid.py, and the modeling files beside.
#pragma once

namespace strata::model {

struct DeltaKeys {
  bool by_key_heads = false;  ///< DeltaNet::by_key_heads
  bool apart = false;         ///< DeltaNet::apart
  /// Sizes of heads that config.json leaves out follow from num_attention_heads and hidden_size, and where no block
  /// would attend, the last one does.
  bool sized_by_attention = false;
  bool gates_attention = true;        ///< blocks that attend have OutputGate::in_q
  const char* doubled_key = nullptr;  ///< when true, which it is if left out, DeltaNet::beta_scale is 2
  double norm_epsilon = 0.0;          ///< DeltaNet::norm_epsilon; 0: that of all norms
  const char* norm = "norm.weight";   ///< DeltaNet::norm
};

}  // namespace strata::model
