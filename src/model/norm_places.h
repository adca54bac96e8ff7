// Places of a block's norms that several families share, by the names that transformers gives them.
// A row of the family table takes one of these as its names.
#pragma once
#include "model/tensor_names.h"

namespace strata::model {

/// Norms of what both halves read and of what they put out (Gemma).
inline constexpr TensorNames kSandwich{.after_attention = "post_attention_layernorm",
                                       .before_feed_forward = "pre_feedforward_layernorm",
                                       .after_feed_forward = "post_feedforward_layernorm"};
/// Norms only of what the halves put out (OLMo 2).
inline constexpr TensorNames kPostNorms{.before_attention = {},
                                        .after_attention = "post_attention_layernorm",
                                        .before_feed_forward = {},
                                        .after_feed_forward = "post_feedforward_layernorm"};

}  // namespace strata::model
