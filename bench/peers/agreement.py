#!/usr/bin/env python3
"""How far llama.cpp is from strata on the same quantized file: KL of its logits from exact ones, in nats per token.

    bench/peers/agreement.py MODEL... --text FILE [--types q8_0,q5_1,q4_0] [--tokens 256] [--work DIR]

Exact are llama.cpp's own logits for the file's weights written as float32, for which tests/peers holds it to strata's. What is
left is what llama.cpp rounds while it runs: inputs to 8 bits, keys and values to float16. Needs scripts/make_venv.sh llama, and
Python with numpy. Prints a Markdown table.
"""
import argparse
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(*args) -> None:
    result = subprocess.run([str(a) for a in args], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"failed: {' '.join(map(str, args))}\n{result.stderr}")


def log_softmax(logits):
    shifted = logits.astype(np.float64) - logits.max(-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(-1, keepdims=True))


def llama_says(model, text, tokens, work):
    out = work / "answer.npz"
    run(ROOT / "build/venv-llama/bin/python", ROOT / "tests/peers/llama_cpp.py", model, text, out, tokens)
    with np.load(out) as answer:
        return log_softmax(answer["logits"])


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("models", nargs="+", type=pathlib.Path)
    ap.add_argument("--text", required=True, type=pathlib.Path)
    ap.add_argument("--types", default="q8_0,q5_1,q4_0")
    ap.add_argument("--tokens", type=int, default=256)
    ap.add_argument("--strata", default=str(ROOT / "build/release/strata"))
    ap.add_argument("--work", type=pathlib.Path)
    args = ap.parse_args()
    types = args.types.split(",")
    print(f"| model | {' | '.join(types)} |\n|---|{'---|' * len(types)}")
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        work = pathlib.Path(folder)
        for model in args.models:
            cells = []
            for kind in types:
                rounded, exact = work / f"{kind}.gguf", work / f"{kind}.f32.gguf"
                run(args.strata, "quantize", model, "-o", rounded, "--overwrite", "--for", "llama.cpp", "--method", "rtn",
                    "--no-verify", "--no-report", "--preset", f"uniform:{kind}", "--scale", "minmax")
                run(args.strata, "convert", rounded, "-o", exact, "--overwrite", "--type", "f32")
                want = llama_says(exact, args.text, args.tokens, work)
                got = llama_says(rounded, args.text, args.tokens, work)
                cells.append(f"{(np.exp(want) * (want - got)).sum(-1).mean():.6f}")
            print(f"| {model.name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
