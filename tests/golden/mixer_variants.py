"""The tiny models of blocks that do not simply attend, and of dense families with a part of their own; see model_variants.py.

Used by make_model_goldens.py alone. As there: what a published config.json leaves out is left out here.
"""
from model_variants import (QWEN_IDS, QWEN_VISION, MISTRAL3, SIGLIP, F, S, Variant, small, text_config, without)

# Latent attention: head sizes differ (8 + 8 for scores, 12 for values), so that no two can be mixed up.
LATENT = {"kv_lora_rank": 16, "q_lora_rank": 24, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 12,
          "num_key_value_heads": 4, "attention_bias": False, "attention_dropout": 0.0}
DEEPSEEK_YARN = {"beta_fast": 32, "beta_slow": 1, "factor": 8, "mscale": 0.707, "mscale_all_dim": 0.707,
                 "original_max_position_embeddings": 64, "type": "yarn"}
SPARSE = {"moe_intermediate_size": 16, "n_routed_experts": 8, "num_experts_per_tok": 3, "n_shared_experts": 1,
          "first_k_dense_replace": 1, "moe_layer_freq": 1, "num_hidden_layers": 2}
DEEPSEEK2 = small("DeepseekV2ForCausalLM", "deepseek_v2", **LATENT, **{**SPARSE, "n_shared_experts": 2}, aux_loss_alpha=0.001, seq_aux=True,
                  pretraining_tp=1, rms_norm_eps=1e-6, scoring_func="softmax", topk_method="greedy", n_group=1, topk_group=1,
                  norm_topk_prob=False, routed_scaling_factor=1.0, rope_theta=1000.0, rope_scaling=DEEPSEEK_YARN)
DEEPSEEK3 = small("DeepseekV3ForCausalLM", "deepseek_v3", **LATENT, **SPARSE, ep_size=1, rms_norm_eps=1e-6, pretraining_tp=1,
                  scoring_func="sigmoid", topk_method="noaux_tc", n_group=4, topk_group=2, norm_topk_prob=True,
                  num_nextn_predict_layers=1, routed_scaling_factor=2.5, rope_theta=1000.0,
                  rope_scaling={**DEEPSEEK_YARN, "mscale": 1.0, "mscale_all_dim": 1.0})
KIMI2 = {**DEEPSEEK3, "model_type": "kimi_k2", "n_group": 1, "topk_group": 1, "routed_scaling_factor": 2.827, "rope_theta": 50000.0,
         "num_nextn_predict_layers": 0}
KIMI_VISION = {"model_type": "kimi_k25_vision", "hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2,
               "num_hidden_layers": 1, "patch_size": 4, "pos_emb_height": 4, "pos_emb_width": 4, "pos_emb_time": 2,
               "merge_kernel_size": [2, 2]}
GLM4_LITE = small("Glm4MoeLiteForCausalLM", "glm4_moe_lite", **LATENT, **without(SPARSE, "moe_layer_freq"), topk_method="noaux_tc",
                  norm_topk_prob=True, n_group=1, topk_group=1, routed_scaling_factor=1.8, num_nextn_predict_layers=1,
                  partial_rotary_factor=1.0, rms_norm_eps=1e-2, rope_scaling=None, rope_theta=1000000, pad_token_id=3)
MISTRAL4 = small("Mistral4ForCausalLM", "mistral4", ("rope_theta",), **LATENT, **without(SPARSE, "moe_layer_freq"), n_group=1,
                 topk_group=1, norm_topk_prob=True, routed_scaling_factor=1.0, rope_interleave=True, rms_norm_eps=1e-6,
                 sliding_window=None,
                 rope_parameters={"type": "yarn", "rope_type": "yarn", "rope_theta": 1000.0, "factor": 8.0, "mscale": 1.0,
                                  "original_max_position_embeddings": 64, "max_position_embeddings": 512, "beta_fast": 32.0,
                                  "beta_slow": 1.0, "mscale_all_dim": 1.0, "llama_4_scaling_beta": 0.4})
GLM_DSA = small("GlmMoeDsaForCausalLM", "glm_moe_dsa", ("rope_theta",), **LATENT, **{**SPARSE, "num_hidden_layers": 3}, ep_size=1,
                head_dim=8, index_head_dim=16, index_n_heads=2, index_topk=512, index_topk_freq=2, indexer_rope_interleave=True,
                n_group=1, topk_group=1, norm_topk_prob=True, num_nextn_predict_layers=1, qk_head_dim=16, pad_token_id=3,
                rope_parameters={"rope_theta": 1000000, "rope_type": "default"}, routed_scaling_factor=2.5, scoring_func="sigmoid",
                topk_method="noaux_tc")

# Gated delta net: two value heads for each key head; attention in the last block.
DELTA = {"linear_conv_kernel_dim": 4, "linear_key_head_dim": 8, "linear_num_key_heads": 2, "linear_num_value_heads": 4,
         "linear_value_head_dim": 8, "full_attention_interval": 3, "num_hidden_layers": 3, "head_dim": 16, "attention_bias": False,
         "attention_dropout": 0.0, "rms_norm_eps": 1e-6}
