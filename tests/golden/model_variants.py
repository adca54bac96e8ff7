"""The tiny models of tests/golden/models: what config.json says of each, as published models write it, and how its file is stored.

Used by make_model_goldens.py alone. Both spellings of the rotary settings occur in the wild: "rope_theta" + "rope_scaling" (with
"type" or "rope_type"), and since transformers 5 "rope_parameters" alone. What a published config.json leaves out is left out here.
"""
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Variant:
    config: dict
    dtype: str = "bfloat16"  # of the file
    shards: int = 1
    lengths: tuple = (300,)  # of the sequences
    embedding: float = 1.0   # standard deviation of the embedding: small where the family multiplies it
    names: str = "published"  # or "modules": names and shapes of transformers' modules, as save_original_format=False leaves them
    source: str = ""         # how the linears are stored: a name of quantized_sources.py; "" as they are
    vocab: int = 0           # ids are drawn below it; 0: from all of the vocabulary
    exact: tuple = ()        # endings of tensors that the file has in float32
    carried: dict = field(default_factory=dict)  # shapes by name of tensors in the file that no logit depends on
    positions: bool = False  # transformers must be told the positions of what it reads after a cache
    run_as: dict = field(default_factory=dict)   # keys of config.json that transformers needs otherwise than the file has them
    renamed: dict = field(default_factory=dict)  # parts of tensors' names as transformers has them, and as the file does
    joined: tuple = ()       # endings of matrices that the file holds as one, key head by key head, and the name of that


