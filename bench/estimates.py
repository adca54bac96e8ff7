#!/usr/bin/env python3
"""Holds what `strata quantize` says before it starts against what it then takes: one row of a Markdown table a method.

    bench/estimates.py MODEL CALIB.txt [--strata build/release/strata] [--codec int4_g64] [--samples 64] [--methods rtn,gptq]
                       [-- further options of gptq, such as --no-asymmetric]

Seconds are of rounding and writing, memory is the process's largest resident memory.
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import tempfile


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("calib", type=pathlib.Path)
    parser.add_argument("--strata", default="build/release/strata")
    parser.add_argument("--codec", default="int4_g64")
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--seq-len", type=int, default=512)
    parser.add_argument("--methods", default="rtn,gptq")
    parser.add_argument("--memory", help="passed on")
    parser.add_argument("--out", type=pathlib.Path, help="where the outputs are made, and removed again")
    parser.add_argument("extra", nargs="*", help="further options of gptq, behind --")
    args = parser.parse_intermixed_args()
    print("| model | method | seconds, estimated | real | ratio | MiB, estimated | real | ratio |\n|" + "---|" * 8)
    for method in args.methods.split(","):
        extra = args.extra if method == "gptq" else []
        with tempfile.TemporaryDirectory(dir=args.out) as folder:
            command = [args.strata, "quantize", args.model, "-o", f"{folder}/out", "--preset", f"uniform:{args.codec}",
                       "--method", method, "--no-verify", "--json"]
            command += ["--scale", "minmax"] if method == "rtn" else [
                "--calib", args.calib, "--samples", args.samples, "--seq-len", args.seq_len, *extra]
            command += ["--memory", args.memory] if args.memory else []
            done = json.loads(subprocess.run([str(c) for c in command], check=True, stdout=subprocess.PIPE).stdout)
            shutil.rmtree(f"{folder}/out")
        estimate, mib = done["estimate"], 1024 * 1024
        seconds, memory = done["rounding_seconds"], done["peak_memory_bytes"]
        print(f"| {args.model.name} | {' '.join([method, *extra])} | {estimate['seconds']:.1f} | {seconds:.1f} | "
              f"{estimate['seconds'] / seconds:.2f} | {estimate['memory_bytes'] / mib:.0f} | {memory / mib:.0f} | "
              f"{estimate['memory_bytes'] / memory:.2f} |", flush=True)


if __name__ == "__main__":
    main()