QWEN_SPARSE = {"moe_intermediate_size": 8, "shared_expert_intermediate_size": 24, "num_experts": 8, "num_experts_per_tok": 3,
               "output_router_logits": False, "router_aux_loss_coef": 0.001}
QWEN3_NEXT = small("Qwen3NextForCausalLM", "qwen3_next",
                   **{**DELTA, "linear_conv_kernel_dim": 3, "linear_value_head_dim": 12, "full_attention_interval": 2,
                      "num_hidden_layers": 2}, **QWEN_SPARSE,
                   decoder_sparse_step=1, mlp_only_layers=[], norm_topk_prob=True, partial_rotary_factor=0.25, rope_scaling=None,
                   rope_theta=1000, use_sliding_window=False)
QWEN35_ROPE = {"mrope_interleaved": True, "mrope_section": [2, 1, 1], "rope_type": "default", "rope_theta": 1000,
               "partial_rotary_factor": 0.5}
L = "linear_attention"
QWEN35_TEXT = small("Qwen3_5ForCausalLM", "qwen3_5_text", ("rope_theta",), **DELTA, attn_output_gate=True, layer_types=[L, L, F],
                    mlp_only_layers=[], mtp_num_hidden_layers=1, mtp_use_dedicated_embeddings=False, mamba_ssm_dtype="float32",
                    rope_parameters=QWEN35_ROPE)
QWEN35_MOE_TEXT = {**without(QWEN35_TEXT, "intermediate_size"), **QWEN_SPARSE, "architectures": ["Qwen3_5MoeForCausalLM"],
                   "model_type": "qwen3_5_moe_text", "full_attention_interval": 2, "num_hidden_layers": 2, "layer_types": [L, F]}
OLMO_HYBRID = small("OlmoHybridForCausalLM", "olmo_hybrid", ("rope_theta",),
                    **without(DELTA, "full_attention_interval", "head_dim"), layer_types=[L, L, F], linear_a_log_max=16.0,
                    linear_a_log_min=0.0, linear_allow_neg_eigval=True, linear_dt_init_floor=0.0001, linear_dt_max=0.1,
                    linear_dt_min=0.001, pad_token_id=3, rope_parameters=None, rope_theta=None)
QWEN35_VISION = {**QWEN_VISION, "num_position_embeddings": 16, "deepstack_visual_indexes": [], "hidden_act": "gelu_pytorch_tanh"}
NEXT_MTP = {"mtp.fc.weight": (32, 64), "mtp.norm.weight": (32,), "mtp.layers.0.mlp.shared_expert.up_proj.weight": (24, 32)}
QWEN35_MTP = {"mtp.fc.weight": (32, 64), "mtp.norm.weight": (32,), "mtp.layers.0.mlp.up_proj.weight": (32, 32)}

# Short convolutions. Of a block_ff_dim of 60, two thirds are 40, three quarters of those 30, and the next multiple of 16 is 32.
LFM2 = small("Lfm2ForCausalLM", "lfm2", ("intermediate_size", "rms_norm_eps", "hidden_act", "tie_word_embeddings"),
             block_auto_adjust_ff_dim=True, block_dim=32, block_ff_dim=60, block_ffn_dim_multiplier=0.75, block_multiple_of=16,
             block_norm_eps=1e-5, block_use_swiglu=True, conv_L_cache=3, conv_bias=False, conv_dim=32, conv_dim_out=32,
             full_attn_idxs=[2], norm_eps=1e-5, num_heads=4, num_hidden_layers=3, rope_theta=1000000.0, use_pos_enc=True)
LFM2_MOE = small("Lfm2MoeForCausalLM", "lfm2_moe", ("rms_norm_eps", "hidden_act", "tie_word_embeddings"), conv_L_cache=3,
                 conv_bias=False, layer_types=["conv", "conv", F], moe_intermediate_size=16, norm_eps=1e-5, norm_topk_prob=True,
                 num_dense_layers=1, num_experts=8, num_experts_per_tok=3, num_heads=4, num_hidden_layers=3, rope_theta=1000000.0,
                 routed_scaling_factor=1.5, use_expert_bias=True)
LFM3 = small("Lfm3ForCausalLM", "lfm3", ("rms_norm_eps", "hidden_act", "tie_word_embeddings", "rope_theta"), attention_bias=False,
             attention_dropout=0.0, conv_L_cache=5, conv_bias=False, head_dim=16, layer_types=["conv", F, "conv", S], norm_eps=1e-5,
             num_hidden_layers=4, pad_token_id=0, sliding_window=8, use_attention_gate=True, use_sandwich_norm=True, rope_parameters={
                 "full_attention": {"rope_type": "proportional", "rope_theta": 1000.0, "partial_rotary_factor": 0.5},
                 "sliding_attention": {"rope_type": "default", "rope_theta": 100.0}})

