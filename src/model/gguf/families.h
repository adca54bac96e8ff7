// What llama.cpp computes for an architecture of GGUF files beyond what all of them share: a row for each that differs.
// llama.cpp, src/models/*.cpp (what is fixed there) and conversion/*.py (keys, the order of rows).
#pragma once
#include <array>
#include <cstddef>
#include <string_view>

#include "core/json.h"
#include "format/gguf.h"
#include "format/gguf_write.h"
#include "model/families.h"

namespace strata::model {

/// How an architecture routes to its experts, and which keys say more of it.
struct GgufExperts {
  bool normalizes = true;      ///< divides the chosen weights by their sum; what holds where no key says it
  bool normalize_key = false;  ///< expert_weights_norm says it instead
  bool scale_key = false;      ///< expert_weights_scale multiplies the weights
  bool score_key = false;      ///< expert_gating_func says what makes weights of the router's logits
  bool shared_keys = false;   ///< expert_shared_count and expert_shared_feed_forward_length say how large the shared is
  bool shared_count = true;   ///< there is a count among these keys
  bool first_key = false;     ///< leading_dense_block_count says how many blocks come before the first mixture
  bool step_key = false;      ///< interleave_moe_layer_step says that every n-th block is a mixture
  bool group_keys = false;    ///< expert_group_count and expert_group_used_count say of groups that are chosen from
  bool needs_shared = false;  ///< there is a shared expert
  bool in_length = false;     ///< feed_forward_length is the width of experts where there are any
};

struct GgufFamily {
  std::string_view name;      ///< general.architecture
  std::string_view plain{};   ///< the name without sections of the rotary embedding; empty: the architecture has none
  std::string_view dense{};   ///< the name where there are no experts; empty: it is the same, or there is none
  std::string_view hybrid{};  ///< the name where some blocks have Mamba-2; empty: it is the same, or there is none
  std::string_view root = "model.";  ///< Names::root in folders that are made of files
  /// The model_type that files are read as, where that family has all that others of the architecture have; empty: that
  /// of the family that has what the file has.
  std::string_view read_as{};
  bool interleaved = false;  ///< rows of q and k are interleaved within a head
  Activation activation = Activation::silu;
  bool o_bias = false, mlp_bias = false;            ///< such biases are read
  bool needs_biases = false;                        ///< these two are always there
  bool square_heads = false;                        ///< all heads together have the hidden size
  bool square_k = false;                            ///< so have those of k
  bool needs_head = false;                          ///< lm_head is never the embedding
  bool needs_tied = false;                          ///< lm_head is always the embedding
  std::string_view feed_forward_norm = "ffn_norm";  ///< the norm before the feed-forward part
  std::string_view last_norm = "output_norm";       ///< the norm that the head reads
  std::size_t window_pattern = 0;  ///< windows are on all blocks but every n-th; 0: llama.cpp has no windows
  bool full_first = false;         ///< the first of so many blocks has none, not the last
  bool window_list = false;        ///< a key says which blocks they are on
  std::size_t window_blocks = 0;   ///< only models of so many blocks have windows; 0: all may
  bool needs_window = false;       ///< there is a window even where a file names none
  bool window_rope = false;        ///< blocks with a window have a rotary embedding without scaling
  bool window_theta = false;       ///< which may have a theta of its own
  bool window_turned = false;      ///< and turn as many dimensions of a head as a key says
  std::size_t no_rope_step = 0;    ///< every n-th block has no rotary embedding; 0: all have one
  bool partial_rope = false;       ///< a part of a head may be rotated
  bool rope_key = false;           ///< rope.scaling.finetuned says whether there is a rotary embedding
  bool divisors = true;            ///< a tensor may hold what the rotary embedding's frequencies are divided by
  /// The rotary embedding's sections where a model has none; zeros: files may be without.
  std::array<std::int32_t, 4> sections{};
  bool rope_parameters = false;       ///< config.json has the settings of the rotary embedding in one object
  bool yarn = true;                   ///< the rotary embedding may be stretched by yarn
  bool mscale_is_one = false;         ///< yarn's mscale is 1; elsewhere in latent attention it is mscale_all_dim
  bool yarn_betas = false;            ///< yarn's betas are read; elsewhere they are 32 and 1
  bool yarn_truncates = true;         ///< Rope::truncate of the models; llama.cpp always cuts yarn's range
  std::size_t chunk = 0;              ///< BlockAttention::chunk of blocks with a rotary embedding
  QueryScale query_scale{};           ///< what is fixed of it
  bool temperature = false;           ///< a key holds beta, and its length is yarn's original context
  bool temperature_length = false;    ///< a key holds that length besides
  std::size_t l2_unless_experts = 0;  ///< Architecture::qk_l2, but not with so many experts; 0: never
  bool attention_softcap = false;     ///< there is a cap on scores, whether a file names it or not
  bool logit_softcap = false;         ///< the same for logits
  bool scales = false;                ///< keys hold the factors of embedding, attention, residual sums and logits
  bool multiplies_logits = false;     ///< a key holds the factor of logits
  bool embedding_by_hidden = false;   ///< the embedding's rows are multiplied by sqrt(hidden)
  std::size_t wide_query_blocks = 0;  ///< a model of so many blocks divides q by sqrt(hidden / heads), not of head_dim
  /// Latent attention has q in one matrix in models of so many blocks, and in no others.
  std::array<std::size_t, 2> whole_query_blocks{};
  bool by_kind = false;        ///< Family::by_kind: what blocks with and without a window have is in kinds.h
  bool tiled_values = false;   ///< DeltaNet::tiled
  bool indexer = false;        ///< files hold the indexer of sparse attention, which is carried elsewhere
  bool attends = true;         ///< some blocks attend; false: all are Mamba-2 alone
  bool needs_mamba = false;    ///< some blocks have Mamba-2
  bool both_epsilons = false;  ///< the norms' epsilon has the key of layer norms besides its own
  bool twice_hidden = false;   ///< in which all heads together are twice as wide as the hidden size
  bool gate_up_apart = false;  ///< what the model has in one matrix, gate and up, lies in two tensors
  bool clamp_key = false;      ///< attention.clamp_kqv holds Architecture::clip_qkv
  bool parallel_key = false;   ///< use_parallel_residual says whether both halves of a block read the same norm
  /// Of the mixer whose tensors are called ssm_...: its module, and the last of its linears.
  std::string_view TensorNames::*states = &TensorNames::delta;
  std::string_view TensorNames::*states_out = &TensorNames::delta_out;
  GgufExperts experts{};
};

/// The row of an architecture; for one without a row, what all of them share.
GgufFamily gguf_family(std::string_view name);
/// The row that a model's files are of: its family's, or the one for models of the family without blocks of Mamba-2,
/// with experts, or with sections of the rotary embedding.
GgufFamily gguf_family_of(const Architecture& architecture);

/// Whether any block has this mixer.
bool has_mixer(const Architecture& architecture, Mixer mixer);

/// DeltaNet::tiled in GGUF files of the model's family; false for a family without such files.
bool tiles_value_heads(const Architecture& architecture);

/// Adds the keys of windows, caps, factors and what grows with the position.
void add_part_keys(format::GgufKeys& keys, const GgufFamily& row, const Architecture& a);

/// Sets in config.json what add_part_keys wrote and what llama.cpp has fixed, in the family's spelling. The sizes are
/// there already.
void add_part_config(json& config, const format::GgufFile& gguf, const GgufFamily& row, const Family& family,
                     const std::string& where);

}  // namespace strata::model
