// How the families of experts route and name them, and the keys of config.json that say how many there are. A row of
// the family table points to one of these.
#pragma once
#include "model/mixture_keys.h"

namespace strata::model {

inline constexpr Mixture kMixtral{
    .experts = {.normalize = true, .module = "block_sparse_moe", .gate = "w1", .up = "w3", .down = "w2"},
    .count_key = "num_local_experts",
    .size_key = "intermediate_size"};
inline constexpr Mixture kPhimoe = [] {
  Mixture mixture = kMixtral;
  mixture.experts.score = Experts::Score::sparse;
  mixture.experts.normalize = false;
  mixture.always_normalizes = true;
  return mixture;
}();
inline constexpr Mixture kQwen2Moe{.experts = {.shared_gate = true},
                                   .shared_size_key = "shared_expert_intermediate_size"};
inline constexpr Mixture kQwen3Moe{};
inline constexpr Mixture kQwen3VlMoe{.experts = {.normalize = true, .stacks = Experts::Stacks::always},
                                     .always_normalizes = true};
inline constexpr Mixture kOlmoe{.experts = {}, .size_key = "intermediate_size"};
inline constexpr Mixture kGlm4Moe{.experts = {.score = Experts::Score::sigmoid,
                                              .normalize = true,
                                              .correction = true,
                                              .shared_module = "shared_experts"},
                                  .count_key = "n_routed_experts",
                                  .shared_count_key = "n_shared_experts",
                                  .first_dense = 1};
inline constexpr Mixture kDots1{
    .experts = {.score = Experts::Score::sigmoid, .correction = true, .shared_module = "shared_experts"},
    .count_key = "n_routed_experts",
    .shared_count_key = "n_shared_experts"};
inline constexpr Mixture kSolarOpen{
    .experts = kGlm4Moe.experts, .count_key = "n_routed_experts", .shared_count_key = "n_shared_experts"};
inline constexpr Mixture kExaoneMoe{.experts = {.score = Experts::Score::sigmoid,
                                                .normalize = true,
                                                .correction = true,
                                                .correction_name = "e_score_correction_bias",
                                                .shared_module = "shared_experts"},
                                    .shared_count_key = "num_shared_experts",
                                    .first_dense = 1};
inline constexpr Mixture kMinimaxM2{.experts = {.score = Experts::Score::sigmoid,
                                                .normalize = true,
                                                .correction = true,
                                                .module = "block_sparse_moe",
                                                .correction_name = "e_score_correction_bias",
                                                .gate = "w1",
                                                .up = "w3",
                                                .down = "w2"},
                                    .count_key = "num_local_experts",
                                    .size_key = "intermediate_size",
                                    .always_normalizes = true};
inline constexpr Mixture kErnie{.experts = {.normalize = true,
                                            .least_sum = 1e-12f,
                                            .correction = true,
                                            .exact_router = true,
                                            .correction_name = "moe_statics.e_score_correction_bias",
                                            .correction_is_row = true,
                                            .shared_module = "shared_experts"},
                                .count_key = "moe_num_experts",
                                .used_key = "moe_k",
                                .shared_count_key = "moe_num_shared_experts",
                                .step_key = "moe_layer_interval",
                                .first_key = "moe_layer_start_index",
                                .last_key = "moe_layer_end_index",
                                .always_normalizes = true};
inline constexpr Mixture kGptOss{.experts = {.normalize = true,
                                             .bias = true,
                                             .router_bias = true,
                                             .router = "router",
                                             .stacks = Experts::Stacks::always,
                                             .interleaved = true},
                                 .count_key = "num_local_experts",
                                 .size_key = "intermediate_size",
                                 .always_normalizes = true};
inline constexpr Mixture kLlama4{.experts = {.shared_intermediate = 1,
                                             .score = Experts::Score::sigmoid,
                                             .weighs_input = true,
                                             .module = "feed_forward",
                                             .router = "router",
                                             .stacks = Experts::Stacks::without_codes},
                                 .count_key = "num_local_experts",
                                 .size_key = "intermediate_size",
                                 .shared_size_key = "intermediate_size",
                                 .step_key = "interleave_moe_layer_step",
                                 .list_key = "moe_layers",
                                 .always_normalizes = true};

inline constexpr Mixture kDeepseekV2{.experts = {.group_best = 1, .shared_module = "shared_experts"},
                                     .count_key = "n_routed_experts",
                                     .shared_count_key = "n_shared_experts",
                                     .always_normalizes = true,
                                     .grouped = true,
                                     .method_key = "topk_method"};
inline constexpr Mixture kDeepseekV3{.experts = {.score = Experts::Score::sigmoid,
                                                 .normalize = true,
                                                 .correction = true,
                                                 .shared_module = "shared_experts"},
                                     .count_key = "n_routed_experts",
                                     .shared_count_key = "n_shared_experts",
                                     .first_dense = 3};
inline constexpr Mixture kMistral4{.experts = {.normalize = true,
                                               .shared_module = "shared_experts",
                                               .stacks = Experts::Stacks::always,
                                               .stacks_transposed = false},
                                   .count_key = "n_routed_experts",
                                   .shared_count_key = "n_shared_experts",
                                   .grouped = true};

inline constexpr Mixture kLfm2Moe{.experts = {.score = Experts::Score::sigmoid,
                                              .normalize = true,
                                              .added_to_sum = 1e-6f,
                                              .correction = true,
                                              .module = "feed_forward",
                                              .correction_name = "expert_bias",
                                              .gate = "w1",
                                              .up = "w3",
                                              .down = "w2"},
                                  .first_dense = 2,
                                  .first_key = "num_dense_layers",
                                  .correction_key = "use_expert_bias"};
inline constexpr Mixture kGemma4{.experts = {.normalize = true,
                                             .module = {},
                                             .router = "router.proj",
                                             .shared_module = "mlp",
                                             .stacks = Experts::Stacks::always,
                                             .stacks_transposed = false,
                                             .beside_dense = true},
                                 .used_key = "top_k_experts",
                                 .shared_size_key = "intermediate_size",
                                 .always_normalizes = true,
                                 .enabled_key = "enable_moe_block"};
inline constexpr Mixture kCohere2Moe{.experts = {.normalize = true, .shared_module = "shared_experts"},
                                     .size_key = "intermediate_size",
                                     .shared_count_key = "num_shared_experts",
                                     .score_key = "expert_selection_fn",
                                     .sum_key = "shared_expert_combination_strategy"};
inline constexpr Mixture kHunyuan{.experts = {.normalize = true, .router = "gate.wg", .shared_module = "shared_mlp"},
                                  .used_key = "moe_topk",
                                  .shared_count_key = "num_shared_expert",
                                  .always_normalizes = true};
inline constexpr Mixture kQwen3Next{.experts = {.shared_gate = true, .normalize = true},
                                    .shared_size_key = "shared_expert_intermediate_size"};

}  // namespace strata::model