# Mamba-2: an inner size of 64 in 4 heads of 16.
MAMBA = {"mamba_chunk_size": 256, "mamba_conv_bias": True, "mamba_d_conv": 4, "mamba_d_head": 16, "mamba_d_state": 8, "mamba_expand": 2,
         "mamba_n_groups": 1, "mamba_n_heads": 4, "mamba_proj_bias": False}
GRANITE_H = small("GraniteMoeHybridForCausalLM", "granitemoehybrid", **MAMBA, attention_bias=False, attention_dropout=0.0,
                  attention_multiplier=0.25, embedding_multiplier=12, init_method="mup", layer_types=["mamba", "attention"],
                  intermediate_size=24, logits_scaling=0.25, normalization_function="rmsnorm", num_experts_per_tok=2, num_local_experts=6,
                  position_embedding_type="nope", residual_multiplier=0.5, rope_scaling=None, shared_intermediate_size=24,
                  router_aux_loss_coef=0.01, output_router_logits=False)
NEMOTRON_H = small("NemotronHForCausalLM", "nemotron_h", ("hidden_act",), chunk_size=128, conv_kernel=4, expand=2, head_dim=16,
                   hybrid_override_pattern="M-M*-", mamba_head_dim=16, mamba_hidden_act="silu", mamba_num_heads=4,
                   mamba_proj_bias=False, mlp_bias=False, mlp_hidden_act="relu2", n_groups=2, layer_norm_epsilon=1e-5,
                   num_logits_to_keep=1, num_hidden_layers=5, rescale_prenorm_residual=True, residual_in_fp32=False,
                   sliding_window=None, ssm_state_size=8, time_step_floor=0.0001, time_step_limit=[0.0, float("inf")],
                   time_step_max=0.1, time_step_min=0.001, time_step_rank=256, use_bias=False, use_conv_bias=True,
                   use_mamba_kernels=True, attention_bias=False, attention_dropout=0.0, hidden_dropout=0.0)
NEMOTRON_SPARSE = {"moe_intermediate_size": 16, "moe_shared_expert_intermediate_size": 24, "n_routed_experts": 8,
                   "num_experts_per_tok": 3, "n_shared_experts": 1, "n_group": 1, "topk_group": 1, "norm_topk_prob": True,
                   "routed_scaling_factor": 2.5}
FALCON_H1 = small("FalconH1ForCausalLM", "falcon_h1", ("rope_theta",), **{**MAMBA, "mamba_n_groups": 2}, attention_bias=False,
                  mamba_d_ssm=64, mamba_norm_before_gate=False, mamba_rms_norm=False, mamba_use_mlp=True, mlp_bias=False, head_dim=16,
                  projectors_bias=False, attention_in_multiplier=1.25, attention_out_multiplier=0.9375, embedding_multiplier=2.0,
                  key_multiplier=0.5, lm_head_multiplier=1.25, mlp_multipliers=[0.75, 0.5], mlp_expansion_factor=8,
                  ssm_in_multiplier=1.25, ssm_multipliers=[0.75, 0.5, 1.5, 0.875, 0.625], ssm_out_multiplier=0.75,
                  num_logits_to_keep=1, rope_scaling=None, rope_theta=100000000000.0)
BAMBA = small("BambaForCausalLM", "bamba", **MAMBA, attn_layer_indices=[1], attention_bias=False, mlp_bias=False, attn_rotary_emb=4,
              num_logits_to_keep=1, rope_scaling=None)
MAMBA2 = {**without(small("Mamba2ForCausalLM", "mamba2"), "intermediate_size", "num_attention_heads", "num_key_value_heads", "rope_theta",
                    "max_position_embeddings", "rms_norm_eps"),
          "chunk_size": 256, "conv_kernel": 4, "expand": 2, "head_dim": 16, "num_heads": 4, "n_groups": 2, "state_size": 8,
          "layer_norm_epsilon": 1e-5, "residual_in_fp32": True, "rms_norm": True, "norm_before_gate": True, "use_bias": False,
          "use_conv_bias": True, "time_step_floor": 0.0001, "time_step_limit": [0.0, float("inf")], "time_step_max": 0.1,
          "time_step_min": 0.001, "time_step_rank": 2}
# Mamba-1: an inner size of 64, steps of 2 values ("auto"), or of 3.
MAMBA1 = {**without(small("MambaForCausalLM", "mamba", ("tie_word_embeddings",)), "intermediate_size", "num_attention_heads",
                    "num_key_value_heads", "rope_theta", "max_position_embeddings", "rms_norm_eps"),
          "conv_kernel": 4, "d_inner": 64, "d_model": 32, "expand": 2, "fused_add_norm": True, "intermediate_size": 64,
          "layer_norm_epsilon": 1e-5, "n_layer": 2, "pad_vocab_size_multiple": 8, "rescale_prenorm_residual": False,
          "residual_in_fp32": True, "rms_norm": True, "ssm_cfg": {}, "state_size": 8, "time_step_floor": 0.0001,
          "time_step_init_scheme": "random", "time_step_max": 0.1, "time_step_min": 0.001, "time_step_rank": 3,
          "time_step_scale": 1.0, "use_bias": False, "use_conv_bias": True}
