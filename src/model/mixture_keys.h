// Where a family's config.json says how many experts there are, how large they are and which blocks have them.
// A family's row points to a Mixture; mixtures.h has those of all families.
#pragma once
#include <cstddef>

#include "model/experts.h"

namespace strata::model {

/// How a family's config.json describes its experts. Sizes of `experts` are filled from these keys.
struct Mixture {
  Experts experts;  ///< names of tensors, kind of scores; `normalize` unless norm_topk_prob is given
  const char* count_key = "num_experts";  ///< any family may have num_local_experts or n_routed_experts instead
  const char* used_key = "num_experts_per_tok";
  const char* size_key = "moe_intermediate_size";
  const char* shared_size_key = nullptr;         ///< holds the shared expert's size
  const char* shared_count_key = nullptr;        ///< holds how many times as large as a routed expert the shared one is
  std::size_t first_dense = 0;                   ///< how many blocks are dense unless first_k_dense_replace is given
  const char* step_key = "decoder_sparse_step";  ///< every n-th block is a mixture
  const char* first_key = nullptr;               ///< the first block that may be a mixture
  const char* last_key = nullptr;                ///< the last one; -1: all to the end
  bool lists_kinds = false;                      ///< config.json says by mlp_layer_types alone which blocks are dense
  const char* list_key = nullptr;                ///< the mixtures by their indices, if it is there
  bool always_normalizes = false;                ///< norm_topk_prob is not read: Experts::normalize is as it is here
  const char* score_key = nullptr;       ///< holds "softmax" or "sigmoid"; weights of the former are always normalized
  const char* sum_key = nullptr;         ///< holds "average" where the shared expert and the others count a half each
  const char* correction_key = nullptr;  ///< when false, Experts::correction is not there
  bool grouped = false;               ///< with softmax scores, too, there are groups of experts and a scale of weights
  const char* method_key = nullptr;   ///< holds "greedy" when the groups do not count
  const char* latent_key = nullptr;   ///< holds Experts::latent
  bool may_be_none = false;           ///< where the count is 0, all blocks are dense
  const char* enabled_key = nullptr;  ///< unless true, all blocks are dense
};

}  // namespace strata::model
