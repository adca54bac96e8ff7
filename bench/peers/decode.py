#!/usr/bin/env python3
"""One token at a time: `strata generate` beside llama.cpp on the same GGUF files, in turns, tokens per second and ratios.

usage: bench/peers/decode.py MODEL [--types q8_0,q4_0,q4_k,q6_k] [--rounds 5] [--tokens 64] [--threads 2 | --cpu] [--work DIR]
MODEL: a Hugging Face folder; a uniform file of every type is made of it in the work folder unless it is there. llama.cpp
is the library in the xllamacpp wheel (scripts/make_venv.sh llama), by tests/peers/llama_cpp.py; its own process is
started for every round, as strata is. Both read the same short prompt; only the tokens that follow are counted.
Medians of the rounds: a machine that other programs use slows both. On one that is busy, where threads wait for each
other, --cpu counts the processor's seconds of one thread instead.
"""
import argparse
import json
import pathlib
import resource
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROMPT = "Once upon a time, there was"


def llama_speed(path: str, tokens: int, threads: int, clock) -> float:
    """Runs in build/venv-llama."""
    sys.path.insert(0, str(ROOT / "tests/peers"))
    import llama_cpp
    import numpy as np
    model = llama_cpp.Model(path)
    model.lib.llama_set_n_threads(model.context, threads, threads)
    last = int(model.logits(model.tokenize(PROMPT))[-1].argmax())
    begin = clock()
    for _ in range(tokens):
        last = int(model.logits(np.array([last]), fresh=False)[-1].argmax())
    return tokens / (clock() - begin)


def output(*args) -> str:
    result = subprocess.run([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit(f"failed: {' '.join(map(str, args))}\n{result.stderr[-2000:]}")
    return result.stdout


def processor_seconds() -> float:
    """Of all processes that have ended so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def strata_speed(strata: str, path: pathlib.Path, args) -> float:
    """Of the tokens after the first, by two runs of different lengths: opening and prompt cancel out."""
    tokens, seconds = [], []
    for count in (1, args.tokens + 1):
        begin = processor_seconds()
        result = json.loads(output(strata, "generate", path, PROMPT, "--max-tokens", count, "--threads", args.threads,
                                   "--json"))
        tokens.append(result["tokens"])
        seconds.append(processor_seconds() - begin if args.cpu else result["seconds"])
    return (tokens[1] - tokens[0]) / (seconds[1] - seconds[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--strata", default=str(ROOT / "build/release/strata"))
    parser.add_argument("--types", default="q8_0,q4_0,q4_k,q6_k")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--cpu", action="store_true", help="processor time of one thread")
    parser.add_argument("--work", default=str(ROOT / "build/peers-decode"))
    parser.add_argument("--llama", action="store_true", help=argparse.SUPPRESS)  # this script in llama.cpp's environment
    args = parser.parse_args()
    args.threads = 1 if args.cpu else args.threads
    mode = ["--tokens", args.tokens, "--threads", args.threads, *(["--cpu"] if args.cpu else [])]
    if args.llama:
        print(llama_speed(args.model, args.tokens, args.threads, time.process_time if args.cpu else time.perf_counter))
        return
    work = pathlib.Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    print("| type | strata tokens/s | llama.cpp tokens/s | ratio | strata GB/s |\n|---|---|---|---|---|")
    for kind in args.types.split(","):
        path = work / f"{pathlib.Path(args.model).name}-{kind}.gguf"
        if not path.exists():
            output(args.strata, "quantize", args.model, "-o", path, "--preset", f"uniform:{kind}", "--for", "llama.cpp",
                   "--method", "rtn", "--scale", "minmax", "--no-verify")
        ours, theirs = [], []
        for _ in range(args.rounds):
            ours.append(strata_speed(args.strata, path, args))
            theirs.append(float(output(ROOT / "build/venv-llama/bin/python", __file__, path, "--llama", *mode)))
        a, b = statistics.median(ours), statistics.median(theirs)
        print(f"| {kind} | {a:.1f} | {b:.1f} | {a / b:.2f} | {a * path.stat().st_size * 1e-9:.1f} |", flush=True)


if __name__ == "__main__":
    main()