FALCON_MAMBA = {**without(MAMBA1, "d_inner", "d_model", "fused_add_norm", "n_layer", "pad_vocab_size_multiple", "rms_norm", "ssm_cfg"),
                "architectures": ["FalconMambaForCausalLM"], "model_type": "falcon_mamba", "intermediate_size": 48,
                "mixer_rms_eps": 0.05, "tie_word_embeddings": False}

GEMMA4 = small("Gemma4ForCausalLM", "gemma4_text", ("tie_word_embeddings", "hidden_act", "rope_theta"), num_hidden_layers=4, head_dim=8,
               global_head_dim=16, attention_bias=False, attention_dropout=0.0, attention_k_eq_v=False, enable_moe_block=False,
               final_logit_softcapping=8.0, hidden_activation="gelu_pytorch_tanh", hidden_size_per_layer_input=8, num_experts=None,
               num_global_key_value_heads=None, num_kv_shared_layers=2, layer_types=[S, F, S, F], rms_norm_eps=1e-6, sliding_window=8,
               top_k_experts=None, moe_intermediate_size=None, use_bidirectional_attention=None, use_double_wide_mlp=True,
               vocab_size_per_layer_input=64, pad_token_id=0,
               rope_parameters={F: {"partial_rotary_factor": 0.25, "rope_theta": 1000000.0, "rope_type": "proportional"},
                                S: {"rope_theta": 10000.0, "rope_type": "default"}})
GEMMA4_MOE = {**GEMMA4, "attention_k_eq_v": True, "num_global_key_value_heads": 1, "enable_moe_block": True, "num_experts": 8,
              "top_k_experts": 3, "moe_intermediate_size": 16, "hidden_size_per_layer_input": 0, "num_kv_shared_layers": 0,
              "num_hidden_layers": 2, "layer_types": [S, F], "use_double_wide_mlp": False, "use_bidirectional_attention": "vision",
              "rope_parameters": {F: {"partial_rotary_factor": 0.5, "rope_theta": 1000.0, "rope_type": "proportional"},
                                  S: {"rope_theta": 100.0, "rope_type": "default"}}}
#: In the spelling of transformers 5: the sizes of blocks that see all, by their indices.
GEMMA4_UNIFIED = {**without(GEMMA4, "global_head_dim", "num_global_key_value_heads", "enable_moe_block", "num_experts", "top_k_experts",
                            "moe_intermediate_size", "hidden_size_per_layer_input", "vocab_size_per_layer_input"),
                  "architectures": ["Gemma4UnifiedForCausalLM"], "model_type": "gemma4_unified_text", "attention_k_eq_v": True,
                  "use_bidirectional_attention": "vision",
                  "per_layer_config": {"1": {"head_dim": 16, "num_key_value_heads": 1}, "3": {"head_dim": 16, "num_key_value_heads": 1}}}
GEMMA4_VISION = {"model_type": "gemma4_vision", "hidden_size": 16, "intermediate_size": 24, "num_attention_heads": 2, "head_dim": 8,
                 "num_key_value_heads": 2, "num_hidden_layers": 1, "patch_size": 4, "position_embedding_size": 8,
                 "pooling_kernel_size": 2, "standardize": False, "rms_norm_eps": 1e-6,
                 "rope_parameters": {"rope_theta": 100.0, "rope_type": "default"}}

