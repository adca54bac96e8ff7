#!/usr/bin/env python3
"""Writes a random model of a known shape as a Hugging Face folder: for trying sizes, times and memory without a download.

    scripts/make_random_model.py llama-8b OUT [--blocks 2] [--seed 0] [--shard-gb 5]
    scripts/make_random_model.py qwen3.5-9b OUT --blocks 4
    scripts/make_random_model.py kimi-k2 OUT --blocks 2 --fp8
    scripts/make_random_model.py glm-4.6 OUT --holes      # 715 GB that take no space: the headers, and zeros as holes

The weights are normal (bf16, the same for a seed), written tensor by tensor: memory stays small. With --fp8 the linears of
blocks are in fp8 with a scale for every 128 x 128 weights, as DeepSeek publishes them. With --holes none are written, for
what reads headers alone: the file system must have sparse files. The tokenizer is byte-level with two special tokens, so
that such a model can write its own calibration text; what it writes is noise. Needs numpy only.
"""
import argparse
import json
import pathlib
import sys

import numpy as np

from random_shapes import SHAPES, experts_of, shrunk, tensors

DTYPES = {"BF16": 2, "F8_E4M3": 1, "F32": 4}  # bytes a value
FP8_BLOCK = 128
FP8_SPREAD = 448 / 6  # the standard deviation of normal codes of which hardly any is beyond the largest, 448


def spread(name, shape, blocks):
    """The standard deviation of a tensor's weights."""
    if "conv" in name and len(shape) == 3:
        return 0.5  # a few taps make a channel
    # At the start of training, too, what is added to the residual stream gets smaller with the number of additions.
    ends = ("o_proj.weight", "down_proj.weight", "out_proj.weight", "w2.weight", "experts.down_proj")
    return 0.02 / np.sqrt(2 * blocks) if name.endswith(ends) else 0.02


def stored(name, shape, fp8):
    """The tensors that hold a weight: (name, dtype, shape) each."""
    # A router is no linear, and neither is what is not in a block.
    if not fp8 or len(shape) != 2 or ".layers." not in name or not ("_proj" in name and name.endswith(".weight")):
        return [(name, "BF16", shape)]
    scales = tuple(-(-size // FP8_BLOCK) for size in shape)
    return [(name, "F8_E4M3", shape), (name + "_scale_inv", "F32", scales)]


def size_of(dtype, shape):
    return DTYPES[dtype] * int(np.prod(shape))


def fp8_codes(numbers):
    """The e4m3 code nearest to each number."""
    codes = np.arange(0x7F, dtype=np.uint8)  # 0x7F is no number
    exponent, fraction = codes >> 3, (codes & 7).astype(np.float32)
    sizes = np.where(exponent == 0, fraction / 8 * np.float32(2.0**-6), (1 + fraction / 8) * np.exp2(exponent.astype(np.float32) - 7))
    nearest = np.searchsorted((sizes[1:] + sizes[:-1]) / 2, np.abs(numbers)).astype(np.uint8)
    return nearest | (np.signbit(numbers).astype(np.uint8) << 7)


def bf16_bits(numbers):
    bits = numbers.view("<u4")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def values(name, dtype, shape, random, pool, blocks):
    """Yields a tensor as bytes, at most 16 million values at a time, drawn from a pool of 65536 normal ones."""
    count = int(np.prod(shape))
    if dtype == "F32":
        yield np.full(count, spread(name.removesuffix("_scale_inv"), shape, blocks) / FP8_SPREAD, "<f4").tobytes()
        return
    if name.endswith(("norm.weight", "norm_f.weight")):
        yield np.full(count, 0x3F80, "<u2").tobytes()
        return
    fp8 = dtype == "F8_E4M3"
    drawn = fp8_codes(pool * np.float32(FP8_SPREAD)) if fp8 else bf16_bits(pool * np.float32(spread(name, shape, blocks)))
    for begin in range(0, count, 1 << 24):
        yield drawn[random.integers(0, 1 << 16, min(1 << 24, count - begin), dtype=np.uint16)].tobytes()


def write_shard(path, listed, seed, first, blocks, holes):
    pool = np.random.Generator(np.random.SFC64(seed)).standard_normal(1 << 16, dtype=np.float32)
    offset, header = 0, {"__metadata__": {"format": "pt"}}
    for name, dtype, shape in listed:
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [offset, offset + size_of(dtype, shape)]}
        offset += size_of(dtype, shape)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        if holes:
            file.truncate(8 + len(text) + offset)
            return
        for index, (name, dtype, shape) in enumerate(listed):
            random = np.random.Generator(np.random.SFC64([seed, first + index]))
            for piece in values(name, dtype, shape, random, pool, blocks):
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


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("out", type=pathlib.Path, help="folder to make")
    parser.add_argument("--blocks", type=int, help="fewer blocks than the shape has")
    parser.add_argument("--experts", type=int, help="fewer experts in a block than the shape has")
    parser.add_argument("--fp8", action="store_true", help="the linears of blocks in fp8, a scale for every 128 x 128 weights")
    parser.add_argument("--holes", action="store_true", help="write no weights: they are zeros that take no space")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--shard-gb", type=float, default=5.0, help="largest weight file")
    args = parser.parse_args()
    config = shrunk(args.shape, args.blocks, args.experts)
    blocks = config["num_hidden_layers"]
    args.out.mkdir(parents=True, exist_ok=False)
    shards, used = [[]], 0
    for name, dtype, shape in (part for weight in tensors(config) for part in stored(*weight, args.fp8)):
        size = size_of(dtype, shape)
        if shards[-1] and used + size > args.shard_gb * 1e9:
            shards.append([])
            used = 0
        shards[-1].append((name, dtype, shape))
        used += size
    weight_map, first = {}, 0
    for number, listed in enumerate(shards, 1):
        name = "model.safetensors" if len(shards) == 1 else f"model-{number:05}-of-{len(shards):05}.safetensors"
        write_shard(args.out / name, listed, args.seed, first, blocks, args.holes)
        first += len(listed)
        weight_map |= {tensor: name for tensor, *_ in listed}
    if len(shards) > 1:
        total = sum(size_of(dtype, shape) for listed in shards for _, dtype, shape in listed)
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (args.out / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")
    if args.fp8:
        config["quantization_config"] = {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic",
                                         "weight_block_size": [FP8_BLOCK, FP8_BLOCK]}
    config |= {"torch_dtype": "bfloat16", "bos_token_id": 256, "eos_token_id": 257}
    (args.out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    write_tokenizer(args.out)
    print(f"{args.out}: {args.shape}, {blocks} blocks, {first} tensors")


if __name__ == "__main__":
    main()
