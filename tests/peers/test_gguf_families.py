"""Families with parts of their own as GGUF files: llama.cpp computes what transformers does, and strata reads the same back.

The models are those of tests/golden/model_variants.py with random weights and the beginning of SmolLM2's vocabulary; what the
architecture of llama.cpp fixes, such as which blocks have a window, is set here.
"""
import dataclasses
import json
import shutil

import make_model_goldens as goldens
import numpy as np
import numpy_reference as reference
import pytest

from conftest import find_gguf_package
from test_llama_cpp import TEXT, ask_llama, log_softmax

YARN = {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 64}
TUNED = {"beta_fast": 4.0, "beta_slow": 0.5}
# llama.cpp always cuts the range of yarn to whole dimensions, which GPT-OSS does not: these numbers leave nothing to cut.
WHOLE = {**YARN, "original_max_position_embeddings": 200, "truncate": False}
LLAMA4 = {"attention_chunk_size": 8192, "floor_scale": 8192, "attn_scale": 0.1, "attention_bias": False,
          "no_rope_layers": [], "layer_types": None, "use_qk_norm": True}
LATENT_YARN = {**YARN, "mscale": 0.707, "mscale_all_dim": 0.707}
S, F = "sliding_attention", "full_attention"

FIXED = {
    "gemma2": {"query_pre_attn_scalar": 16},
    "gemma3_text": {"query_pre_attn_scalar": 16, "sliding_window_pattern": 6, "num_hidden_layers": 7},
    "gemma4_text": {"vocab_size_per_layer_input": 512},
    "gemma4_text_moe": {"vocab_size_per_layer_input": 512},
    "gemma4_unified_text": {},
    "olmo2": {"rms_norm_eps": 1e-5, "head_dim": 16},
    "olmo3": {"rope_scaling": YARN},
    "smollm3": {},
    "granite": {},
    "llama_yarn": {"rope_scaling": {**YARN, "attention_factor": 1.3}},
    "qwen3_yarn": {},
    "seed_oss": {},
    "phi3": {"sliding_window": None},
    "phi3_longrope": {"rope_scaling": {"type": "longrope", "long_factor": [1.0, 4.5, 9.25, 10.5, 12.0, 16.0],
                                       "short_factor": [1.0, 1.1875, 1.5, 1.75, 2.0, 2.5]}},
    "glm4": {},
    "ernie4_5": {},
    "ernie4_5_moe": {},
    "ministral3": {"rope_parameters": {**goldens.VARIANTS["ministral3"].config["rope_parameters"], **TUNED}},
    "cohere2": {"head_dim": 16},
    "exaone4": {"num_hidden_layers": 64, "layer_types": [S, S, S, F] * 16},
    "exaone4_global": {},
    "minimax_m2": {},
    "gpt_oss": {"swiglu_limit": 7.0, "rope_theta": 5.0, "rope_scaling": WHOLE},
    "llama4_text": LLAMA4,
    "llama4_text_step2": LLAMA4,
    "qwen2_moe": {},
    "glm4_moe": {},
    "qwen2_5_vl": {"rope_scaling": {"type": "mrope", "mrope_section": [4, 2, 2]}},
    "qwen3_vl": {},
    "qwen3_vl_moe": {},
    "qwen3_next": {"linear_value_head_dim": 8},
    "qwen3_5_text": {},
    "qwen3_5_moe_text": {},
    "mamba": {"intermediate_size": 128},
    "falcon_mamba": {"intermediate_size": 128, "mixer_rms_eps": 1e-5},
    "lfm2": {"block_ff_dim": 120},
    "lfm2_moe": {"routed_scaling_factor": 1.0},
    "deepseek_v2": {"num_hidden_layers": 27, "num_experts_per_tok": 8, "rope_scaling": None},
    "deepseek_v2_q_lora": {"topk_method": "greedy", "n_group": 1, "topk_group": 1, "rope_scaling": LATENT_YARN},
    "deepseek_v3": {},
    "glm_moe_dsa": {"index_head_dim": 128, "index_n_heads": 4},
    "glm4_moe_lite": {"rms_norm_eps": 1e-6},
    # Of the Granite models Mamba-2 has twice the hidden size, which is 64 here.
    "granitemoehybrid": {"mamba_d_head": 32},
    "granitemoehybrid_dense": {"mamba_d_head": 32, "mamba_proj_bias": False, "mamba_conv_bias": True},
    "granitemoehybrid_attention": {"mamba_d_head": 32, "layer_types": ["attention", "attention"], "position_embedding_type": "rope"},
    "granitemoehybrid_dense_attention": {"mamba_d_head": 32, "layer_types": ["attention"] * 3, "mamba_proj_bias": False},
    "bamba": {"mamba_d_head": 32},
    "nemotron_h": {"mamba_num_heads": 6},
    "nemotron_h_moe": {},
    "nemotron_h_latent": {"mlp_bias": False, "use_bias": False, "use_conv_bias": True},
    "mamba2": {"head_dim": 32},
    "granitemoe": {},
    "nemotron": {},
    "arcee": {"head_dim": 16},
    "starcoder2": {"sliding_window": None},
    "stablelm": {},
    "phi": {},
    "jais2": {"head_dim": 16},
    "granitemoeshared": {},
    "gemma": {},
    "cohere": {"head_dim": 16},
    "gpt2": {"n_embd": 64},
    "gpt_bigcode": {"n_embd": 64},
    "olmo": {},
    "olmo_clip": {},
    "afmoe": {"global_attn_every_n_layers": 4},
    "cohere2_moe": {},
    # llama.cpp averages the shared expert and the others, and gives dense blocks before the experts a rotary embedding.
    "cohere2_moe_softmax": {"prefix_dense_sliding_window_pattern": 1, "shared_expert_combination_strategy": "average"},
    "laguna": {},
    "laguna_element": {"attention_bias": False},
}