MIXERS = {
    "deepseek_v2": Variant({**DEEPSEEK2, "q_lora_rank": None}),
    "deepseek_v2_q_lora": Variant(
        {**DEEPSEEK2, "n_group": 4, "topk_group": 2, "topk_method": "group_limited_greedy", "routed_scaling_factor": 16.0,
         "rope_theta": 100.0, "rope_scaling": {**DEEPSEEK_YARN, "beta_fast": 2, "beta_slow": 0.25, "mscale": 1.5,
                                               "mscale_all_dim": 0.5}}, lengths=(40, 100)),
    "deepseek_v3": Variant(DEEPSEEK3),
    "deepseek_v3_packed": Variant(DEEPSEEK3, lengths=(40,), names="modules"),
    "deepseek_v3_half_rope": Variant({**without(DEEPSEEK3, "rope_scaling"), "rope_interleave": False, "attention_bias": True,
                                      "q_lora_rank": None}, lengths=(40, 100)),
    "kimi_k2": Variant(KIMI2, lengths=(100,), run_as={"model_type": "deepseek_v3"}),
    "kimi_k25": Variant(
        {"architectures": ["KimiK25ForConditionalGeneration"], "model_type": "kimi_k25", "tie_word_embeddings": False, "image_token_id": 60,
         "video_token_id": 61, "vision_start_token_id": 62, "vision_end_token_id": 63,
         "projection_hidden_size": 16, "text_config": KIMI2, "vision_config": KIMI_VISION}, lengths=(100,), vocab=60,
        run_as={"architectures": ["Kimi_K25ForConditionalGeneration"]}),
    "glm4_moe_lite": Variant(GLM4_LITE),
    "mistral4": Variant(MISTRAL4, names="modules"),
    "mistral3_mistral4": Variant({**MISTRAL3, "tie_word_embeddings": False, "text_config": text_config(MISTRAL4)}, lengths=(100,),
                                 vocab=60),
    "glm_moe_dsa": Variant(GLM_DSA, lengths=(100,)),
    "qwen3_next": Variant(QWEN3_NEXT, carried=NEXT_MTP),
    "qwen3_5_text": Variant(QWEN35_TEXT, exact=("A_log", "linear_attn.norm.weight")),
    "qwen3_5": Variant(
        {"architectures": ["Qwen3_5ForConditionalGeneration"], "model_type": "qwen3_5", **QWEN_IDS, "tie_word_embeddings": True,
         "text_config": text_config(QWEN35_TEXT, tie_word_embeddings=True), "vision_config": {**QWEN35_VISION, "model_type": "qwen3_5"}},
        lengths=(40, 100), vocab=60, embedding=0.3, exact=("A_log", "linear_attn.norm.weight"), carried=QWEN35_MTP, names="modules"),
    "qwen3_5_moe_text": Variant(QWEN35_MOE_TEXT, lengths=(100,)),
    "qwen3_5_moe": Variant(
        {"architectures": ["Qwen3_5MoeForConditionalGeneration"], "model_type": "qwen3_5_moe", **QWEN_IDS, "tie_word_embeddings": False,
         "text_config": text_config(QWEN35_MOE_TEXT), "vision_config": {**QWEN35_VISION, "model_type": "qwen3_5_moe"}},
        vocab=60, exact=("A_log", "linear_attn.norm.weight"), carried=QWEN35_MTP, names="modules"),
    "olmo_hybrid": Variant({**OLMO_HYBRID, "linear_key_head_dim": 6, "linear_value_head_dim": 12}, renamed={
        "attention_layer_norm": "input_layernorm", "feedforward_layer_norm": "post_attention_layernorm"}),
    "olmo_hybrid_rope": Variant(
        {**without(OLMO_HYBRID, "layer_types", "linear_key_head_dim", "linear_num_key_heads", "linear_num_value_heads",
                   "linear_value_head_dim", "rope_theta"), "num_hidden_layers": 2, "linear_allow_neg_eigval": False,
         "linear_conv_kernel_dim": 3, "attention_bias": True, "rms_norm_eps": 1e-2,
         "rope_parameters": {"rope_theta": 1000.0, "rope_type": "default"}}, lengths=(40, 100)),
    "lfm2": Variant(LFM2, embedding=0.3),
    "lfm2_bias": Variant(
        {**without(LFM2, "block_ff_dim", "full_attn_idxs"), "intermediate_size": 40, "block_auto_adjust_ff_dim": False,
         "conv_bias": True, "conv_L_cache": 4, "rope_theta": 1000.0, "layer_types": ["conv", F], "num_hidden_layers": 2,
         "tie_word_embeddings": False}, lengths=(40, 100)),
    "lfm2_vl": Variant({"architectures": ["Lfm2VlForConditionalGeneration"], "model_type": "lfm2_vl", "image_token_id": 60,
                        "projector_hidden_size": 24, "downsample_factor": 2, "text_config": text_config(LFM2),
                        "vision_config": {**without(SIGLIP, "image_size", "vision_use_head"), "model_type": "siglip2_vision_model",
                                          "num_patches": 16}}, lengths=(40,), vocab=60, embedding=0.3),
    "lfm3": Variant(LFM3, embedding=0.3),
    "lfm3_defaults": Variant({**without(LFM3, "conv_L_cache", "layer_types", "rope_parameters", "use_attention_gate",
                                        "use_sandwich_norm"), "attention_bias": True, "conv_bias": True, "norm_eps": 1e-2,
                              "num_hidden_layers": 5, "tie_word_embeddings": False}, lengths=(40, 100)),
    "lfm2_moe": Variant(LFM2_MOE, embedding=0.3, exact=("expert_bias",)),
    "granitemoehybrid": Variant({**GRANITE_H, "tie_word_embeddings": True}, embedding=0.1),
    "granitemoehybrid_dense": Variant(
        {**GRANITE_H, "num_local_experts": 0, "num_experts_per_tok": 0, "position_embedding_type": "rope", "mamba_n_groups": 2,
         "mamba_d_conv": 3, "rope_theta": 1000.0, "mamba_conv_bias": False, "mamba_proj_bias": True,
         "layer_types": ["mamba", "mamba", "attention"], "num_hidden_layers": 3,
         "attention_bias": True, "logits_scaling": 2}, lengths=(40, 100), embedding=0.1),
    "nemotron_h": Variant(NEMOTRON_H),
    "nemotron_h_moe": Variant(
        {**without(NEMOTRON_H, "time_step_limit"), **NEMOTRON_SPARSE, "hybrid_override_pattern": "MEM*E"}, lengths=(100,)),
    "nemotron_h_latent": Variant(
        {**without(NEMOTRON_H, "time_step_limit", "hybrid_override_pattern"), **NEMOTRON_SPARSE, "moe_latent_size": 12, "n_group": 4,
         "topk_group": 2, "layers_block_type": ["mamba", "moe", "attention", "moe"], "mlp_bias": True, "use_bias": True,
         "use_conv_bias": False, "conv_kernel": 3}, lengths=(100,)),
    "falcon_h1": Variant(FALCON_H1),
    "falcon_h1_norm": Variant({**FALCON_H1, "mamba_rms_norm": True, "mamba_norm_before_gate": False, "mlp_bias": True,
                               "projectors_bias": True}, lengths=(40, 100)),
    "bamba": Variant(BAMBA, lengths=(100,), positions=True),
    "mamba2": Variant(MAMBA2, lengths=(100,)),
    "mamba": Variant(MAMBA1, lengths=(40, 100)),
    "mamba_bias": Variant({**without(MAMBA1, "time_step_rank", "d_inner", "d_model", "intermediate_size"), "hidden_size": 24,
                           "conv_kernel": 3, "expand": 3, "use_bias": True, "use_conv_bias": False, "tie_word_embeddings": False},
                          "float32", lengths=(100,)),
    "falcon_mamba": Variant(FALCON_MAMBA, lengths=(100,)),
    "gemma4_text": Variant(GEMMA4, embedding=0.3),
    "gemma4_text_moe": Variant(GEMMA4_MOE, embedding=0.3),
    "gemma4_unified_text": Variant(GEMMA4_UNIFIED, embedding=0.3),
    "gemma4": Variant(
        {"architectures": ["Gemma4ForConditionalGeneration"], "model_type": "gemma4", "audio_config": None, "boi_token_id": 61,
         "eoi_token_id": 62, "image_token_id": 60, "video_token_id": 63, "boa_token_id": None, "audio_token_id": None,
         "eos_token_id": [1, 2], "tie_word_embeddings": True, "text_config": text_config(GEMMA4, tie_word_embeddings=True),
         "vision_config": GEMMA4_VISION}, lengths=(40, 100), vocab=60, embedding=0.3),
}

