#!/usr/bin/env python3
"""Prefill of 512 tokens with all logits, strata beside transformers, in turns in one run: tokens per second and ratios.

    build/venv-hf/bin/python bench/prefill.py build/models/smollm2 [--strata build/release/strata] [--rounds 3]

The best of the rounds counts for both: another process can only make a run slower.
"""
import argparse
import json
import subprocess
import time

import torch
from transformers import AutoModelForCausalLM


def transformers_speed(model, ids) -> float:
    with torch.no_grad():
        model(ids)
        best = 0.0
        for _ in range(3):
            begin = time.perf_counter()
            model(ids)
            best = max(best, ids.shape[1] / (time.perf_counter() - begin))
    return best


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("model")
    ap.add_argument("--strata", default="build/release/strata")
    ap.add_argument("--rounds", type=int, default=3)
    args = ap.parse_args()
    models = {name: AutoModelForCausalLM.from_pretrained(args.model, dtype=dtype).eval()
              for name, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16))}
    ids = torch.randint(0, models["f32"].config.vocab_size, (1, 512), generator=torch.Generator().manual_seed(1))
    ours, theirs = dict.fromkeys(models, 0.0), dict.fromkeys(models, 0.0)
    for _ in range(args.rounds):
        result = json.loads(subprocess.run([args.strata, "bench", "--model", args.model, "--json"], capture_output=True,
                                           text=True, check=True).stdout)
        for name, model in models.items():
            ours[name] = max(ours[name], result[name]["prefill_tokens_per_second"])
            theirs[name] = max(theirs[name], transformers_speed(model, ids))
    print("| precision | strata tokens/s | transformers tokens/s | ratio |\n|---|---|---|---|")
    for name in models:
        print(f"| {name} | {ours[name]:.0f} | {theirs[name]:.0f} | {ours[name] / theirs[name]:.2f} |")


if __name__ == "__main__":
    main()
