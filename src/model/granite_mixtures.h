// The mixtures of Granite's families: experts in stacks under names of their own, alone or beside a shared one.
#pragma once
#include "model/mixture_keys.h"

namespace strata::model {

inline constexpr Mixture kGraniteMoe{.experts = {.normalize = true,
                                                 .module = "block_sparse_moe",
                                                 .router = "router.layer",
                                                 .stacks = Experts::Stacks::always,
                                                 .gate_up_stack = "input_linear.weight",
                                                 .down_stack = "output_linear.weight",
                                                 .stacks_transposed = false},
                                     .count_key = "num_local_experts",
                                     .size_key = "intermediate_size",
                                     .always_normalizes = true};
inline constexpr Mixture kGraniteMoeShared = [] {
  Mixture mixture = kGraniteMoe;
  mixture.experts.shared_module = "shared_mlp";
  mixture.experts.shared_beside = true;
  mixture.shared_size_key = "shared_intermediate_size";
  return mixture;
}();
/// The same under the names of transformers' own modules.
inline constexpr Mixture kGraniteMoeSwa = [] {
  Mixture mixture = kGraniteMoeShared;
  mixture.experts.router = "router";
  mixture.experts.gate_up_stack = "experts.gate_up_proj";
  mixture.experts.down_stack = "experts.down_proj";
  return mixture;
}();

}  // namespace strata::model
