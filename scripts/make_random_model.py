#!/usr/bin/env python3
"""Writes a random model of a known shape as a Hugging Face folder: for trying sizes, times and memory without a download.

    scripts/make_random_model.py llama-8b OUT [--blocks 2] [--seed 0] [--shard-gb 5]
    scripts/make_random_model.py glm-4.6 OUT --holes      # 715 GB that take no space: the headers, and zeros as holes

The weights are normal (bf16, the same for a seed), written tensor by tensor: memory stays small. With --holes none are
written, for what reads headers alone: the file system must have sparse files. The tokenizer is byte-level with two
special tokens, so that such a model can write its own calibration text; what it writes is noise. Needs numpy only.
"""
import argparse
import json
import pathlib
import sys

import numpy as np

LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "rms_norm_eps": 1e-5,
         "attention_bias": False, "mlp_bias": False}
QWEN2 = {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_act": "silu", "rms_norm_eps": 1e-6}
QWEN3_MOE = {"architectures": ["Qwen3MoeForCausalLM"], "model_type": "qwen3_moe", "hidden_act": "silu",
             "rms_norm_eps": 1e-6, "attention_bias": False}

GLM4_MOE = {"architectures": ["Glm4MoeForCausalLM"], "model_type": "glm4_moe", "hidden_act": "silu",
            "rms_norm_eps": 1e-5, "attention_bias": True, "use_qk_norm": True, "partial_rotary_factor": 0.5}


def sizes(hidden, intermediate, blocks, heads, kv_heads, vocab, tied, theta, positions, head_dim=None):
    return {"hidden_size": hidden, "intermediate_size": intermediate, "num_hidden_layers": blocks,
            "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": head_dim or hidden // heads,
            "vocab_size": vocab, "tie_word_embeddings": tied, "rope_theta": theta, "max_position_embeddings": positions}


SHAPES = {
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
}


def mlp(module, hidden, intermediate):
    return [(f"{module}.gate_proj.weight", (intermediate, hidden)), (f"{module}.up_proj.weight", (intermediate, hidden)),
            (f"{module}.down_proj.weight", (hidden, intermediate))]


def attention(at, config):
    hidden, head_dim = config["hidden_size"], config["head_dim"]
    q, kv = config["num_attention_heads"] * head_dim, config["num_key_value_heads"] * head_dim
    result = []
    for name, rows, cols in (("q", q, hidden), ("k", kv, hidden), ("v", kv, hidden), ("o", hidden, q)):
        result.append((f"{at}.self_attn.{name}_proj.weight", (rows, cols)))
        if name != "o" and (config["model_type"] == "qwen2" or config.get("attention_bias")):
            result.append((f"{at}.self_attn.{name}_proj.bias", (rows,)))
    if config["model_type"] == "qwen3_moe" or config.get("use_qk_norm"):
        result += [(f"{at}.self_attn.{name}_norm.weight", (head_dim,)) for name in "qk"]
    return result


def experts_of(config):
    return config.get("num_experts", config.get("n_routed_experts", 0))


def mixture(at, config):
    hidden, intermediate, experts = config["hidden_size"], config["moe_intermediate_size"], experts_of(config)
    result = [(f"{at}.mlp.gate.weight", (experts, hidden))]
    if config["model_type"] == "glm4_moe":
        result.append((f"{at}.mlp.gate.e_score_correction_bias", (experts,)))
        result += mlp(f"{at}.mlp.shared_experts", hidden, config["n_shared_experts"] * intermediate)
    for expert in range(experts):
        result += mlp(f"{at}.mlp.experts.{expert}", hidden, intermediate)
    return result


def tensors(config):
    """Returns the name and shape of every tensor."""
    hidden, blocks = config["hidden_size"], config["num_hidden_layers"]
    result = [("model.embed_tokens.weight", (config["vocab_size"], hidden))]
    for block in range(blocks + config.get("num_nextn_predict_layers", 0)):
        at = f"model.layers.{block}"
        result += [(f"{at}.input_layernorm.weight", (hidden,)), (f"{at}.post_attention_layernorm.weight", (hidden,))]
        result += attention(at, config)
        if experts_of(config) and block >= config.get("first_k_dense_replace", 0):
            result += mixture(at, config)
        else:
            result += mlp(f"{at}.mlp", hidden, config["intermediate_size"])
        if block >= blocks:  # it predicts the token after the next one, and no forward pass runs it
            result += [(f"{at}.{name}.weight", (hidden,)) for name in ("enorm", "hnorm", "shared_head.norm")]
            result += [(f"{at}.eh_proj.weight", (hidden, 2 * hidden)),
                       *((f"{at}.{name}.weight", (config["vocab_size"], hidden)) for name in ("embed_tokens", "shared_head.head"))]
    result.append(("model.norm.weight", (hidden,)))
    if not config["tie_word_embeddings"]:
        result.append(("lm_head.weight", (config["vocab_size"], hidden)))
    return result


def values(name, shape, random, pool, blocks):
    """Yields a tensor as bf16 bytes, at most 16 million weights at a time, drawn from a pool of 65536 normal ones."""
    count = int(np.prod(shape))
    if name.endswith("norm.weight"):
        yield np.full(count, 0x3F80, "<u2").tobytes()
        return
    # At the start of training, too, what is added to the residual stream gets smaller with the number of additions.
    std = 0.02 / np.sqrt(2 * blocks) if name.endswith(("o_proj.weight", "down_proj.weight")) else 0.02
    bits = (pool * np.float32(std)).view("<u4")
    rounded = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
    for begin in range(0, count, 1 << 24):
        yield rounded[random.integers(0, 1 << 16, min(1 << 24, count - begin), dtype=np.uint16)].tobytes()


def write_shard(path, listed, seed, first, blocks, holes):
    pool = np.random.Generator(np.random.SFC64(seed)).standard_normal(1 << 16, dtype=np.float32)
    offset, header = 0, {"__metadata__": {"format": "pt"}}
    for name, shape in listed:
        size = 2 * int(np.prod(shape))
        header[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        if holes:
            file.truncate(8 + len(text) + offset)
            return
        for index, (name, shape) in enumerate(listed):
            random = np.random.Generator(np.random.SFC64([seed, first + index]))
            for piece in values(name, shape, random, pool, blocks):
                file.write(piece)


def byte_characters():
    """Returns GPT-2's printable character of every byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    spare = iter(range(256, 512))
    return {byte: chr(byte if byte in plain else next(spare)) for byte in range(256)}


def write_tokenizer(out):
    special = ["<|begin|>", "<|end|>"]
    vocab = {character: byte for byte, character in byte_characters().items()}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    tokenizer = {"version": "1.0", "truncation": None, "padding": None,
                 "added_tokens": [{"id": 256 + i, "content": text, **flags} for i, text in enumerate(special)],
                 "normalizer": None, "pre_tokenizer": byte_level, "post_processor": None, "decoder": byte_level,
                 "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                           "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "vocab": vocab,
                           "merges": []}}
    (out / "tokenizer.json").write_text(json.dumps(tokenizer, indent=1) + "\n")
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": special[0], "eos_token": special[1],
              "clean_up_tokenization_spaces": False}
    (out / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")


def shrunk(config, args):
    """The shape with the blocks and experts that were asked for; of two blocks or more the last is a mixture."""
    for option, key in (("blocks", "num_hidden_layers"), ("experts", "num_experts"), ("experts", "n_routed_experts")):
        wanted = getattr(args, option)
        if wanted is None or key not in config:
            continue
        if not 1 <= wanted <= config[key]:
            sys.exit(f"--{option} {wanted}: {args.shape} has 1 to {config[key]}")
        config[key] = wanted
    if args.experts is not None and not experts_of(config):
        sys.exit(f"--experts: {args.shape} has none")
    if experts_of(config):
        config["num_experts_per_tok"] = min(config["num_experts_per_tok"], experts_of(config))
    if "first_k_dense_replace" in config:
        config["first_k_dense_replace"] = min(config["first_k_dense_replace"], config["num_hidden_layers"] - 1)
    return config


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("out", type=pathlib.Path, help="folder to make")
    parser.add_argument("--blocks", type=int, help="fewer blocks than the shape has")
    parser.add_argument("--experts", type=int, help="fewer experts in a block than the shape has")
    parser.add_argument("--holes", action="store_true", help="write no weights: they are zeros that take no space")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shard-gb", type=float, default=5.0, help="largest weight file")
    args = parser.parse_args()
    config = shrunk(dict(SHAPES[args.shape]), args)
    blocks = config["num_hidden_layers"]
    args.out.mkdir(parents=True, exist_ok=False)
    shards, used = [[]], 0
    for name, shape in tensors(config):
        size = 2 * int(np.prod(shape))
        if shards[-1] and used + size > args.shard_gb * 1e9:
            shards.append([])
            used = 0
        shards[-1].append((name, shape))
        used += size
    weight_map, first = {}, 0
    for number, listed in enumerate(shards, 1):
        name = "model.safetensors" if len(shards) == 1 else f"model-{number:05}-of-{len(shards):05}.safetensors"
        write_shard(args.out / name, listed, args.seed, first, blocks, args.holes)
        first += len(listed)
        weight_map |= {tensor: name for tensor, _ in listed}
    if len(shards) > 1:
        total = sum(2 * int(np.prod(shape)) for listed in shards for _, shape in listed)
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (args.out / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
    config |= {"torch_dtype": "bfloat16", "bos_token_id": 256, "eos_token_id": 257}
    (args.out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    write_tokenizer(args.out)
    print(f"{args.out}: {args.shape}, {blocks} blocks, {first} tensors")


if __name__ == "__main__":
    main()
