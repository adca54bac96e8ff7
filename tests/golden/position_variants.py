"""The tiny models of families like GPT-2: positions that are learned, or that act on scores as distances (ALiBi); see model_variants.py.

Used by make_model_goldens.py alone. As there: what a published config.json leaves out is left out here.
"""
from model_variants import Variant, small, without

#: Llama's keys that none of these files have.
NONE_OF = ("rope_theta", "rms_norm_eps", "hidden_act", "tie_word_embeddings", "num_key_value_heads")
SIZES = ("hidden_size", "num_hidden_layers", "num_attention_heads", "max_position_embeddings", "intermediate_size")
NANO = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 320, "layer_norm_epsilon": 1e-5, "attn_pdrop": 0.1, "embd_pdrop": 0.1,
        "resid_pdrop": 0.1, "initializer_range": 0.02}

OPT = small("OPTForCausalLM", "opt", (*NONE_OF, "intermediate_size"), ffn_dim=48, max_position_embeddings=320, word_embed_proj_dim=32,
            activation_function="relu", do_layer_norm_before=True, _remove_final_layer_norm=False, attention_dropout=0.0, dropout=0.1,
            layerdrop=0.0, init_std=0.02, pad_token_id=1, prefix="</s>")
GPT2 = small("GPT2LMHeadModel", "gpt2", (*NONE_OF, *SIZES), **NANO, n_ctx=320, activation_function="gelu_new",
             summary_type="cls_index", summary_use_proj=True, task_specific_params={"text-generation": {"do_sample": True}})
BIGCODE = small("GPTBigCodeForCausalLM", "gpt_bigcode", (*NONE_OF, *SIZES), **NANO, n_inner=48, activation_function="gelu_pytorch_tanh",
                multi_query=True, attention_softmax_in_fp32=True, scale_attention_softmax_in_fp32=True, scale_attn_weights=True)
GPTJ = small("GPTJForCausalLM", "gptj", (*NONE_OF, *SIZES), **NANO, rotary_dim=4, activation_function="gelu_new", n_inner=None,
             scale_attn_weights=True, rotary=True, tie_word_embeddings=False)
GPT_NEO = {**small("GPTNeoForCausalLM", "gpt_neo", (*NONE_OF, *SIZES)), "hidden_size": 32, "num_layers": 4, "num_heads": 4,
           "max_position_embeddings": 320, "intermediate_size": None, "window_size": 8, "attention_types": [[["global", "local"], 2]],
           "attention_layers": ["global", "local"] * 2, "activation_function": "gelu_new", "layer_norm_epsilon": 1e-5,
           "embed_dropout": 0, "resid_dropout": 0, "attention_dropout": 0}
BLOOM = small("BloomForCausalLM", "bloom", (*NONE_OF, *SIZES), n_embed=32, n_layer=2, num_attention_heads=4, n_inner=None,
              seq_length=320, layer_norm_epsilon=1e-5, apply_residual_connection_post_layernorm=False, attention_dropout=0.0,
              hidden_dropout=0.0, attention_softmax_in_fp32=True, bias_dropout_fusion=True, masked_softmax_fusion=True, offset_alibi=100,
              pretraining_tp=1, skip_bias_add=True, skip_bias_add_qkv=False)
MPT_ATTENTION = {"alibi": True, "alibi_bias_max": 8, "attn_impl": "torch", "attn_pdrop": 0, "attn_type": "multihead_attention",
                 "attn_uses_sequence_id": False, "clip_qkv": None, "prefix_lm": False, "qk_ln": False, "softmax_scale": None}
MPT = small("MptForCausalLM", "mpt", (*NONE_OF, *SIZES, "bos_token_id", "eos_token_id"), d_model=32, n_layers=2, n_heads=4,
            max_seq_len=320, expansion_ratio=4, emb_pdrop=0, resid_pdrop=0, learned_pos_emb=True, logit_scale=None, no_bias=True,
            norm_type="low_precision_layernorm", init_device="cpu", embedding_fraction=1.0, verbose=0,
            attn_config=MPT_ATTENTION)

POSITIONS = {
    "opt": Variant(OPT, embedding=0.3),
    "opt_untied": Variant({**OPT, "activation_function": "gelu", "enable_bias": False, "tie_word_embeddings": False}, lengths=(40, 100)),
    "gpt2": Variant(GPT2, embedding=0.3),
    # openai-community/gpt2 leaves out the name of the model, and keeps the causal mask of every block.
    "gpt2_published": Variant({**GPT2, "n_inner": 48}, "float32", lengths=(40, 100), embedding=0.3, renamed={"transformer.": ""},
                              carried={f"h.{block}.attn.bias": (1, 1, 8, 8) for block in (0, 1)}),
    "gpt_bigcode": Variant(BIGCODE, embedding=0.3),
    "gpt_bigcode_heads": Variant({**BIGCODE, "multi_query": False, "n_inner": None, "activation_function": "gelu"}, lengths=(40, 100),
                                 embedding=0.3),
    "gptj": Variant(GPTJ),
    "gpt_neo": Variant(GPT_NEO, embedding=0.3),
    "bloom": Variant(BLOOM, embedding=0.3),
    "bloom_heads": Variant({**BLOOM, "n_embed": 48, "num_attention_heads": 6}, lengths=(40, 100), embedding=0.3),
    "mpt": Variant(MPT, embedding=0.3),
    "mpt_clip": Variant({**MPT, "d_model": 48, "n_heads": 6,
                         "attn_config": {**MPT_ATTENTION, "clip_qkv": 2.0, "softmax_scale": 0.5}},
                        lengths=(40, 100), embedding=0.3),
}
