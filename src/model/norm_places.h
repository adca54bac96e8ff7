// Places of a block's norms that several families share, by the names that transformers gives them.
// A row of the family table takes one of these as its names.
#pragma once
#include "model/tensor_names.h"

namespace strata::model {

/// Norms of what both halves read and of what they put out (Gemma).
inline constexpr TensorNames kSandwich{.after_attention = "post_attention_layernorm",
                                       .before_feed_forward = "pre_feedforward_layernorm",
                                       .after_feed_forward = "post_feedforward_layernorm"};
/// Gemma 4's: the same, those of a dense part beside experts, and that of what a BlockEmbedding adds.
inline constexpr TensorNames kSandwichOfFour{.after_attention = "post_attention_layernorm",
                                             .before_feed_forward = "pre_feedforward_layernorm",
                                             .after_feed_forward = "post_feedforward_layernorm",
                                             .after_dense = "post_feedforward_layernorm_1",
                                             .before_experts = "pre_feedforward_layernorm_2",
                                             .after_experts = "post_feedforward_layernorm_2",
                                             .after_embedding = "post_per_layer_input_norm"};
/// Norms only of what the halves put out (OLMo 2).
inline constexpr TensorNames kPostNorms{.before_attention = {},
                                        .after_attention = "post_attention_layernorm",
                                        .before_feed_forward = {},
                                        .after_feed_forward = "post_feedforward_layernorm"};

/// OLMo Hybrid's: norms of what gated delta nets and the parts behind them read, and in blocks that attend of what the
/// halves put out.
inline constexpr TensorNames kOlmoHybrid{.in_z = "g_proj",
                                         .in_b = "b_proj",
                                         .in_a = "a_proj",
                                         .in_qkvz = "in_proj_qkvg",
                                         .delta_out = "o_proj",
                                         .attending = &kPostNorms};

/// LFM2's.
inline constexpr TensorNames kShortConvolution{.o = "out_proj",
                                               .feed_forward = "feed_forward",
                                               .gate = "w1",
                                               .up = "w3",
                                               .down = "w2",
                                               .before_attention = "operator_norm",
                                               .before_feed_forward = "ffn_norm",
                                               .q_norm = "self_attn.q_layernorm",
                                               .k_norm = "self_attn.k_layernorm",
                                               .last_norm = "embedding_norm"};
/// LFM3's, with norms of what the halves put out besides.
inline constexpr TensorNames kLfm3{.feed_forward = "feed_forward",
                                   .gate = "w1",
                                   .up = "w3",
                                   .down = "w2",
                                   .before_attention = "operator_norm",
                                   .after_attention = "post_operator_norm",
                                   .before_feed_forward = "ffn_norm",
                                   .after_feed_forward = "post_ffn_norm",
                                   .last_norm = "embedding_norm"};

/// HunYuan: the norms of the heads of q and k have names of their own.
inline constexpr TensorNames kHunyuanNames{.q_norm = "self_attn.query_layernorm", .k_norm = "self_attn.key_layernorm"};

}  // namespace strata::model