LAYER_NORM = ("rms_norm_eps", "hidden_act")
PHI = small("PhiForCausalLM", "phi", LAYER_NORM, hidden_act="gelu_new", layer_norm_eps=1e-5, num_key_value_heads=None,
            partial_rotary_factor=0.5, qk_layernorm=False, rope_scaling=None, attention_dropout=0.0, embd_pdrop=0.0, resid_pdrop=0.0)
STARCODER2 = small("Starcoder2ForCausalLM", "starcoder2", (*LAYER_NORM, "tie_word_embeddings"), hidden_act="gelu_pytorch_tanh",
                   norm_epsilon=1e-5, norm_type="layer_norm", mlp_type="default", use_bias=True, sliding_window=16,
                   attention_dropout=0.0, embedding_dropout=0.0, residual_dropout=0.0, rope_theta=100000)
GPT_NEOX = small("GPTNeoXForCausalLM", "gpt_neox", (*LAYER_NORM, "num_key_value_heads", "rope_theta"), hidden_act="gelu",
                 layer_norm_eps=1e-5, rotary_emb_base=10000, rotary_pct=0.25, use_parallel_residual=True)
FALCON = {**without(small("FalconForCausalLM", "falcon", LAYER_NORM), "intermediate_size", "num_key_value_heads", "tie_word_embeddings",
                    "rope_theta", "max_position_embeddings"),
          "alibi": False, "attention_dropout": 0.0, "hidden_dropout": 0.0, "bias": False, "layer_norm_epsilon": 1e-5,
          "multi_query": True, "new_decoder_architecture": False, "parallel_attn": True}
STABLELM = small("StableLmForCausalLM", "stablelm", ("rms_norm_eps",), layer_norm_eps=1e-5, num_key_value_heads=4,
                 partial_rotary_factor=0.25, use_qkv_bias=True, qk_layernorm=False, use_parallel_residual=False)
GRANITE_MOE = small("GraniteMoeForCausalLM", "granitemoe", attention_bias=False, attention_dropout=0.0, attention_multiplier=0.25,
                    embedding_multiplier=12.0, logits_scaling=2.0, num_experts_per_tok=2, num_local_experts=6, residual_multiplier=0.5,
                    intermediate_size=24, rope_scaling=None, output_router_logits=False, router_aux_loss_coef=0.01)
