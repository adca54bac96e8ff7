#!/usr/bin/env python3
"""One table of what codecs and plans cost on a model: true bits, KL divergence, perplexity, top-1, seconds, memory.

    python3 scripts/make_testbed.py GGUF build/models/smollm2-dither1 --dither 1      (scripts/test.sh makes it)
    bench/codecs_table.py build/models/smollm2-dither1 wiki.test.raw [--chunks 20] [--strata build/release/strata] [NAME=ARGUMENTS...]

Calibration is the default: text that the model writes itself. Every checkpoint is judged by `strata eval` in f32.
"""
import argparse
import json
import subprocess
import tempfile

ROWS = {
    "int8_channel, minmax": "--preset uniform:int8_channel --scale minmax",
    "int8_channel": "--preset uniform:int8_channel",
    "fp8_channel, minmax": "--preset uniform:fp8_channel --scale minmax",
    "fp8_channel": "--preset uniform:fp8_channel",
    "best 8.0": "--bits 8",
    "nvfp4, minmax": "--preset uniform:nvfp4 --scale minmax",
    "nvfp4": "--preset uniform:nvfp4",
    "int4_g32": "--preset uniform:int4_g32",
    "int4_g64, minmax": "--preset uniform:int4_g64 --scale minmax",
    "int4_g64": "--preset uniform:int4_g64",
    "mxfp4": "--preset uniform:mxfp4",
    "best 4.5": "--bits 4.5",
    "best 4.5, transformers": "--bits 4.5 --for transformers",
    "best 3.5, transformers": "--bits 3.5 --for transformers",
    "int3_g64": "--preset uniform:int3_g64 --for transformers",
}


def run(*command: str) -> dict:
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode != 0:
        raise SystemExit(f"{' '.join(command)}\n{result.stderr}")
    return json.loads(result.stdout)


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("model")
    ap.add_argument("text")
    ap.add_argument("rows", nargs="*", metavar="NAME=ARGUMENTS")
    ap.add_argument("--chunks", default="20")
    ap.add_argument("--strata", default="build/release/strata")
    args = ap.parse_args()
    rows = dict(row.split("=", 1) for row in args.rows) or ROWS
    print("| plan | bits | KL | +- | KL 99 % | perplexity | top-1 | seconds | peak MiB |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name, arguments in rows.items():
        with tempfile.TemporaryDirectory() as folder:
            out = folder + "/out"
            made = run(args.strata, "quantize", args.model, "-o", out, "--no-verify", "--json", *arguments.split())
            e = run(args.strata, "eval", out, "--ref", args.model, "--text", args.text, "--samples", args.chunks, "--json")
        kl = e["kl_divergence"]
        print(f"| {name} | {made['bits']:.3f} | {kl['mean']:.5f} | {kl['stderr']:.5f} | {kl['p99']:.3f} | {e['perplexity']:.3f} "
              f"| {e['top1_agreement']:.4f} | {made['seconds']:.0f} | {made['peak_memory_bytes'] / 2**20:.0f} |", flush=True)
    print(f"\nreference perplexity {e['ref_perplexity']:.3f}, {e['tokens']} tokens")


if __name__ == "__main__":
    main()
