// The mixtures whose files hold the biases for choosing elsewhere than beside the router's matrix.
#pragma once
#include "model/mixture_keys.h"

namespace strata::model {

inline constexpr Mixture kHyV3{.experts = {.score = Experts::Score::sigmoid,
                                           .normalize = true,
                                           .correction = true,
                                           .router = "router.gate",
                                           .correction_name = "expert_bias",
                                           .shared_module = "shared_mlp"},
                               .shared_count_key = "num_shared_experts",
                               .first_dense = 1,
                               .always_normalizes = true};
inline constexpr Mixture kAfmoe{.experts = {.score = Experts::Score::sigmoid,
                                            .normalize = true,
                                            .correction = true,
                                            .router = "router.gate",
                                            .correction_name = "expert_bias",
                                            .shared_module = "shared_experts"},
                                .shared_count_key = "num_shared_experts",
                                .first_dense = 1,
                                .first_key = "num_dense_layers",
                                .always_normalizes = true};
inline constexpr Mixture kLaguna{.experts = {.score = Experts::Score::sigmoid,
                                             .normalize = true,
                                             .correction = true,
                                             .correction_name = "experts.e_score_correction_bias"},
                                 .shared_size_key = "shared_expert_intermediate_size",
                                 .first_dense = 1,
                                 .lists_kinds = true,
                                 .always_normalizes = true};

}  // namespace strata::model
