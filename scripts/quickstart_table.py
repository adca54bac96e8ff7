#!/usr/bin/env python3
"""Prints the closing table of quickstart.sh: size, bits, perplexity, KL divergence and top-1 agreement.

    quickstart_table.py ORIGINAL_DIR QUANTIZED_DIR EVAL_JSON

Sizes and bits are counted from the safetensors headers, not taken from what the tool says of itself.
"""
import json
import pathlib
import re
import struct
import sys

LINEAR_OF_A_BLOCK = re.compile(r"model\.layers\.\d+\.(self_attn|mlp)\.\w+_proj\.weight")


def headers(folder: str) -> dict[str, dict]:
    """Maps each tensor name of a folder, over all its shards, to its entry."""
    entries = {}
    for path in sorted(pathlib.Path(folder).glob("*.safetensors")):
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            entries |= json.loads(file.read(length))
    entries.pop("__metadata__", None)
    return entries


def size(entry: dict) -> int:
    begin, end = entry["data_offsets"]
    return end - begin


def main() -> None:
    original, quantized, results = headers(sys.argv[1]), headers(sys.argv[2]), json.load(open(sys.argv[3]))
    mebibytes = lambda entries: sum(map(size, entries.values())) / 2**20
    weights = sum(size(e) // 2 for name, e in original.items() if LINEAR_OF_A_BLOCK.fullmatch(name))  # bf16
    linear_bytes = sum(size(e) for name, e in quantized.items() if LINEAR_OF_A_BLOCK.match(name))
    kl = results["kl_divergence"]
    print(f"""
             MiB    bits  perplexity
original   {mebibytes(original):5.0f}   16.00  {results['ref_perplexity']:10.2f}
quantized  {mebibytes(quantized):5.0f}   {8 * linear_bytes / weights:5.2f}  {results['perplexity']:10.2f}

KL divergence {kl['mean']:.4f} +- {kl['stderr']:.4f} nats (median {kl['median']:.4f}, 99 % {kl['p99']:.3f}), \
top-1 agreement {100 * results['top1_agreement']:.1f} %, over {results['tokens']} tokens""")


if __name__ == "__main__":
    main()
