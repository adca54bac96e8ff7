// The table of model families: a row each, which names only what differs from the defaults that most families share.
// Sources: transformers' configuration_*.py and modeling_*.py of each family; llama.cpp's convert_hf_to_gguf.py.
#pragma once
#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "model/architecture.h"
#include "model/delta_keys.h"
#include "model/factor_keys.h"

namespace strata::model {

enum class Bias {
  never,
  always,
  config,      ///< when attention_bias is true
  unless_off,  ///< unless qkv_bias is false
};

/// Where a family's sliding window comes from. layer_types, where config.json has it, says which blocks have the
/// window.
enum class WindowRule {
  none,
  every_block,   ///< when sliding_window is set, on every block (mistral)
  upper_blocks,  ///< when use_sliding_window, on blocks from max_window_layers on (qwen2, qwen3)
  when_used,     ///< when use_sliding_window, on every block (qwen3_moe)
  refused,       ///< use_sliding_window is an error (qwen2_moe)
  pattern,       ///< on all blocks but every n-th, n = sliding_window_pattern (gemma2, olmo3 ...)
  after_dense,   ///< the same, counted anew behind first_k_dense_replace blocks with a pattern of their own
                 ///< (cohere2_moe)
  without_rope,  ///< when use_sliding_window, on blocks without rotary embedding (smollm3)
  local,         ///< on the blocks that attention_layers or attention_types calls "local" (gpt_neo)
};

/// Which blocks have a rotary embedding.
enum class RopeRule {
  every_block,
  listed,    ///< those of no_rope_layers that are 1; all but every n-th, n = no_rope_layer_interval, without it
  windowed,  ///< those with a window (cohere2)
  windowed_or_dense,  ///< and dense ones, unless prefix_dense_sliding_window_pattern is other than 1 (cohere2_moe)
  windowed_if_any,    ///< those with a window, or all when there is no sliding_window (exaone4)
  never,
  when_rope,   ///< every block when position_embedding_type is "rope", else none (granitemoehybrid)
  when_theta,  ///< every block, but none when rope_theta is there and null (olmo_hybrid)
};

struct Mixture;    // mixture_keys.h
struct MambaKeys;  // mamba_keys.h

struct Family {
  std::string_view model_type;  ///< config.json's model_type
  /// Other values of model_type: wrappers whose text_config leaves it out, text models of wrappers.
  std::array<std::string_view, 8> also{};
  std::string_view class_name;  ///< config.json's "architectures"
  std::string_view gguf{};      ///< general.architecture of a GGUF file; empty: GGUF files are refused
  EmbeddingQuery embedding_query = EmbeddingQuery::never;  ///< of vLLM 0.32; tests/peers/test_families.py asks it
  Bias qkv_bias = Bias::config, o_bias = Bias::config;
  const char* qkv_bias_key = "attention_bias";  ///< read by Bias::config
  const char* o_bias_key = "attention_bias";
  const char* mlp_bias_key = nullptr;     ///< null: gate, up and down have no biases
  const char* head_bias_key = nullptr;    ///< holds Architecture::head_bias
  bool turned_linears = false;            ///< Architecture::turned_linears
  const char* heads_key = nullptr;        ///< holds the number of heads of every block, where config.json has it
  const char* multi_query_key = nullptr;  ///< when true, which it is if left out, there is one key-value head
  bool qkv_by_key_heads = false;          ///< Architecture::qkv_by_key_heads
  QkNorm qk_norm = QkNorm::none;
  bool qk_norm_turned = false;  ///< Architecture::qk_norm_turned
  bool qk_norm_key = false;     ///< q and k have norms only when use_qk_norm is true
  float norm_offset = 0.0f;     ///< Architecture::norm_offset
  NormKind norm_kind = NormKind::rms;
  bool norm_bias = false;    ///< Architecture::norm_bias
  bool norm_weights = true;  ///< Architecture::norm_weights
  const char* norm_epsilon_key = "rms_norm_eps";
  const char* rms_epsilon_key = nullptr;     ///< where config.json has it, norms are NormKind::rms with this epsilon
  bool parallel = false;                     ///< Architecture::parallel
  const char* parallel_key = nullptr;        ///< holds it, where config.json has it
  Mixer mixer = Mixer::attention;            ///< of blocks that do not attend, as its file in mixers/ reads config.json
  DeltaKeys delta{};                         ///< with Mixer::delta
  const MambaKeys* mamba = nullptr;          ///< with Mixer::mamba
  const char* selective_norm_key = nullptr;  ///< holds SelectiveSpace::norm_epsilon; null: those norms are not there
  bool by_kind = false;                      ///< blocks differ as parse_kinds.cpp reads it (Gemma 4)
  bool by_decoder = false;                   ///< blocks are made as parse_decoder.cpp reads it (Falcon)
  const char* tied_key = nullptr;            ///< counts before tie_word_embeddings
  const char* index_key = nullptr;           ///< holds Architecture::whole_positions
  const char* qk_l2_key = nullptr;           ///< when true, Architecture::qk_l2
  bool sinks = false;
  bool gate_apart = false;         ///< OutputGate::apart
  bool gate_by_head = false;       ///< Architecture::gate_by_head, unless gate_key says it
  bool gate_softplus = false;      ///< Architecture::gate_softplus
  const char* gate_key = nullptr;  ///< holds Architecture::gate_by_head: true or "per-head", or "per-element"
  double alibi = 0.0;              ///< Architecture::alibi unless alibi_bias_max is given
  std::size_t first_position = 0;  ///< LearnedPositions::first
  const char* attention_softcap_key = nullptr;
  const char* logit_softcap_key = nullptr;
  QueryScaleKeys query_scale{};
  WindowRule window = WindowRule::none;
  std::size_t window_pattern = 0;   ///< of WindowRule::pattern unless sliding_window_pattern is given
  const char* chunk_key = nullptr;  ///< holds how long the stretches are that blocks with a rotary embedding see
  RopeRule rope = RopeRule::every_block;
  bool rope_interleaved = false;  ///< neighbours are rotated together, not the halves of a head
  bool rope_backwards = false;    ///< Rope::backwards
  bool window_rope = false;       ///< blocks with a window have a rotary embedding of their own, without scaling
  const char* activation_key = "hidden_act";
  bool clamped_swiglu = false;                         ///< Activation::clamped_swiglu, whatever that key says
  bool gated = true;                                   ///< Architecture::gated
  const char* intermediate_key = "intermediate_size";  ///< the size of dense blocks
  const char* intermediate_fallback = nullptr;         ///< holds it where that key is missing
  std::size_t default_widening = 0;                    ///< that size by hidden_size unless it is given; 0: it must be
  std::size_t default_head_dim = 0;                    ///< 0: hidden_size / num_attention_heads
  double default_norm_epsilon = 1e-6;
  double default_rope_theta = 10000.0;
  bool rope_alpha = false;            ///< a dynamic scaling with `alpha` stretches the base, whatever the length
  bool rope_magnitudes = false;       ///< with a scaling, short_mscale and long_mscale are Rope::attention_factor
  double default_rotary_share = 1.0;  ///< of a head, unless partial_rotary_factor is given
  const char* window_rope_key = "rope_local_base_freq";  ///< holds the theta of blocks with a window (window_rope)
  double window_rope_theta = 10000.0;                    ///< that theta unless it is given
  bool default_tied = false;  ///< lm_head is the embedding unless tie_word_embeddings is given
  ScaleKeys scales{};
  TensorNames names{};
  const Mixture* mixture = nullptr;  ///< null for families of dense blocks
  /// A JSON object: the only values of keys that the engine computes, or arrays of them. Another is an error; a key may
  /// be left out.
  const char* only = "{}";
  const char* inner_key = nullptr;  ///< holds an object whose keys count as if they stood beside it
  /// A JSON object: how the family spells keys, by the spelling that most families share.
  const char* spelled = "{}";
  /// A JSON object: values of keys that config.json may leave out. It may give no value for a key that tells a family
  /// by being there.
  const char* defaults = "{}";
  /// The same for the text part of a wrapper alone: published wrappers leave out what transformers has as defaults of
  /// the text model's class.
  const char* text_defaults = "{}";
};

std::span<const Family> families();
/// nullptr when the table has no such row.
const Family* find_family(std::string_view model_type, std::span<const Family> table = families());
/// "llama, mistral, qwen2 ...".
std::string known_families(std::span<const Family> table = families());

}  // namespace strata::model
