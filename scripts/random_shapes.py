"""Shapes of published models: the keys of config.json, and the names and shapes of the tensors that follow from them."""
import sys

LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "rms_norm_eps": 1e-5, "attention_bias": False, "mlp_bias": False}
QWEN2 = {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "rms_norm_eps": 1e-6}
QWEN3_MOE = {"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "rms_norm_eps": 1e-6, "attention_bias": False}
GLM4_MOE = {"architectures": ["Glm4MoeForCausalLM"], "model_type": "glm4_moe", "rms_norm_eps": 1e-5, "attention_bias": True,
            "use_qk_norm": True, "partial_rotary_factor": 0.5}
DELTA = {"rms_norm_eps": 1e-6, "full_attention_interval": 4, "attn_output_gate": True, "linear_conv_kernel_dim": 4,
         "linear_key_head_dim": 128, "linear_value_head_dim": 128, "linear_num_key_heads": 16, "linear_num_value_heads": 32,
         "partial_rotary_factor": 0.25}
QWEN35 = {"architectures": ["Qwen3_5ForCausalLM"], "model_type": "qwen3_5_text"} | DELTA
QWEN35_MOE = {"architectures": ["Qwen3_5MoeForCausalLM"], "model_type": "qwen3_5_moe_text"} | DELTA
DEEPSEEK3 = {"architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", "rms_norm_eps": 1e-6, "q_lora_rank": 1536,
             "kv_lora_rank": 512, "qk_nope_head_dim": 128, "qk_rope_head_dim": 64, "v_head_dim": 128, "moe_intermediate_size": 2048,
             "n_shared_experts": 1, "num_experts_per_tok": 8, "norm_topk_prob": True, "scoring_func": "sigmoid",
             "topk_method": "noaux_tc"}
GLM4_LITE = DEEPSEEK3 | {"architectures": ["Glm4MoeLiteForCausalLM"], "model_type": "glm4_moe_lite", "rms_norm_eps": 1e-5,
                         "q_lora_rank": 768, "qk_nope_head_dim": 192, "v_head_dim": 256, "moe_intermediate_size": 1536,
                         "num_experts_per_tok": 4}
LFM2_MOE = {"architectures": ["Lfm2MoeForCausalLM"], "model_type": "lfm2_moe", "norm_eps": 1e-5, "conv_L_cache": 3, "conv_bias": False,
            "norm_topk_prob": True, "use_expert_bias": True, "routed_scaling_factor": 1.0}

NEMOTRON_H = {"architectures": ["NemotronHForCausalLM"], "model_type": "nemotron_h", "layer_norm_epsilon": 1e-5, "mlp_hidden_act": "relu2",
              "mamba_head_dim": 64, "ssm_state_size": 128, "n_groups": 8, "conv_kernel": 4, "use_conv_bias": True,
              "norm_topk_prob": True, "routed_scaling_factor": 2.5, "n_group": 1, "topk_group": 1, "n_shared_experts": 1}


def sizes(hidden, intermediate, blocks, heads, kv_heads, vocab, tied, theta, positions, head_dim=None):
    return {"hidden_size": hidden, "intermediate_size": intermediate, "num_hidden_layers": blocks, "hidden_act": "silu",
            "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": head_dim or hidden // heads,
            "vocab_size": vocab, "tie_word_embeddings": tied, "rope_theta": theta, "max_position_embeddings": positions}


SHAPES = {
    "tiny": LLAMA | sizes(128, 256, 2, 4, 2, 258, True, 10000.0, 1024),
    "smollm2-135m": LLAMA | sizes(576, 1536, 30, 9, 3, 49152, True, 100000.0, 8192),
    "llama-1b": LLAMA | sizes(2048, 8192, 16, 32, 8, 128256, True, 500000.0, 8192),
    "llama-8b": LLAMA | sizes(4096, 14336, 32, 32, 8, 128256, False, 500000.0, 8192),
    "qwen2.5-1.5b": QWEN2 | sizes(1536, 8960, 28, 12, 2, 151936, True, 1000000.0, 32768),
    "qwen3-30b-a3b": QWEN3_MOE | sizes(2048, 6144, 48, 32, 4, 151936, False, 1000000.0, 40960, head_dim=128) |
    {"num_experts": 128, "num_experts_per_tok": 8, "moe_intermediate_size": 768, "norm_topk_prob": True,
     "decoder_sparse_step": 1, "mlp_only_layers": []},
    "glm-4.6": GLM4_MOE | sizes(5120, 12288, 92, 96, 8, 151552, False, 1000000.0, 202752, head_dim=128) |
    {"n_routed_experts": 160, "num_experts_per_tok": 8, "moe_intermediate_size": 1536, "n_shared_experts": 1,
     "first_k_dense_replace": 3, "norm_topk_prob": True, "routed_scaling_factor": 2.5, "n_group": 1, "topk_group": 1,
     "num_nextn_predict_layers": 1},
    "qwen3.5-9b": QWEN35 | sizes(4096, 12288, 32, 16, 4, 248320, False, 10000000.0, 262144, head_dim=256),
    "qwen3.6-35b-a3b": QWEN35_MOE | sizes(2048, 512, 40, 16, 2, 248320, False, 10000000.0, 262144, head_dim=256) |
    {"num_experts": 256, "num_experts_per_tok": 8, "moe_intermediate_size": 512, "shared_expert_intermediate_size": 512},
    "deepseek-v3": DEEPSEEK3 | sizes(7168, 18432, 61, 128, 128, 129280, False, 10000.0, 163840) |
    {"n_routed_experts": 256, "n_group": 8, "topk_group": 4, "first_k_dense_replace": 3, "routed_scaling_factor": 2.5},
    "kimi-k2": DEEPSEEK3 | sizes(7168, 18432, 61, 64, 64, 163840, False, 50000.0, 131072) |
    {"n_routed_experts": 384, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1, "routed_scaling_factor": 2.827},
    "glm-4.7-flash": GLM4_LITE | sizes(2048, 10240, 47, 20, 20, 154880, False, 1000000.0, 202752) |
    {"n_routed_experts": 64, "n_group": 1, "topk_group": 1, "first_k_dense_replace": 1, "routed_scaling_factor": 1.8},
    "lfm2-8b-a1b": LFM2_MOE | sizes(2048, 7168, 24, 32, 8, 65536, True, 1000000.0, 128000) |
    {"num_experts": 32, "num_experts_per_tok": 4, "moe_intermediate_size": 1792, "num_dense_layers": 2,
     "layer_types": ["full_attention" if block in (2, 6, 10, 14, 18, 21) else "conv" for block in range(24)]},
    "nemotron-3-nano": NEMOTRON_H | sizes(2688, 1856, 52, 32, 2, 131072, False, 10000.0, 262144, head_dim=128) |
    {"mamba_num_heads": 64, "n_routed_experts": 128, "num_experts_per_tok": 6, "moe_intermediate_size": 1856,
     "moe_shared_expert_intermediate_size": 3712,
     "hybrid_override_pattern": "MEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEM*EMEMEMEM*EMEMEMEME"},
}


def matrices(module, **shapes):
    """"module.NAME.weight" of every name."""
    return [(f"{module}.{name}.weight", shape) for name, shape in shapes.items()]


def mlp(module, hidden, size, names=("gate_proj", "up_proj", "down_proj")):
    gate, up, down = names
    return matrices(module, **{gate: (size, hidden), up: (size, hidden), down: (hidden, size)})


def attention(at, config):
    hidden, head_dim, kind = config["hidden_size"], config["head_dim"], config["model_type"]
    q, kv = config["num_attention_heads"] * head_dim, config["num_key_value_heads"] * head_dim
    out, norm = ("out_proj", "layernorm") if kind == "lfm2_moe" else ("o_proj", "norm")
    result = []
    for name, rows, cols in (("q_proj", q * (2 if config.get("attn_output_gate") else 1), hidden), ("k_proj", kv, hidden),
                             ("v_proj", kv, hidden), (out, hidden, q)):
        result.append((f"{at}.self_attn.{name}.weight", (rows, cols)))
        if name != out and (kind == "qwen2" or config.get("attention_bias")):
            result.append((f"{at}.self_attn.{name}.bias", (rows,)))
    if kind in ("qwen3_moe", "lfm2_moe") or config.get("use_qk_norm") or config.get("attn_output_gate"):
        result += [(f"{at}.self_attn.{name}_{norm}.weight", (head_dim,)) for name in "qk"]
    return result


def latent_attention(at, config):
    hidden, heads, q_rank, kv_rank = (config[k] for k in ("hidden_size", "num_attention_heads", "q_lora_rank", "kv_lora_rank"))
    nope, rope, value = (config[k] for k in ("qk_nope_head_dim", "qk_rope_head_dim", "v_head_dim"))
    return matrices(f"{at}.self_attn", q_a_proj=(q_rank, hidden), q_a_layernorm=(q_rank,), q_b_proj=(heads * (nope + rope), q_rank),
                    kv_a_proj_with_mqa=(kv_rank + rope, hidden), kv_a_layernorm=(kv_rank,),
                    kv_b_proj=(heads * (nope + value), kv_rank), o_proj=(hidden, heads * value))


def delta_net(at, config):
    hidden, heads = config["hidden_size"], config["linear_num_value_heads"]
    keys = config["linear_num_key_heads"] * config["linear_key_head_dim"]
    values = heads * config["linear_value_head_dim"]
    return [*matrices(f"{at}.linear_attn", in_proj_qkv=(2 * keys + values, hidden), in_proj_z=(values, hidden),
                      in_proj_b=(heads, hidden), in_proj_a=(heads, hidden), out_proj=(hidden, values),
                      conv1d=(2 * keys + values, 1, config["linear_conv_kernel_dim"]), norm=(config["linear_value_head_dim"],)),
            (f"{at}.linear_attn.A_log", (heads,)), (f"{at}.linear_attn.dt_bias", (heads,))]


def convolution(at, config):
    hidden = config["hidden_size"]
    return matrices(f"{at}.conv", in_proj=(3 * hidden, hidden), conv=(hidden, 1, config["conv_L_cache"]), out_proj=(hidden, hidden))


def mixer(at, block, config):
    if "kv_lora_rank" in config:
        return latent_attention(at, config)
    if "full_attention_interval" in config and (block + 1) % config["full_attention_interval"] != 0:
        return delta_net(at, config)
    if config.get("layer_types", [""] * (block + 1))[block] == "conv":
        return convolution(at, config)
    return attention(at, config)


def mamba(at, config):
    hidden, heads = config["hidden_size"], config["mamba_num_heads"]
    inner, others = heads * config["mamba_head_dim"], 2 * config["n_groups"] * config["ssm_state_size"]
    return [*matrices(at, in_proj=(2 * inner + others + heads, hidden), out_proj=(hidden, inner), norm=(inner,),
                      conv1d=(inner + others, 1, config["conv_kernel"])),
            (f"{at}.conv1d.bias", (inner + others,)), *((f"{at}.{name}", (heads,)) for name in ("A_log", "D", "dt_bias"))]


def part(at, letter, config):
    """The one part of a block of nemotron_h: Mamba-2, attention, or experts without gates."""
    hidden, size, experts = config["hidden_size"], config["moe_intermediate_size"], config["n_routed_experts"]
    if letter == "M":
        return mamba(at, config)
    if letter == "*":
        return [(name.replace("self_attn.", ""), shape) for name, shape in attention(at, config)]
    result = [(f"{at}.gate.weight", (experts, hidden)), (f"{at}.gate.e_score_correction_bias", (experts,))]
    for module, width in ((f"{at}.shared_experts", config["moe_shared_expert_intermediate_size"]),
                          *((f"{at}.experts.{expert}", size) for expert in range(experts))):
        result += matrices(module, up_proj=(width, hidden), down_proj=(hidden, width))
    return result


def tensors_of_parts(config):
    hidden, vocab = config["hidden_size"], config["vocab_size"]
    result = [("backbone.embeddings.weight", (vocab, hidden))]
    for block, letter in enumerate(config["hybrid_override_pattern"]):
        at = f"backbone.layers.{block}"
        result += [(f"{at}.norm.weight", (hidden,)), *part(f"{at}.mixer", letter, config)]
    return [*result, ("backbone.norm_f.weight", (hidden,)), ("lm_head.weight", (vocab, hidden))]


def experts_of(config):
    return config.get("num_experts", config.get("n_routed_experts", 0))


def mixture(at, config):
    hidden, size, experts, kind = config["hidden_size"], config["moe_intermediate_size"], experts_of(config), config["model_type"]
    part, names = ("feed_forward", ("w1", "w3", "w2")) if kind == "lfm2_moe" else ("mlp", ("gate_proj", "up_proj", "down_proj"))
    result = [(f"{at}.{part}.gate.weight", (experts, hidden))]
    if "n_routed_experts" in config:
        result.append((f"{at}.mlp.gate.e_score_correction_bias", (experts,)))
        result += mlp(f"{at}.mlp.shared_experts", hidden, config["n_shared_experts"] * size)
    if kind == "lfm2_moe":
        result.append((f"{at}.feed_forward.expert_bias", (experts,)))
    if "shared_expert_intermediate_size" in config:  # these files hold all experts of a block in stacks
        result += mlp(f"{at}.mlp.shared_expert", hidden, config["shared_expert_intermediate_size"])
        return [*result, (f"{at}.mlp.shared_expert_gate.weight", (1, hidden)),
                (f"{at}.mlp.experts.gate_up_proj", (experts, 2 * size, hidden)),
                (f"{at}.mlp.experts.down_proj", (experts, hidden, size))]
    for expert in range(experts):
        result += mlp(f"{at}.{part}.experts.{expert}", hidden, size, names)
    return result


def feed_forward(at, block, config):
    dense = config.get("first_k_dense_replace", config.get("num_dense_layers", 0))
    if experts_of(config) and block >= dense:
        return mixture(at, config)
    if config["model_type"] == "lfm2_moe":
        return mlp(f"{at}.feed_forward", config["hidden_size"], config["intermediate_size"], ("w1", "w3", "w2"))
    return mlp(f"{at}.mlp", config["hidden_size"], config["intermediate_size"])


def tensors(config):
    """Returns the name and shape of every tensor."""
    if "hybrid_override_pattern" in config:
        return tensors_of_parts(config)
    hidden, blocks, lfm2 = config["hidden_size"], config["num_hidden_layers"], config["model_type"] == "lfm2_moe"
    norms = ("operator_norm", "ffn_norm") if lfm2 else ("input_layernorm", "post_attention_layernorm")
    result = [("model.embed_tokens.weight", (config["vocab_size"], hidden))]
    for block in range(blocks + config.get("num_nextn_predict_layers", 0)):
        at = f"model.layers.{block}"
        result += [(f"{at}.{norm}.weight", (hidden,)) for norm in norms]
        result += mixer(at, block, config) + feed_forward(at, block, config)
        if block >= blocks:  # it predicts the token after the next one, and no forward pass runs it
            result += [(f"{at}.{name}.weight", (hidden,)) for name in ("enorm", "hnorm", "shared_head.norm")]
            result += [(f"{at}.eh_proj.weight", (hidden, 2 * hidden)),
                       *((f"{at}.{name}.weight", (config["vocab_size"], hidden)) for name in ("embed_tokens", "shared_head.head"))]
    result.append(("model.embedding_norm.weight" if lfm2 else "model.norm.weight", (hidden,)))
    if not config["tie_word_embeddings"]:
        result.append(("lm_head.weight", (config["vocab_size"], hidden)))
    return result


def shrunk(shape, blocks=None, experts=None):
    """config.json of the shape with the blocks and experts that were asked for; of two blocks or more the last is a mixture.

    With fewer blocks there is none that predicts the token after the next one."""
    config = dict(SHAPES[shape])
    for option, key, wanted in (("blocks", "num_hidden_layers", blocks), ("experts", "num_experts", experts),
                                ("experts", "n_routed_experts", experts)):
        if wanted is None or key not in config:
            continue
        if not 1 <= wanted <= config[key]:
            sys.exit(f"--{option} {wanted}: {shape} has 1 to {config[key]}")
        config[key] = wanted
    if experts is not None and not experts_of(config):
        sys.exit(f"--experts: {shape} has none")
    if experts_of(config):
        config["num_experts_per_tok"] = min(config["num_experts_per_tok"], experts_of(config))
    if config.get("n_group", 1) * 2 > experts_of(config):
        config |= {"n_group": 1, "topk_group": 1}
    if blocks is not None and "num_nextn_predict_layers" in config:
        config["num_nextn_predict_layers"] = 0
    for key in ("first_k_dense_replace", "num_dense_layers"):
        if key in config:
            config[key] = min(config[key], config["num_hidden_layers"] - 1)
    if "hybrid_override_pattern" in config:
        config["hybrid_override_pattern"] = config["hybrid_override_pattern"][:config["num_hidden_layers"]]
    if "layer_types" in config:
        config["layer_types"] = config["layer_types"][:config["num_hidden_layers"]]
    return config