BASE = {"vocab_size": 80, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 128, "rope_theta": 10000.0, "rms_norm_eps": 1e-5,
        "hidden_act": "silu", "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2}
LLAMA = {**BASE, "architectures": ["LlamaForCausalLM"], "model_type": "llama", "attention_bias": False, "mlp_bias": False}
MISTRAL = {**BASE, "architectures": ["MistralForCausalLM"], "model_type": "mistral", "sliding_window": None}
QWEN2 = {**BASE, "architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "use_sliding_window": False,
         "sliding_window": 32768, "max_window_layers": 2, "rope_theta": 1000000.0, "rms_norm_eps": 1e-6}
QWEN3 = {**QWEN2, "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "head_dim": 16, "attention_bias": False}
MIXTRAL = {**MISTRAL, "architectures": ["MixtralForCausalLM"], "model_type": "mixtral", "intermediate_size": 32,
           "num_local_experts": 4, "num_experts_per_tok": 2}
QWEN_EXPERTS = {"num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 32, "decoder_sparse_step": 1,
                "norm_topk_prob": True, "mlp_only_layers": []}
QWEN3_MOE = {**QWEN3, **QWEN_EXPERTS, "architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe"}
QWEN2_MOE = {**QWEN2, **QWEN_EXPERTS, "architectures": ["Qwen2MoeForCausalLM"], "model_type": "qwen2_moe", "norm_topk_prob": False,
             "shared_expert_intermediate_size": 48}
OLMOE = {**BASE, "architectures": ["OlmoeForCausalLM"], "model_type": "olmoe", "attention_bias": False, "clip_qkv": None,
         "intermediate_size": 32, "num_experts": 8, "num_experts_per_tok": 3, "norm_topk_prob": False}
GLM4_MOE = {**BASE, "architectures": ["Glm4MoeForCausalLM"], "model_type": "glm4_moe", "attention_bias": True, "head_dim": 16,
            "num_hidden_layers": 3, "moe_intermediate_size": 32, "n_routed_experts": 8, "num_experts_per_tok": 2, "n_shared_experts": 1,
            "first_k_dense_replace": 1, "n_group": 1, "topk_group": 1, "norm_topk_prob": True, "routed_scaling_factor": 2.5,
            "partial_rotary_factor": 0.5, "use_qk_norm": False, "num_nextn_predict_layers": 0}
LLAMA3_SCALING = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                  "original_max_position_embeddings": 64}

# The first families. Their order is their seed: a new one goes to one of the tables below.
NUMBERED = {
    "llama_tied": Variant({**LLAMA, "tie_word_embeddings": True, "num_key_value_heads": 4}, lengths=(40, 40)),
    "llama_untied_sharded": Variant({**LLAMA, "num_hidden_layers": 3}, shards=3, lengths=(40, 40)),
    "llama_mqa_f32": Variant({**LLAMA, "num_key_value_heads": 1, "rms_norm_eps": 1e-2}, "float32", lengths=(40, 7)),
    "llama_head_dim": Variant({**LLAMA, "head_dim": 24}, "float16", lengths=(40, 40)),
    "llama_rope_llama3": Variant({**LLAMA, "rope_theta": 500.0, "rope_scaling": LLAMA3_SCALING}, lengths=(40, 100)),
    "llama_rope_parameters": Variant(
        {**{k: v for k, v in LLAMA.items() if k != "rope_theta"}, "rope_parameters": {**LLAMA3_SCALING, "rope_theta": 500.0}},
        lengths=(40,)),
    "llama_rope_linear": Variant({**LLAMA, "rope_scaling": {"type": "linear", "factor": 4.0}}, "float16", lengths=(40, 40)),
    "llama_rope_dynamic": Variant(
        {**LLAMA, "max_position_embeddings": 32, "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}, lengths=(24, 48, 33)),
    "llama_attention_bias": Variant({**LLAMA, "attention_bias": True}, lengths=(40, 40)),
    "llama_mlp_bias": Variant({**LLAMA, "mlp_bias": True}, lengths=(40, 40)),
    "mistral": Variant({**MISTRAL, "head_dim": 16}, lengths=(40, 40)),
    "mistral_sliding": Variant({**MISTRAL, "sliding_window": 8}, lengths=(40, 9)),
    "qwen2": Variant({**QWEN2, "tie_word_embeddings": True}, lengths=(40, 40)),
    "qwen2_untied_sharded": Variant(QWEN2, "float32", 2, (40,)),
    "qwen3": Variant({**QWEN3, "tie_word_embeddings": True}, lengths=(40, 40)),
    "qwen3_untied": Variant({**QWEN3, "num_key_value_heads": 4}, "float16", lengths=(40,)),
    "mixtral": Variant(MIXTRAL, lengths=(40, 9)),
    "qwen3_moe": Variant(QWEN3_MOE, lengths=(40, 1)),
    "qwen3_moe_sparse": Variant({**QWEN3_MOE, "num_hidden_layers": 4, "decoder_sparse_step": 2, "mlp_only_layers": [3],
                                 "norm_topk_prob": False, "tie_word_embeddings": True}, "float32", 2, (40,)),
    "qwen2_moe": Variant(QWEN2_MOE, lengths=(40, 40)),
    "olmoe": Variant(OLMOE, lengths=(40, 40)),
    "glm4_moe": Variant(GLM4_MOE, lengths=(40, 40)),
    "glm4_moe_groups": Variant({**GLM4_MOE, "n_group": 4, "topk_group": 2, "use_qk_norm": True, "attention_bias": False,
                                "norm_topk_prob": False}, "float16", lengths=(40,)),
}


def small(architecture: str, model_type: str, without: tuple = (), **settings) -> dict:
    """A config of the common keys for sequences of up to 512 tokens, less the keys that this family's files do not have."""
    common = {**BASE, "vocab_size": 64, "intermediate_size": 32, "max_position_embeddings": 512}
    kept = {k: v for k, v in common.items() if k not in without}
    return {**kept, "architectures": [architecture], "model_type": model_type, **settings}


def without(config: dict, *keys: str) -> dict:
    return {k: v for k, v in config.items() if k not in keys}


S, F = "sliding_attention", "full_attention"
YARN = {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 64}
YARN_TUNED = {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 64, "attention_factor": 1.1,
              "beta_fast": 2.0, "beta_slow": 0.25}

GEMMA2 = small("Gemma2ForCausalLM", "gemma2", ("tie_word_embeddings",), hidden_act="gelu_pytorch_tanh",
               hidden_activation="gelu_pytorch_tanh", head_dim=16, query_pre_attn_scalar=24, attn_logit_softcapping=5.0,
               final_logit_softcapping=8.0, sliding_window=8, attention_bias=False, rms_norm_eps=1e-6, cache_implementation="hybrid",
               pad_token_id=0, num_hidden_layers=3)
GEMMA3_TEXT = small("Gemma3ForCausalLM", "gemma3_text", ("tie_word_embeddings", "hidden_act", "rope_theta"),
                    hidden_activation="gelu_pytorch_tanh", head_dim=16, query_pre_attn_scalar=24, attn_logit_softcapping=None,
                    final_logit_softcapping=None, sliding_window=8, attention_bias=False, rms_norm_eps=1e-6, num_hidden_layers=3,
                    cache_implementation="hybrid", pad_token_id=0)
OLMO2 = small("Olmo2ForCausalLM", "olmo2", attention_bias=False, rope_theta=500000.0, rope_scaling=None, rms_norm_eps=1e-2)
OLMO3 = small("Olmo3ForCausalLM", "olmo3", ("rope_theta",), attention_bias=False, rms_norm_eps=1e-6, sliding_window=8,
              num_hidden_layers=4)
SMOLLM3 = small("SmolLM3ForCausalLM", "smollm3", ("tie_word_embeddings", "rope_theta"), attention_bias=False, mlp_bias=False,
                num_hidden_layers=4, rms_norm_eps=1e-6, use_sliding_window=False, sliding_window=None, max_window_layers=28,
                pretraining_tp=2, pad_token_id=4)
GRANITE = small("GraniteForCausalLM", "granite", attention_bias=False, mlp_bias=False, embedding_multiplier=12.0,
                attention_multiplier=0.25, residual_multiplier=0.22, logits_scaling=2.0, rope_scaling=None)
SEED_OSS = small("SeedOssForCausalLM", "seed_oss", head_dim=16, attention_bias=True, attention_out_bias=False, mlp_bias=False,
                 attention_dropout=0.1, residual_dropout=0.1, rope_theta=10000000.0, rope_scaling={"rope_type": "default"},
                 rms_norm_eps=1e-6)
PHI3 = small("Phi3ForCausalLM", "phi3", attention_bias=False, original_max_position_embeddings=512, rope_scaling=None,
             sliding_window=16, embd_pdrop=0.0, resid_pdrop=0.0, attention_dropout=0.0, pad_token_id=4)
GLM4 = small("Glm4ForCausalLM", "glm4", attention_bias=True, head_dim=16, partial_rotary_factor=0.5, pad_token_id=3)
ERNIE = small("Ernie4_5ForCausalLM", "ernie4_5", head_dim=16, use_bias=False, rope_theta=500000.0, tie_word_embeddings=True,
              pad_token_id=0)
MINISTRAL3_ROPE = {"beta_fast": 32.0, "beta_slow": 1.0, "factor": 8.0, "llama_4_scaling_beta": 0.4, "mscale": 1.0, "mscale_all_dim": 1.0,
                   "original_max_position_embeddings": 64, "rope_theta": 1000000.0, "rope_type": "yarn", "type": "yarn"}
MINISTRAL3 = small("Ministral3ForCausalLM", "ministral3", ("rope_theta",), head_dim=16, sliding_window=None, attention_dropout=0.0,
                   rope_parameters=MINISTRAL3_ROPE)
COHERE2 = small("Cohere2ForCausalLM", "cohere2", ("tie_word_embeddings", "rms_norm_eps"), attention_bias=False, layer_norm_eps=1e-5,
                logit_scale=0.25, rope_theta=50000.0, sliding_window=8, num_hidden_layers=4, head_dim=8, pad_token_id=0,
                layer_switch=4, order_of_interleaved_layers="local_attn_first", position_embedding_type="rope_gptj", rotary_pct=1.0,
                use_embedding_sharing=True, use_gated_activation=True, use_parallel_block=True, use_parallel_embedding=False,
                use_qk_norm=False, rope_scaling=None, cache_implementation="hybrid")
EXAONE4 = small("Exaone4ForCausalLM", "exaone4", head_dim=16, num_hidden_layers=4, sliding_window=8, sliding_window_pattern="LLLG",
                layer_types=[S, S, S, F], rope_theta=1000000.0, rope_scaling=LLAMA3_SCALING, attention_dropout=0.0, pad_token_id=0)
MINIMAX_M2 = small("MiniMaxM2ForCausalLM", "minimax_m2", head_dim=16, rotary_dim=8, num_local_experts=8, num_experts_per_tok=2,
                   scoring_func="sigmoid", use_routing_bias=True, use_qk_norm=True, qk_norm_type="per_layer", use_mtp=True,
                   num_mtp_modules=3, mtp_transformer_layers=1, shared_intermediate_size=0, attn_type_list=[1, 1],
                   rope_theta=5000000.0, rms_norm_eps=1e-6, router_aux_loss_coef=0.001)
ERNIE_MOE = small("Ernie4_5_MoeForCausalLM", "ernie4_5_moe", use_bias=False, rope_theta=500000.0, tie_word_embeddings=True,
                  num_hidden_layers=3, moe_num_experts=8, moe_k=3, moe_num_shared_experts=2, moe_intermediate_size=16,
                  moe_layer_start_index=1, moe_layer_end_index=-1, moe_layer_interval=1, moe_use_aux_free=True, moe_gate="topk",
                  moe_capacity=[8, 8, 8], pad_token_id=0)

NEAR = {
    "gemma2": Variant(GEMMA2, embedding=0.3),
    "gemma3_text": Variant({**GEMMA3_TEXT, "rope_theta": 1000000, "rope_local_base_freq": 10000, "sliding_window_pattern": 3,
                            "rope_scaling": {"factor": 8.0, "rope_type": "linear"}}, embedding=0.3),
    "gemma3_text_layer_types": Variant(
        {**GEMMA3_TEXT, "layer_types": [S, F, S], "rms_norm_eps": 1e-2, "tie_word_embeddings": True, "final_logit_softcapping": 8.0,
         "rope_parameters": {S: {"rope_type": "default", "rope_theta": 100.0},
                             F: {"rope_type": "linear", "factor": 4.0, "rope_theta": 10000.0}}}, embedding=0.3, lengths=(40, 100)),
    "olmo2": Variant(OLMO2),
    "olmo3": Variant({**OLMO3, "rope_theta": 500000, "layer_types": [S, S, S, F], "rope_scaling": YARN_TUNED}),
    "olmo3_rope_parameters": Variant(
        {**OLMO3, "rope_parameters": {S: {"rope_type": "default", "rope_theta": 100.0}, F: {**YARN, "rope_theta": 10000.0}}},
        lengths=(40, 100)),
    "smollm3": Variant({**SMOLLM3, "rope_theta": 5000000.0, "no_rope_layers": [1, 1, 1, 0], "no_rope_layer_interval": 4,
                        "layer_types": [F, F, F, F], "rope_scaling": None}, embedding=0.3),
    "smollm3_interval": Variant({**SMOLLM3, "no_rope_layer_interval": 2, "tie_word_embeddings": False,
                                 "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}, lengths=(40, 100)),
    "granite": Variant(GRANITE, embedding=0.1),
    "seed_oss": Variant(SEED_OSS),
    "seed_oss_all_biases": Variant({**SEED_OSS, "attention_out_bias": True, "mlp_bias": True}, lengths=(40, 40)),
    "phi3": Variant(PHI3),
    "phi3_longrope": Variant(
        {**PHI3, "original_max_position_embeddings": 32, "partial_rotary_factor": 0.75, "tie_word_embeddings": True,
         "sliding_window": 262144, "rope_scaling": {"long_factor": [1.0, 4.5, 9.25], "short_factor": [1.0, 1.1875, 1.5],
                                                    "type": "longrope"}}, lengths=(24, 300, 33), embedding=0.3),
    "glm4": Variant(GLM4),
    "ernie4_5": Variant(ERNIE, embedding=0.3),
    "ministral3": Variant(MINISTRAL3),
    "cohere2": Variant(COHERE2),
    "cohere2_bias": Variant({**COHERE2, "attention_bias": True, "layer_norm_eps": 1e-2, "layer_types": [S, F, S, F]}, lengths=(40, 40)),
    "exaone4": Variant(EXAONE4),
    "exaone4_global": Variant({**EXAONE4, "sliding_window": None, "sliding_window_pattern": None, "layer_types": [F, F],
                               "num_hidden_layers": 2, "tie_word_embeddings": True}, lengths=(40, 100), embedding=0.3),
    "llama_yarn": Variant({**small("LlamaForCausalLM", "llama"), "head_dim": 16, "rope_theta": 500.0, "rope_scaling": YARN_TUNED}),
    "mistral_yarn": Variant({**small("MistralForCausalLM", "mistral", ("rope_theta",)), "sliding_window": None, "head_dim": 16,
                             "rope_parameters": {**YARN, "mscale": 1.5, "mscale_all_dim": 0.5, "rope_theta": 10000.0,
                                                 "truncate": False}}, lengths=(40, 100)),
    "qwen2_yarn": Variant({**QWEN2, "vocab_size": 64, "rope_theta": 10000.0,
                           "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}}, lengths=(40, 100)),
    "qwen3_yarn": Variant({**QWEN3, "vocab_size": 64, "rope_theta": 10000.0, "rope_scaling": {"rope_type": "yarn", "factor": 4.0}},
                          lengths=(40, 100)),
    "minimax_m2": Variant(MINIMAX_M2),
    "ernie4_5_moe": Variant(ERNIE_MOE, embedding=0.3),
    "olmoe_clip": Variant({**OLMOE, "vocab_size": 64, "clip_qkv": 1.25}, lengths=(40, 100)),
}

COHERE = small("CohereForCausalLM", "cohere", ("tie_word_embeddings", "rms_norm_eps"), attention_bias=False, layer_norm_eps=1e-5,
               logit_scale=0.25, rope_theta=8000000.0, use_qk_norm=False, pad_token_id=0)
GLM = small("GlmForCausalLM", "glm", ("rms_norm_eps",), attention_bias=True, head_dim=16, partial_rotary_factor=0.5,
            rms_norm_eps=1.5625e-07, pad_token_id=3)
HYPERCLOVAX = small("HyperCLOVAXForCausalLM", "hyperclovax", attention_bias=False, mlp_bias=False, head_dim=8, rope_theta=100000000,
                    embedding_multiplier=10.0, attention_multiplier=0.25, residual_multiplier=0.5, logits_scaling=0.25,
                    use_post_norm=True, rope_scaling=None)
VAULTGEMMA = {**GEMMA2, "architectures": ["VaultGemmaForCausalLM"], "model_type": "vaultgemma", "layer_types": [S, F, S],
              "attn_logit_softcapping": None, "final_logit_softcapping": None}
CWM = small("CwmForCausalLM", "cwm", ("rope_theta",), head_dim=16, sliding_window=8, num_hidden_layers=5, mlp_bias=False,
            rope_parameters={**LLAMA3_SCALING, "rope_theta": 10000.0})
DOTS1 = {**without(GLM4_MOE, "use_qk_norm", "partial_rotary_factor"), "architectures": ["Dots1ForCausalLM"], "model_type": "dots1",
         "vocab_size": 64, "max_position_embeddings": 512, "attention_bias": False, "n_shared_experts": 2, "sliding_window": None,
         "max_window_layers": 3, "scoring_func": "noaux_tc", "topk_method": "noaux_tc", "moe_layer_freq": 1, "pretraining_tp": 1}
SOLAR_OPEN = {**without(GLM4_MOE, "use_qk_norm", "first_k_dense_replace", "num_nextn_predict_layers"), "num_hidden_layers": 2,
              "architectures": ["SolarOpenForCausalLM"], "model_type": "solar_open", "vocab_size": 64, "max_position_embeddings": 512,
              "attention_bias": False, "partial_rotary_factor": 1.0, "rope_theta": 1000000.0,
              "rope_scaling": {**YARN, "type": "yarn"}}
FLEX_OLMO = {**OLMOE, "architectures": ["FlexOlmoForCausalLM"], "model_type": "flex_olmo", "vocab_size": 64,
             "max_position_embeddings": 512, "rope_theta": 500000.0, "num_experts": 4, "pad_token_id": 3}
MELLUM = {**without(QWEN3_MOE, "use_sliding_window", "max_window_layers", "decoder_sparse_step", "mlp_only_layers", "rope_theta"),
          "architectures": ["MellumForCausalLM"], "model_type": "mellum", "vocab_size": 64, "max_position_embeddings": 512,
          "num_hidden_layers": 3, "sliding_window": 8, "layer_types": [S, F, S], "mlp_layer_types": ["sparse"] * 3,
          "rope_parameters": {S: {"rope_type": "default", "rope_theta": 10000.0}, F: {**YARN, "rope_theta": 500000.0}}}
PHIMOE = small("PhiMoEForCausalLM", "phimoe", attention_bias=True, attention_dropout=0.0, hidden_dropout=0.0,
               input_jitter_noise=0.01, lm_head_bias=True, num_experts_per_tok=2, num_local_experts=6,
               original_max_position_embeddings=64, router_jitter_noise=0.2, sliding_window=16,
               rope_scaling={"long_factor": [1.0, 1.5, 2.5, 4.0], "long_mscale": 1.5, "original_max_position_embeddings": 64,
                             "short_factor": [1.0, 1.5, 2.5, 4.0], "short_mscale": 1.25, "type": "longrope"})
EXAONE_MOE = {**EXAONE4, **{k: GLM4_MOE[k] for k in ("moe_intermediate_size", "num_experts_per_tok", "first_k_dense_replace", "n_group",
                                                     "topk_group", "norm_topk_prob", "routed_scaling_factor")},
              "architectures": ["ExaoneMoeForCausalLM"], "model_type": "exaone_moe", "num_experts": 8, "num_shared_experts": 1,
              "scoring_func": "sigmoid", "mlp_layer_types": ["dense", "sparse", "sparse", "sparse"], "rope_scaling": None}

APERTUS = small("ApertusForCausalLM", "apertus", ("hidden_act",), hidden_act="xielu", attention_bias=False, attention_dropout=0.0,
                mlp_bias=False, post_norm=False, qk_norm=True, pad_token_id=3, rope_theta=500.0, rope_scaling=LLAMA3_SCALING)
JAIS2 = small("Jais2ForCausalLM", "jais2", ("rms_norm_eps", "hidden_act"), hidden_act="relu2", layer_norm_eps=1e-2, attention_bias=True,
              attention_dropout=0.0, mlp_bias=True, head_dim=8, rope_theta=500.0)

# Families of which each is a row of the family table and nothing more.
# Families whose own code is not in transformers, which runs them by a class that computes the same.
AS_LLAMA = {"model_type": "llama", "architectures": ["LlamaForCausalLM"]}
EXAONE = {**small("ExaoneForCausalLM", "exaone", ("rms_norm_eps", "hidden_act", "num_hidden_layers")),
          "num_layers": 2, "layer_norm_epsilon": 1e-2, "activation_function": "silu", "embed_dropout": 0.0,
          "rope_theta": 1000000.0, "rope_scaling": LLAMA3_SCALING, "tie_word_embeddings": False}
INTERNLM2 = small("InternLM2ForCausalLM", "internlm2", bias=True, rope_theta=1000000,
                  rope_scaling={"factor": 2.0, "type": "dynamic"}, attn_implementation="eager")
MINICPM = small("MiniCPMForCausalLM", "minicpm", scale_emb=12, scale_depth=1.4, dim_model_base=16)
MIMO = small("MiMoForCausalLM", "mimo", attention_bias=True, head_dim=16, num_nextn_predict_layers=1, rope_theta=640000,
             use_sliding_window=False, sliding_window=32768, max_window_layers=2)
HUNYUAN = small("HunYuanDenseV1ForCausalLM", "hunyuan_v1_dense", attention_bias=False, attention_head_dim=16, head_dim=16,
                use_qk_norm=True, use_cla=False, norm_type="rms", pad_token_id=3,
                rope_scaling={"alpha": 1000.0, "beta_fast": 32, "beta_slow": 1, "factor": 1.0, "mscale": 1.0,
                              "mscale_all_dim": 1.0, "type": "dynamic"})
# Latent attention in dense models: head sizes differ (8 + 8 for scores, 12 for values), so that no two can be mixed up.
MLA = {"kv_lora_rank": 16, "q_lora_rank": 24, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8, "v_head_dim": 12,
       "num_key_value_heads": 4, "attention_bias": False, "attention_dropout": 0.0}

ROWS = {
    "cohere": Variant(COHERE, embedding=0.3),
    "glm": Variant(GLM),
    "helium": Variant(small("HeliumForCausalLM", "helium", head_dim=8, attention_bias=False, mlp_bias=False, rms_norm_eps=1e-8,
                            rope_theta=100000.0, pad_token_id=3)),
    "internlm3": Variant(small("InternLM3ForCausalLM", "internlm3", head_dim=16, qkv_bias=True, bias=True, rope_theta=50000000,
                               rope_scaling={"factor": 6.0, "rope_type": "dynamic"}, pad_token_id=2), lengths=(40, 100)),
    "iquestcoder": Variant(small("IQuestCoderForCausalLM", "iquestcoder", head_dim=16, attention_bias=False, mlp_bias=False,
                                 rope_theta=500000.0, clip_qkv=None, use_sliding_window=False), lengths=(40, 100)),
    "hyperclovax": Variant(HYPERCLOVAX, embedding=0.1),
    "vaultgemma": Variant(VAULTGEMMA, embedding=0.3),
    "cwm": Variant(CWM),
    "dots1": Variant(DOTS1),
    "solar_open": Variant(SOLAR_OPEN),
    "flex_olmo": Variant(FLEX_OLMO),
    "mellum": Variant(MELLUM),
    "exaone_moe": Variant(EXAONE_MOE),
    # transformers takes the short factors beyond the original length too; here both are the same.
    "phimoe": Variant(PHIMOE, lengths=(40, 100)),
    "exaone": Variant(EXAONE, lengths=(40, 100), run_as={**AS_LLAMA, "num_hidden_layers": 2, "rms_norm_eps": 1e-2}, renamed={
        "model.layers.": "transformer.h.", "self_attn.o_proj": "attn.attention.out_proj", "self_attn.": "attn.attention.",
        "gate_proj": "c_fc_0", "up_proj": "c_fc_1", "down_proj": "c_proj", "input_layernorm": "ln_1",
        "post_attention_layernorm": "ln_2", "model.embed_tokens": "transformer.wte", "model.norm": "transformer.ln_f"}),
    "internlm2": Variant(INTERNLM2, lengths=(40, 100), run_as={**AS_LLAMA, "attention_bias": True}, joined=("q_proj", "k_proj", "v_proj", "wqkv"), renamed={
        "self_attn.o_proj": "attention.wo", "self_attn.": "attention.", "mlp.": "feed_forward.", "gate_proj": "w1", "up_proj": "w3",
        "down_proj": "w2", "input_layernorm": "attention_norm", "post_attention_layernorm": "ffn_norm",
        "embed_tokens": "tok_embeddings", "lm_head": "output"}),
    "minicpm": Variant(MINICPM, embedding=0.1, run_as={
        **AS_LLAMA, "model_type": "granite", "architectures": ["GraniteForCausalLM"], "embedding_multiplier": 12,
        "residual_multiplier": 1.4 / 2**0.5, "attention_multiplier": 8**-0.5, "logits_scaling": 2.0}),
    "mimo": Variant(MIMO, run_as={"model_type": "qwen2", "architectures": ["Qwen2ForCausalLM"]},
                    carried={"model.mtp_layers.0.input_proj.weight": (32, 64), "model.mtp_layers.0.mlp.down_proj.weight": (32, 64)}),
    "hunyuan_v1_dense": Variant(HUNYUAN, lengths=(40, 100)),
    "ministral": Variant(small("MinistralForCausalLM", "ministral", head_dim=16, layer_types=[S, F], sliding_window=16), lengths=(100,)),
    "youtu": Variant(small("YoutuForCausalLM", "youtu", **MLA, rope_theta=1000.0, rope_interleave=True, rope_scaling=None,
                           mlp_bias=False), lengths=(100,)),
    "minicpm3": Variant(small("MiniCPM3ForCausalLM", "minicpm3", **MLA, scale_emb=12, scale_depth=1.4, dim_model_base=16,
                              rope_scaling=None), lengths=(100,), embedding=0.1),
    "llama_odd": Variant({**LLAMA, "vocab_size": 257, "hidden_size": 48, "intermediate_size": 100, "num_hidden_layers": 1,
                          "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 20, "tie_word_embeddings": True}, "float16", 2,
                         (40,), 0.3),
    "qwen3_moe_one": Variant({**QWEN3_MOE, "num_experts": 1, "num_experts_per_tok": 1, "num_hidden_layers": 1}, lengths=(40,)),
    "apertus": Variant(APERTUS, lengths=(100,)),
    "jais2": Variant(JAIS2, lengths=(100,)),
    "gemma": Variant(small("GemmaForCausalLM", "gemma", ("tie_word_embeddings", "hidden_act"), hidden_act="gelu", hidden_activation=None,
                           head_dim=16, attention_bias=False, rms_norm_eps=1e-6, pad_token_id=0), embedding=0.3),
}

C = "chunked_attention"
GPT_OSS = small("GptOssForCausalLM", "gpt_oss", attention_bias=True, attention_dropout=0.0, head_dim=16, num_local_experts=4,
                num_experts_per_tok=2, experts_per_token=2, initial_context_length=64, layer_types=[S, F], sliding_window=8,
                swiglu_limit=2.0, rope_theta=150000, rope_scaling={**YARN, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False},
                router_aux_loss_coef=0.9, output_router_logits=False, pad_token_id=3)
LLAMA4 = small("Llama4ForCausalLM", "llama4_text", head_dim=16, intermediate_size_mlp=48, num_hidden_layers=4, num_local_experts=4,
               num_experts_per_tok=1, interleave_moe_layer_step=1, use_qk_norm=True, attention_chunk_size=48, no_rope_layers=[],
               attn_temperature_tuning=True, floor_scale=16, attn_scale=0.3, attention_bias=False, rope_theta=500000.0,
               rope_scaling={"rope_type": "llama3", "factor": 16.0, "low_freq_factor": 1.0, "high_freq_factor": 1.0,
                             "original_max_position_embeddings": 64}, for_llm_compressor=False, output_router_logits=False,
               router_aux_loss_coef=0.001, router_jitter_noise=0.0, pad_token_id=3)
# Maverick's shape: every second block has experts, no norm of q and k, and the list of blocks without rope is spelled out.
LLAMA4_STEP2 = {**LLAMA4, "interleave_moe_layer_step": 2, "use_qk_norm": False, "no_rope_layers": [1, 0, 1, 0],
                "layer_types": [C, F, C, F], "attention_bias": True}

EXPERTS = {
    "gpt_oss": Variant(GPT_OSS),
    "llama4_text": Variant(LLAMA4),
    "llama4_text_step2": Variant(LLAMA4_STEP2, lengths=(40, 100)),
    "mixtral_packed": Variant(MIXTRAL, lengths=(40,), names="modules"),
    "qwen2_moe_packed": Variant(QWEN2_MOE, lengths=(40,), names="modules"),
    "qwen3_moe_packed": Variant(QWEN3_MOE, lengths=(40,), names="modules"),
    "olmoe_packed": Variant(OLMOE, lengths=(40,), names="modules"),
    "glm4_moe_packed": Variant(GLM4_MOE, lengths=(40,), names="modules"),
}


def text_config(config: dict, **settings) -> dict:
    return {**without(config, "architectures"), **settings}


QWEN_VISION = {"depth": 1, "hidden_size": 16, "out_hidden_size": 32, "intermediate_size": 24, "num_heads": 2, "in_channels": 3,
               "patch_size": 2, "spatial_merge_size": 2, "temporal_patch_size": 2}
QWEN_IDS = {"image_token_id": 60, "video_token_id": 61, "vision_start_token_id": 62, "vision_end_token_id": 63}
QWEN25_VISION = {**QWEN_VISION, "model_type": "qwen2_5_vl", "fullatt_block_indexes": [0], "window_size": 8, "tokens_per_second": 2,
                 "hidden_act": "silu"}
QWEN25_TEXT = small("Qwen2_5_VLForConditionalGeneration", "qwen2_5_vl", use_sliding_window=False, sliding_window=32768,
                    max_window_layers=2, rope_theta=1000000.0, rms_norm_eps=1e-6, attention_dropout=0.0,
                    rope_scaling={"type": "mrope", "mrope_section": [2, 1, 1]})
QWEN3_VISION = {**QWEN_VISION, "deepstack_visual_indexes": [0], "num_position_embeddings": 16, "hidden_act": "gelu_pytorch_tanh"}
QWEN3_VL_TEXT = text_config(small("", "qwen3_vl_text"), head_dim=16, attention_bias=False, attention_dropout=0.0, rms_norm_eps=1e-6,
                            rope_theta=5000000, rope_scaling={"mrope_interleaved": True, "mrope_section": [4, 2, 2],
                                                              "rope_type": "default"})
QWEN3_VL_MOE_TEXT = {**QWEN3_VL_TEXT, "model_type": "qwen3_vl_moe_text", "num_experts": 8, "num_experts_per_tok": 2,
                     "moe_intermediate_size": 24, "decoder_sparse_step": 1, "mlp_only_layers": [], "norm_topk_prob": True}
PIXTRAL = {"model_type": "pixtral", "hidden_size": 16, "head_dim": 8, "intermediate_size": 24, "num_attention_heads": 2,
           "num_hidden_layers": 1, "num_channels": 3, "image_size": 16, "patch_size": 4, "hidden_act": "gelu", "rope_theta": 10000.0,
           "attention_dropout": 0.0}
MISTRAL3 = {"architectures": ["Mistral3ForConditionalGeneration"], "model_type": "mistral3", "image_token_index": 60,
            "multimodal_projector_bias": False, "projector_hidden_act": "gelu", "spatial_merge_size": 2, "vision_feature_layer": -1,
            "vision_config": PIXTRAL}
SIGLIP = {"model_type": "siglip_vision_model", "hidden_size": 16, "image_size": 16, "intermediate_size": 24, "num_attention_heads": 2,
          "num_hidden_layers": 1, "patch_size": 4, "vision_use_head": False}
LLAMA4_VISION = {"model_type": "llama4_vision_model", "hidden_size": 16, "intermediate_size": 64, "num_attention_heads": 2,
                 "num_hidden_layers": 1, "num_channels": 3, "image_size": 16, "patch_size": 4, "pixel_shuffle_ratio": 0.5,
                 "projector_input_dim": 16, "projector_output_dim": 16, "vision_output_dim": 16, "rope_theta": 10000.0}

# A text model within a model of more: text_config or, in the old Qwen files, its settings at the top level.
GLM_IDS = {"image_token_id": 60, "video_token_id": 61, "image_start_token_id": 62, "image_end_token_id": 63,
           "video_start_token_id": 61, "video_end_token_id": 63}
GLM_VISION = {**QWEN_VISION, "image_size": 8, "model_type": "glm4v_vision", "rms_norm_eps": 1e-5}
GLM4V_TEXT = text_config(small("", "glm4v_text", ("tie_word_embeddings", "rope_theta"), attention_bias=True, rms_norm_eps=1e-2,
                               partial_rotary_factor=0.5, rope_theta=1000.0, rope_scaling={"type": "default", "mrope_section": [1, 1, 0]}))
GLM4V_MOE_TEXT = text_config(small("", "glm4v_moe_text", ("tie_word_embeddings", "rope_theta"), head_dim=16, n_routed_experts=8,
                                   num_experts_per_tok=2, n_shared_experts=1, first_k_dense_replace=1, n_group=1, topk_group=1,
                                   moe_intermediate_size=24, norm_topk_prob=True, routed_scaling_factor=2.5, use_qk_norm=False,
                                   rope_theta=1000.0, rope_scaling={"type": "default", "mrope_section": [2, 1, 1]}))

CLIP = {"model_type": "clip_vision_model", "hidden_size": 16, "image_size": 16, "intermediate_size": 24, "num_attention_heads": 2,
        "num_hidden_layers": 2, "patch_size": 4, "projection_dim": 16}
LLAVA = {"image_token_index": 60, "projector_hidden_act": "gelu", "vision_feature_layer": -2, "vision_feature_select_strategy": "default",
         "tie_word_embeddings": False, "vision_config": CLIP}
IDEFICS_VISION = {**without(SIGLIP, "vision_use_head"), "model_type": "idefics3_vision"}
INTERNVL_VISION = {**without(SIGLIP, "vision_use_head"), "model_type": "internvl_vision", "image_size": [16, 16], "patch_size": [4, 4]}
OMNI_AUDIO = {"d_model": 16, "encoder_attention_heads": 2, "encoder_ffn_dim": 24, "encoder_layers": 1, "num_mel_bins": 8, "n_window": 4,
              "output_dim": 32, "max_source_positions": 32}
OMNI_IDS = {"audio_token_id": 61, "image_token_id": 60, "video_token_id": 62, "audio_token_index": 61, "image_token_index": 60,
            "video_token_index": 62}
LLAMA_TEXT = text_config(small("", "llama", ("tie_word_embeddings",)))

WRAPPERS = {
    "llava": Variant({"architectures": ["LlavaForConditionalGeneration"], "model_type": "llava", **LLAVA,
                      "text_config": without(LLAMA_TEXT, "model_type")}, lengths=(40,), vocab=60),
    "llava_next": Variant({"architectures": ["LlavaNextForConditionalGeneration"], "model_type": "llava_next", **LLAVA,
                           "image_grid_pinpoints": [[16, 32]], "use_image_newline_parameter": True,
                           "text_config": {**LLAMA_TEXT, "model_type": "mistral", "sliding_window": None}}, lengths=(40,), vocab=60),
    "internvl": Variant({"architectures": ["InternVLForConditionalGeneration"], "model_type": "internvl", "image_token_id": 60,
                         "downsample_ratio": 0.5, "image_seq_length": 4, "vision_config": INTERNVL_VISION,
                         "text_config": text_config(without(QWEN2, "tie_word_embeddings"), vocab_size=64)}, lengths=(40,), vocab=60,
                        embedding=0.3),
    "paligemma": Variant({"architectures": ["PaliGemmaForConditionalGeneration"], "model_type": "paligemma", "image_token_index": 60,
                          "projection_dim": 32, "hidden_size": 32, "vocab_size": 64, "bos_token_id": 2, "eos_token_id": 1,
                          "pad_token_id": 0, "vision_config": {**SIGLIP, "projection_dim": 32},
                          "text_config": {"model_type": "gemma", "hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4,
                                          "num_hidden_layers": 2, "num_image_tokens": 16, "num_key_value_heads": 1, "vocab_size": 64,
                                          "head_dim": 16}}, lengths=(40,), vocab=60, embedding=0.3),
    "idefics3": Variant({"architectures": ["Idefics3ForConditionalGeneration"], "model_type": "idefics3", "image_token_id": 60,
                         "scale_factor": 2, "tie_word_embeddings": False, "text_config": LLAMA_TEXT, "vision_config": IDEFICS_VISION},
                        lengths=(40,), vocab=60),
    "smolvlm": Variant({"architectures": ["SmolVLMForConditionalGeneration"], "model_type": "smolvlm", "image_token_id": 60,
                        "scale_factor": 2, "tie_word_embeddings": False, "text_config": LLAMA_TEXT,
                        "vision_config": {**IDEFICS_VISION, "model_type": "smolvlm_vision"}}, lengths=(40,), vocab=60),
    "aya_vision": Variant({"architectures": ["AyaVisionForConditionalGeneration"], "model_type": "aya_vision", "image_token_index": 60,
                           "downsample_factor": 2, "vision_config": SIGLIP,
                           # transformers' class leaves the scale of the text model's logits out; vLLM's has it.
                           "text_config": text_config(COHERE2, logit_scale=1.0)},
                          lengths=(40,), vocab=60, embedding=0.3),
    "qwen2_5_omni": Variant({"architectures": ["Qwen2_5OmniThinkerForConditionalGeneration"], "model_type": "qwen2_5_omni_thinker",
                             **OMNI_IDS, "position_id_per_seconds": 25, "seconds_per_chunk": 2, "tie_word_embeddings": False,
                             "audio_config": {"model_type": "qwen2_5_omni_audio_encoder", **OMNI_AUDIO},
                             "text_config": text_config(QWEN25_TEXT, model_type="qwen2_5_omni_text", rope_scaling={
                                 "mrope_section": [2, 1, 1], "rope_type": "default", "type": "default"}),
                             "vision_config": {**QWEN25_VISION, "model_type": "qwen2_5_omni_vision_encoder"}},
                            lengths=(40,), vocab=60),
    "qwen3_omni_moe": Variant({"architectures": ["Qwen3OmniMoeThinkerForConditionalGeneration"], "model_type": "qwen3_omni_moe_thinker",
                               **OMNI_IDS, "position_id_per_seconds": 13, "tie_word_embeddings": False,
                               "audio_config": {"model_type": "qwen3_omni_moe_audio_encoder", **OMNI_AUDIO, "downsample_hidden_size": 8,
                                                "conv_chunksize": 4, "n_window_infer": 8},
                               "text_config": {**QWEN3_VL_MOE_TEXT, "model_type": "qwen3_omni_moe_text", "num_experts": 4},
                               "vision_config": {**QWEN3_VISION, "model_type": "qwen3_omni_moe_vision_encoder"}},
                              lengths=(40,), vocab=60),
    "glm4v": Variant({"architectures": ["Glm4vForConditionalGeneration"], "model_type": "glm4v", **GLM_IDS, "tie_word_embeddings": False,
                      "text_config": GLM4V_TEXT, "vision_config": GLM_VISION}, vocab=60),
    "glm4v_moe": Variant({"architectures": ["Glm4vMoeForConditionalGeneration"], "model_type": "glm4v_moe", **GLM_IDS,
                          "tie_word_embeddings": False, "text_config": GLM4V_MOE_TEXT,
                          "vision_config": {**GLM_VISION, "model_type": "glm4v_moe_vision"}}, vocab=60),
    "qwen2_5_vl": Variant({**QWEN25_TEXT, **QWEN_IDS, "vision_config": QWEN25_VISION}, lengths=(100,), vocab=60),
    "qwen2_5_vl_text_config": Variant(
        {"architectures": ["Qwen2_5_VLForConditionalGeneration"], "model_type": "qwen2_5_vl", **QWEN_IDS, "tie_word_embeddings": True,
         "text_config": text_config(QWEN25_TEXT, model_type="qwen2_5_vl_text", tie_word_embeddings=True),
         "vision_config": QWEN25_VISION}, lengths=(40,), vocab=60, names="modules", embedding=0.3),
    "exaone4_5": Variant(
        {"architectures": ["Exaone4_5_ForConditionalGeneration"], "model_type": "exaone4_5", "image_token_id": 60, "video_token_id": 61,
         "tie_word_embeddings": False, "text_config": text_config(EXAONE4, model_type="exaone4_5_text"),
         "vision_config": {**without(QWEN25_VISION, "tokens_per_second"), "model_type": "exaone4_5_vision", "num_key_value_heads": 1}},
        lengths=(100,), vocab=60),
    "qwen3_vl": Variant(
        {"architectures": ["Qwen3VLForConditionalGeneration"], "model_type": "qwen3_vl", **QWEN_IDS, "tie_word_embeddings": True,
         "text_config": {**QWEN3_VL_TEXT, "tie_word_embeddings": True}, "vision_config": {**QWEN3_VISION, "model_type": "qwen3_vl"}},
        lengths=(100,), vocab=60, embedding=0.3),
    "qwen3_vl_moe": Variant(
        {"architectures": ["Qwen3VLMoeForConditionalGeneration"], "model_type": "qwen3_vl_moe", **QWEN_IDS,
         "tie_word_embeddings": False, "text_config": without(QWEN3_VL_MOE_TEXT, "tie_word_embeddings"),
         "vision_config": {**QWEN3_VISION, "model_type": "qwen3_vl_moe"}}, vocab=60),
    "mistral3": Variant(
        {**MISTRAL3, "tie_word_embeddings": False,
         "text_config": text_config(small("", "mistral", ("tie_word_embeddings", "bos_token_id", "eos_token_id")), head_dim=16,
                                    sliding_window=None, attention_dropout=0.0, rope_theta=1000000000.0)}, lengths=(100,), vocab=60),
    "mistral3_ministral3": Variant(
        {**MISTRAL3, "tie_word_embeddings": True, "text_config": text_config(MINISTRAL3, tie_word_embeddings=True)}, vocab=60,
        embedding=0.3),
    "gemma3": Variant(
        {"architectures": ["Gemma3ForConditionalGeneration"], "model_type": "gemma3", "boi_token_index": 61, "eoi_token_index": 62,
         "image_token_index": 60, "mm_tokens_per_image": 4, "eos_token_id": [1, 2], "initializer_range": 0.02,
         "text_config": {"model_type": "gemma3_text", "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 6,
                         "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "vocab_size": 64, "sliding_window": 16,
                         "rope_scaling": {"factor": 8.0, "rope_type": "linear"}},
         "vision_config": SIGLIP}, vocab=60, embedding=0.3),
    "llama4": Variant(
        {"architectures": ["Llama4ForConditionalGeneration"], "model_type": "llama4", "boi_token_index": 61, "eoi_token_index": 62,
         "image_token_index": 60, "tie_word_embeddings": False,
         "text_config": text_config(LLAMA4, num_hidden_layers=2, no_rope_layer_interval=2), "vision_config": LLAMA4_VISION}, vocab=60),
}


FP8_BLOCKS = {"activation_scheme": "dynamic", "fmt": "e4m3", "quant_method": "fp8", "weight_block_size": [128, 128]}
FP8_ROWS = {"num_bits": 8, "type": "float", "strategy": "channel", "symmetric": True, "dynamic": False}
FP8_TOKENS = {"num_bits": 8, "type": "float", "strategy": "token", "symmetric": True, "dynamic": True}

# Sizes that are no multiples of 128: each matrix has a whole block and a part of one, or a part alone.
SOURCES = {
    "qwen3_fp8": Variant(
        {**QWEN3, "vocab_size": 64, "hidden_size": 160, "intermediate_size": 192, "head_dim": 48, "num_hidden_layers": 1,
         "quantization_config": FP8_BLOCKS},
        lengths=(100,), source="fp8_blocks_bf16"),
    "minimax_m2_fp8": Variant(
        {**MINIMAX_M2, "hidden_size": 144, "intermediate_size": 136, "num_hidden_layers": 1, "num_local_experts": 4,
         "attn_type_list": [1], "head_dim": 32, "rotary_dim": 16,
         "quantization_config": {**FP8_BLOCKS, "fmt": "float8_e4m3fn",
                                 "modules_to_not_convert": ["gate", "e_score_correction_bias", "lm_head"]}},
        lengths=(100,), source="fp8_blocks"),
    "ministral3_fp8": Variant(
        {**MISTRAL3, "tie_word_embeddings": False, "text_config": text_config(MINISTRAL3),
         "quantization_config": {"activation_scheme": "static", "dequantize": False, "quant_method": "fp8", "weight_block_size": None,
                                 "modules_to_not_convert": ["model.vision_tower", "model.multi_modal_projector", "lm_head"]}},
        lengths=(100,), vocab=60, source="fp8_tensor"),
    "qwen3_fp8_channel": Variant(
        {**QWEN3, "vocab_size": 64,
         "quantization_config": {"quant_method": "compressed-tensors", "format": "float-quantized",
                                 "quantization_status": "compressed", "ignore": ["lm_head"], "kv_cache_scheme": None,
                                 "config_groups": {"group_0": {"targets": ["Linear"], "weights": FP8_ROWS,
                                                               "input_activations": FP8_TOKENS, "output_activations": None}}}},
        lengths=(100,), source="fp8_channel"),
    "gpt_oss_mxfp4": Variant(
        {**GPT_OSS, "hidden_size": 64,
         "quantization_config": {"quant_method": "mxfp4", "modules_to_not_convert": [
             "model.layers.*.self_attn", "model.layers.*.mlp.router", "model.embed_tokens", "lm_head"]}},
        lengths=(100,), source="mxfp4"),
}

VARIANTS = {**NUMBERED, **NEAR, **ROWS, **EXPERTS, **WRAPPERS, **SOURCES}