DOTS1 = small("Dots1ForCausalLM", "dots1", attention_bias=False, attention_dropout=0.0, first_k_dense_replace=1, head_dim=16,
              moe_intermediate_size=16, moe_layer_freq=1, n_routed_experts=8, n_shared_experts=2, num_experts_per_tok=3, n_group=1,
              topk_group=1, norm_topk_prob=True, routed_scaling_factor=2.5, scoring_func="noaux_tc", topk_method="noaux_tc",
              rope_scaling=None, max_window_layers=2, sliding_window=None, use_sliding_window=False)
HUNYUAN_MOE = small("HunYuanMoEV1ForCausalLM", "hunyuan_v1_moe", attention_bias=False, attention_head_dim=16, head_dim=16,
                    intermediate_size=24, moe_intermediate_size=[24, 24], moe_topk=[2, 2], num_experts=6, num_shared_expert=[1, 1],
                    use_mixed_mlp_moe=True, use_cla=False, use_qk_norm=True, norm_type="rms", pad_token_id=3,
                    rope_scaling={"alpha": 1000.0, "beta_fast": 32, "beta_slow": 1, "factor": 1.0, "mscale": 1.0,
                                  "mscale_all_dim": 1.0, "type": "dynamic"})
NEMOTRON = small("NemotronForCausalLM", "nemotron", LAYER_NORM, attention_bias=False, hidden_act="relu2", mlp_bias=False, norm_eps=1e-5,
                 partial_rotary_factor=0.5, head_dim=16)
ARCEE = small("ArceeForCausalLM", "arcee", attention_bias=False, mlp_bias=False, hidden_act="relu2", head_dim=8,
              rope_scaling={"rope_type": "yarn", "factor": 8.0, "beta_fast": 32.0, "beta_slow": 1.0, "mscale": 1.0,
                            "original_max_position_embeddings": 64})

# Families that attend in every block, each with a part that none of model_variants.py has.
PARTS = {
    "phi": Variant(PHI),
    "phi_qk_layernorm": Variant({**PHI, "qk_layernorm": True, "num_key_value_heads": 2, "layer_norm_eps": 1e-2, "rope_theta": 1000.0,
                                 "partial_rotary_factor": 0.75}, lengths=(40, 100)),
    "starcoder2": Variant(STARCODER2, embedding=0.3),
    "gpt_neox": Variant(GPT_NEOX),
    "gpt_neox_serial": Variant({**GPT_NEOX, "use_parallel_residual": False, "rotary_pct": 1.0, "rotary_emb_base": 1000,
                                "tie_word_embeddings": True}, lengths=(40, 100), embedding=0.3),
    "falcon": Variant(FALCON, embedding=0.3),
    "falcon_new": Variant({**FALCON, "new_decoder_architecture": True, "num_kv_heads": 2}, lengths=(40, 100), embedding=0.3),
    "falcon_serial": Variant({**FALCON, "parallel_attn": False, "multi_query": False, "bias": True, "tie_word_embeddings": False,
                              "ffn_hidden_size": 48}, lengths=(40, 100)),
    "stablelm": Variant(STABLELM),
    "stablelm_parallel": Variant({**STABLELM, "num_key_value_heads": 2, "qk_layernorm": True, "use_parallel_residual": True,
                                  "use_qkv_bias": False, "layer_norm_eps": 1e-2}, lengths=(40, 100)),
    "granitemoe": Variant(GRANITE_MOE, embedding=0.1),
    "granitemoeshared": Variant({**GRANITE_MOE, "architectures": ["GraniteMoeSharedForCausalLM"], "model_type": "granitemoeshared",
                                 "shared_intermediate_size": 48}, lengths=(40, 100), embedding=0.1),
    "dots1": Variant(DOTS1),
    "hunyuan_v1_moe": Variant(HUNYUAN_MOE),
    "nemotron": Variant(NEMOTRON),
    "arcee": Variant(ARCEE),
}

# Families that attend in every block, with norms without weights, gates of what attention puts out, or sinks and a base of the
# rotary embedding for every block.
OLMO = small("OlmoForCausalLM", "olmo", ("rms_norm_eps",), attention_bias=False, attention_dropout=0.0, clip_qkv=None,
             rope_scaling=None, pad_token_id=1)
NANOCHAT = small("NanoChatForCausalLM", "nanochat", ("tie_word_embeddings", "hidden_act"), attention_bias=False, attention_dropout=0.0,
                 final_logit_softcapping=2.0, rope_parameters={"rope_theta": 1000.0, "rope_type": "default"}, hidden_act="relu2")
GRANITE_SWA = small("GraniteSWAForCausalLM", "granite_swa", ("tie_word_embeddings",), attention_bias=False, attention_dropout=0.0,
                    mlp_bias=False, num_hidden_layers=4, attention_multiplier=0.25, embedding_multiplier=12.0, logits_scaling=2.0,
                    residual_multiplier=0.5, sliding_window=8, layer_rope_theta=[0, 1000.0, 100.0, 1000.0])
