#!/usr/bin/env python3
"""The speeds that matter, in one run on an idle machine, beside llama.cpp and torch where they do the same: a Markdown table.

usage: bench/speed.py build/models/smollm2 [LARGER...] [--rounds 3] [--only tokens,job] [--threads 2]
Products: `strata bench`, and a matrix product of torch in f32 (build/venv-hf). Prefill of 512 tokens and decoding of 64:
`strata` and the library in the xllamacpp wheel (build/venv-llama) on the same GGUF files, in turns, by bench/peers/decode.py.
Decoding of the model itself after 2,048 and 4,096 tokens, with keys and values in bf16 and in f32.
Jobs: `strata quantize MODEL --bits 4.5` by rtn and by gptq, everything default, verification and report included; for larger
models, which follow the first one and whose rows have their names, by rtn, and `--like Q4_K_M` by gptq. scripts/make_venv.sh makes
the environments. STRATA_ISA=avx2 gives the rows of a machine without AVX-512 for strata; the peers' do not change.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "bench/peers"))
import decode  # noqa: E402

TORCH = """
import time, torch
a, b = torch.randn(512, 1536), torch.randn(1536, 8960)
torch.mm(a, b)
best = 1e9
for _ in range(10):
    begin = time.perf_counter(); torch.mm(a, b); best = min(best, time.perf_counter() - begin)
print(2 * 512 * 1536 * 8960 / best / 1e9)
"""
PREFILL = """
import sys, time
sys.path.insert(0, sys.argv[1])
import llama_cpp, numpy as np
model = llama_cpp.Model(sys.argv[2])
model.lib.llama_set_n_threads(model.context, int(sys.argv[3]), int(sys.argv[3]))
ids = np.arange(1000, 1512)
model.logits(ids)
begin = time.perf_counter(); model.logits(ids); print(512 / (time.perf_counter() - begin))
"""


JOBS = (("--bits", "4.5", "--method", "rtn"), ("--bits", "4.5", "--method", "gptq"))
LARGER_JOBS = (JOBS[0], ("--like", "Q4_K_M", "--method", "gptq"))


def row(what: str, ours: str, theirs: str = "", ratio: str = "") -> None:
    print(f"| {what} | {ours} | {theirs} | {ratio} |", flush=True)


def products(args) -> None:
    bench = json.loads(decode.output(args.strata, "bench", "--threads", args.threads, "--json"))
    torch = float(decode.output(ROOT / "build/venv-hf/bin/python", "-c", TORCH))
    peaks = bench["peaks"]
    row("peaks", f"f32 {peaks['f32_gflops']:.0f}, bf16 {peaks['bf16_gflops']:.0f} GFLOPS, read {peaks['read_gb_per_second']:.0f} GB/s",
        f"torch f32 {torch:.0f} GFLOPS")
    for kernel in bench["kernels"]:
        row(f"{kernel['name']}, {kernel['tokens']} tokens, {kernel['precision']}",
            f"{kernel['gflops']:.1f} GFLOPS, {kernel['gb_per_second']:.1f} GB/s", "", f"{100 * kernel['share']:.0f} % of {kernel['share_of']}")


def llama_prefill(path: pathlib.Path, threads: int) -> float:
    return float(decode.output(ROOT / "build/venv-llama/bin/python", "-c", PREFILL, ROOT / "tests/peers", path, threads))


def name_of(args, model: str) -> str:
    return "" if model == args.models[0] else f"{pathlib.Path(model).name}: "


def tokens_per_second(args, model: str, work: pathlib.Path) -> None:
    for kind in args.types.split(","):
        path = work / f"{kind}.gguf"
        decode.output(args.strata, "quantize", model, "-o", path, "--overwrite", "--preset", f"uniform:{kind}", "--method", "rtn", "--scale",
                      "minmax", "--no-verify")
        prefill, exact, decoding, theirs_prefill, theirs = [], [], [], [], []
        for _ in range(args.rounds):
            measured = json.loads(decode.output(args.strata, "bench", "--model", path, "--threads", args.threads, "--json"))
            prefill.append(measured["bf16"]["prefill_tokens_per_second"])
            exact.append(measured["f32"]["prefill_tokens_per_second"])
            theirs_prefill.append(llama_prefill(path, args.threads))
            decoding.append(decode.strata_speed(args.strata, path, args))
            theirs.append(float(decode.output(ROOT / "build/venv-llama/bin/python", decode.__file__, path, "--llama", "--tokens",
                                              args.tokens, "--threads", args.threads)))
        for what, ours, other in (("prefill of 512", prefill, theirs_prefill), ("prefill of 512, --precision f32", exact, theirs_prefill),
                                  ("one at a time", decoding, theirs)):
            a, b = statistics.median(ours), statistics.median(other)
            row(f"{name_of(args, model)}{kind}, {what}", f"{a:.1f} tokens/s", f"llama.cpp {b:.1f}", f"{a / b:.2f}")


def long_contexts(args) -> None:
    """Decoding after long contexts, with keys and values in bf16 and, beside it, in f32."""
    for context in (2048, 4096):
        speeds = []
        for exact in ([], ["--exact"]):
            measured = json.loads(decode.output(args.strata, "bench", "--model", args.models[0], "--context", context, *exact,
                                                "--threads", args.threads, "--json"))
            speeds.append(measured["bf16"]["decode_tokens_per_second"])
        row(f"one at a time after {context} tokens", f"{speeds[0]:.1f} tokens/s", f"keys in f32 {speeds[1]:.1f}",
            f"{speeds[0] / speeds[1]:.2f}")


def jobs(args, model: str, work: pathlib.Path) -> None:
    for options in JOBS if model == args.models[0] else LARGER_JOBS:
        out = work / "job.gguf" if "--like" in options else work / "job"
        begin = time.monotonic()
        result = json.loads(decode.output(args.strata, "quantize", model, "-o", out, "--overwrite", *options, "--threads", args.threads,
                                          "--json"))
        kl = result["verification"]["kl_divergence"]
        row(f"{name_of(args, model)}quantize {' '.join(options)}",
            f"{time.monotonic() - begin:.0f} s, KL {kl['mean']:.4f} +- {kl['stderr']:.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", metavar="MODEL")
    parser.add_argument("--strata", default=str(ROOT / "build/release/strata"))
    parser.add_argument("--types", default="q8_0,q4_0,q4_k")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="products,tokens,contexts,job", help="which parts of the table")
    args = parser.parse_args()
    args.cpu = False
    print(decode.output(args.strata, "--version", "--verbose").strip() + "\n")
    print("| what | strata | beside it | ratio |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as work:
        once, each_model = {"products": products, "contexts": long_contexts}, {"tokens": tokens_per_second, "job": jobs}
        for part in args.only.split(","):
            if part in once:
                once[part](args)
                continue
            for model in args.models:
                each_model[part](args, model, pathlib.Path(work))


if __name__ == "__main__":
    main()