#: llama.cpp keeps keys and values in float16, which can send a token to another expert where two are nearly alike; one expert a
#: token leaves such a token no other. With this seed no two are for the tokens of the text.
SEEDS = {"llama4_text": 3}
#: Many blocks of random weights make more of what is lost there.
LIMITS = {"deepseek_v2": 5e-4}
VOCABULARY, MARKS = 512, 17  # tokens of the models; the first of them stand for no text


def adjusted(name: str) -> goldens.Variant:
    variant = {**goldens.VARIANTS, **goldens.LATER}[name.removesuffix("_attention")]
    config = dict(variant.config)
    text = config["text_config"] = dict(config["text_config"]) if "text_config" in config else config
    text |= {"vocab_size": VOCABULARY, "hidden_size": 64, **FIXED[name]}
    if text is config:
        del config["text_config"]
    for place, key in enumerate(key for key in config if key.endswith("_token_id") and key.split("_")[0] in ("image", "video", "vision")):
        config[key] = MARKS - 1 - place  # the text has none of these
    if "vision_config" in config and "out_hidden_size" in config["vision_config"]:
        config["vision_config"] = {**config["vision_config"], "out_hidden_size": 64}
    return dataclasses.replace(variant, config={k: v for k, v in config.items() if v is not None or k != "layer_types"})


def write_tokenizer(folder, smollm2):
    """SmolLM2's tokenizer with the merges that make its first tokens: the gguf package reads 49152 of them for seconds."""
    tokenizer = json.loads((smollm2 / "tokenizer.json").read_text())
    kept = tokenizer["model"]["vocab"] = {k: v for k, v in tokenizer["model"]["vocab"].items() if v < VOCABULARY}
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in tokenizer["model"]["merges"]]
    tokenizer["model"]["merges"] = [pair for pair in pairs if "".join(pair) in kept]
    assert all(token["id"] < MARKS for token in tokenizer["added_tokens"])
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    shutil.copy(smollm2 / "tokenizer_config.json", folder)


def make_model(folder, variant: goldens.Variant, smollm2, seed: int):
    import torch
    import transformers
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(variant.config))
    kind = getattr(transformers, variant.config["architectures"][0])
    made = kind._from_config(transformers.AutoConfig.from_pretrained(folder), dtype=torch.float32)
    goldens.random_weights(made, variant, torch.Generator().manual_seed(seed))
    goldens.save(goldens.file_tensors(made, variant), variant, folder)
    write_tokenizer(folder, smollm2)


def content(path) -> tuple[dict, dict]:
    """Metadata and tensors of a GGUF file."""
    find_gguf_package()
    import gguf
    reader = gguf.GGUFReader(path)
    keys = {k: v.contents() for k, v in reader.fields.items() if not k.startswith("GGUF.") and k != "general.name"}
    return keys, {t.name: np.array(t.data) for t in reader.tensors}