GRANITE_MOE_SWA = {**without(GRANITE_SWA, "mlp_bias"), "architectures": ["GraniteMoeSWAForCausalLM"], "model_type": "granitemoe_swa",
                   "num_experts_per_tok": 2, "num_local_experts": 6, "intermediate_size": 24, "num_hidden_layers": 2,
                   "layer_types": [S, F], "layer_rope_theta": None, "shared_intermediate_size": 48}
ROUTED = {"num_experts": 8, "num_experts_per_tok": 3, "moe_intermediate_size": 16, "head_dim": 16, "attention_bias": False,
          "attention_dropout": 0.0}
HY_V3 = small("HYV3ForCausalLM", "hy_v3", ("rope_theta",), **ROUTED, num_shared_experts=2, router_scaling_factor=2.0, mlp_bias=False, expert_hidden_dim=16,
              first_k_dense_replace=1, route_norm=True, qk_norm=True,
              mlp_layer_types=["dense", "sparse"], enable_moe_fp32_combine=True,
              rope_parameters={"rope_theta": 1000.0, "rope_type": "default"})
AFMOE = small("AfmoeForCausalLM", "afmoe", **ROUTED, num_hidden_layers=4, num_dense_layers=1, num_shared_experts=1, route_scale=2.0,
              global_attn_every_n_layers=2, sliding_window=8, mup_enabled=True, rope_scaling=None, score_func="sigmoid", n_group=1,
              topk_group=1, route_norm=True)
COHERE2_MOE = small("Cohere2MoeForCausalLM", "cohere2_moe", ("tie_word_embeddings", "rms_norm_eps"), layer_norm_eps=1e-5,
                    attention_bias=False, attention_dropout=0.0, expert_selection_fn="sigmoid", first_k_dense_replace=1, head_dim=16,
                    intermediate_size=24, layer_types=[F, S, S, F], logit_scale=0.25, norm_topk_prob=True, num_experts=8,
                    num_experts_per_tok=3, num_hidden_layers=4, num_shared_experts=2, pad_token_id=0,
                    prefix_dense_intermediate_size=48, prefix_dense_sliding_window_pattern=1, rope_theta=1000.0,
                    shared_expert_combination_strategy="average", sliding_window=8)
# Norms without means, weights that are a softmax over the chosen experts, and windows that no list names.
COHERE2_MOE_SOFTMAX = {**without(COHERE2_MOE, "layer_types", "layer_norm_eps"), "rms_norm_eps": 1e-2, "expert_selection_fn": "softmax",
                       "first_k_dense_replace": 2, "norm_topk_prob": False, "num_hidden_layers": 5, "num_shared_experts": 1,
                       "prefix_dense_intermediate_size": None, "prefix_dense_sliding_window_pattern": 2,
                       "shared_expert_combination_strategy": "sum", "sliding_window_pattern": 2, "tie_word_embeddings": False}
LAGUNA = small("LagunaForCausalLM", "laguna", ("rope_theta",), **ROUTED, gating=True, layer_types=[F, S, S, S], num_hidden_layers=4,
               mlp_layer_types=["dense", "sparse", "sparse", "sparse"], moe_apply_router_weight_on_input=False,
               moe_routed_scaling_factor=2.5, moe_router_logit_softcapping=0.0, num_attention_heads_per_layer=[4, 6, 6, 6],
               shared_expert_intermediate_size=24, sliding_window=8, rope_parameters={
                   "full_attention": {"rope_type": "yarn", "rope_theta": 1000.0, "factor": 4.0, "original_max_position_embeddings": 32,
                                      "beta_fast": 32.0, "beta_slow": 1.0, "partial_rotary_factor": 0.5},
                   "sliding_attention": {"rope_type": "default", "rope_theta": 100.0, "partial_rotary_factor": 1.0}})

KIN = {
    "olmo": Variant(OLMO),
    "olmo_clip": Variant({**OLMO, "clip_qkv": 2.0, "tie_word_embeddings": True, "num_key_value_heads": 4}, lengths=(40, 100),
                         embedding=0.3),
    "nanochat": Variant(NANOCHAT),
    "granite_swa": Variant(GRANITE_SWA, embedding=0.1),
    "granitemoe_swa": Variant(GRANITE_MOE_SWA, embedding=0.1),
    "hy_v3": Variant(HY_V3),
    "afmoe": Variant(AFMOE, embedding=0.3),
    "cohere2_moe": Variant(COHERE2_MOE),
    "cohere2_moe_softmax": Variant(COHERE2_MOE_SOFTMAX, lengths=(40, 100)),
    "laguna": Variant(LAGUNA),
    # As the larger of the published models: a gate for every value, no windows, the same heads everywhere.
    "laguna_element": Variant({**without(LAGUNA, "layer_types", "num_attention_heads_per_layer", "mlp_layer_types", "rope_parameters",
                                         "sliding_window"), "gating": "per-element", "attention_bias": True, "num_hidden_layers": 2},
                              lengths=(40, 100)),
}
