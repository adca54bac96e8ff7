// Keys of config.json for the sizes of Mamba-2 and for what blocks consist of: where the families that have it differ.
// Sources: transformers' configuration_nemotron_h.py, configuration_granitemoehybrid.py.
#pragma once

namespace strata::model {

struct MambaKeys {
  const char *heads, *head_dim, *state, *groups, *kernel, *bias, *convolution_bias;
  const char* activation = "hidden_act";  ///< of what the convolution puts out: "silu"
  const char* least_step = nullptr;       ///< holds Mamba::least_step; null: both limits are in time_step_limit
  /// Holds what blocks consist of, by block: "mamba" or "linear_attention", "attention" or "full_attention", "mlp",
  /// "moe".
  const char* parts = "layer_types";
  const char* attention_list = nullptr;  ///< holds the indices of blocks that attend, in place of `parts`
  const char* pattern = nullptr;         ///< holds the same as a text of M, *, - and E; null: no such key
  const char* usual_parts = nullptr;     ///< such a text where config.json has neither; null: all blocks have Mamba-2
  bool one_part = false;                 ///< a block is a mixer or a feed-forward part; false: it is both
};

}  // namespace strata::model