def as_floats(dtype: str, values: np.ndarray) -> np.ndarray:
    return reference.from_bf16(values) if dtype == "BF16" else values


def divergence(model, answer, count: int) -> float:
    import torch
    ids = torch.tensor(answer["ids"][None, :count].astype(np.int64))
    with torch.no_grad():
        want = log_softmax(goldens.load(model)(input_ids=ids).logits[0].numpy())
    return float((np.exp(want) * (want - log_softmax(answer["logits"]))).sum(-1).mean())


@pytest.mark.parametrize("name", FIXED)
def test_computes_what_transformers_does(strata, smollm2, tmp_path, name):
    model, dense, again = tmp_path / "model", tmp_path / "dense.gguf", tmp_path / "again.gguf"
    make_model(model, adjusted(name), smollm2, SEEDS.get(name, 1))
    strata.run("convert", model, "-o", dense, "--type", "f32")
    assert divergence(model, ask_llama(dense, tmp_path, 48), 48) < LIMITS.get(name, 1e-4)
    strata.run("convert", dense, "-o", tmp_path / "back")
    strata.run("convert", tmp_path / "back", "-o", again, "--type", "f32")
    (keys, tensors), (keys_again, tensors_again) = content(dense), content(again)
    assert keys == keys_again
    assert list(tensors) == list(tensors_again)
    for tensor, values in tensors.items():
        assert np.array_equal(values, tensors_again[tensor]), tensor
    weights, back = (reference.read_folder(folder) for folder in (model, tmp_path / "back"))
    for tensor in weights.keys() & back.keys():
        assert np.array_equal(as_floats(*weights[tensor]), as_floats(*back[tensor])), tensor


def write_decoded(path, out, kept=None):
    """The file's tensors in float32, but those whose names hold `kept`."""
    find_gguf_package()
    import gguf
    reader = gguf.GGUFReader(path)
    writer = gguf.GGUFWriter(out, reader.fields["general.architecture"].contents())
    for key, field in reader.fields.items():
        if not key.startswith("GGUF.") and key != "general.architecture":
            item = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(key, field.contents(), field.types[0], sub_type=item)
    for tensor in reader.tensors:
        if kept is not None and kept in tensor.name:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
        else:
            writer.add_tensor(tensor.name, np.ascontiguousarray(gguf.dequantize(tensor.data, tensor.tensor_type), np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_what_llama_cpp_rounds_tells_in_convolutions(strata, smollm2, tmp_path):
    """What it multiplies a quantized matrix by has 8 bits, with one scale for 256 numbers. The matrices of LFM2's convolutions make
    and read products of three projections, which have outliers: all that a q4_k file differs by is in llama.cpp, which computes as
    strata does when the same weights are float32, and nearly all of it is in these two."""
    model, out, dense, part = (tmp_path / name for name in ("model", "q4_k.gguf", "dense.gguf", "part.gguf"))
    variant = adjusted("lfm2")
    variant.config.update(hidden_size=256, block_ff_dim=1020, block_multiple_of=256, num_attention_heads=8, num_hidden_layers=6,
                          full_attn_idxs=[2, 4])
    make_model(model, variant, smollm2, 1)
    strata.run("quantize", model, "-o", out, "--method", "rtn", "--no-verify", "--preset", "uniform:q4_k", "--scale", "minmax")
    write_decoded(out, dense)
    text = tmp_path / "text.txt"
    text.write_text(TEXT.read_text()[:20000])
    ours = json.loads(strata.run("eval", out, "--ref", dense, "--text", text, "--seq-len", 128, "--samples", 2, "--json"))
    assert ours["kl_divergence"]["mean"] < 1e-6
    exact = log_softmax(ask_llama(dense, tmp_path, 128)["logits"])

    def lost(path) -> float:
        return float((np.exp(exact) * (exact - log_softmax(ask_llama(path, tmp_path, 128)["logits"]))).sum(-1).mean())

    whole = lost(out)
    shares = {}
    for kept in ("shortconv", "attn_", "ffn_", "token_embd"):
        write_decoded(out, part, kept)
        shares[kept] = lost(part)
    assert shares.pop("shortconv") > 0.8 * whole
    assert sum(shares.values()) < min(0.008, 0.2 * whole)
