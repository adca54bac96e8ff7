#!/usr/bin/env python3
"""Tasks and divergence of the paper's plans (blocks in an order, two codecs) beside `best` and uniform ones of the same bytes.

    build/venv-python/bin/python bench/tasks_table.py MODEL SCORES.json TASKS_FOLDER TEXT.txt --work DIR [--limit 250]
        [--strata STRATA] [--chunks 20] [--calib FILE] [--only REGEX]

TASKS_FOLDER has arc_easy.jsonl, arc_challenge.jsonl, hellaswag_val_sample1000.jsonl, piqa_valid.jsonl and winogrande_dev.jsonl.
SCORES.json is of `strata score MODEL --for transformers`. Every plan is rounded to nearest and keeps a head of its own in bf16. The
Python must have lm_eval. Prints a Markdown table: KL and perplexity of the text, accuracy of each task on its first items,
and the mean accuracy less the original's, with the standard error of the difference item by item.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tests/python"))
from local_tasks import write_tasks  # noqa: E402

TASKS = {"ARC-easy": "local_arc_easy", "ARC-challenge": "local_arc_challenge", "HellaSwag": "local_hellaswag",
         "PIQA": "local_piqa", "WinoGrande": "local_winogrande"}
HIGH, LOW = "int4_g64", "int2_g64"


def plans(blocks: int) -> dict[str, list[str]]:
    """The options of `strata quantize` for the plans whose bytes `best` gets too, and for those beside them."""
    made = {"uniform int4_g64": ["--preset", f"uniform:{HIGH}"]}
    for nominal in (3.5, 3.0):
        high = round(blocks * (nominal - 2) / 2)
        for signal in ("lim", "zd"):
            made[f"lwq {signal}, {nominal} nominal"] = ["--preset", "lwq", "--signal", signal, "--high", HIGH, "--low", LOW,
                                                        "--n-high", str(high)]
    made["uniform int3_g64"] = ["--preset", "uniform:int3_g64"]
    return made


class Table:
    def __init__(self, args):
        self.args = args
        args.work.mkdir(parents=True, exist_ok=True)
        write_tasks(args.work, args.tasks)

    def strata(self, *words) -> dict:
        environment = {**os.environ, "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"}
        result = subprocess.run([self.args.strata, *map(str, words), "--json"], stdout=subprocess.PIPE, text=True, env=environment)
        if result.returncode != 0:
            sys.exit(f"failed: strata {' '.join(map(str, words))}")
        return json.loads(result.stdout)

    def quantized(self, name: str, options: list[str]) -> tuple[pathlib.Path, float]:
        out, kept = self.args.work / name.replace(" ", "_").replace(":", "_"), self.args.work / f"{name}.json"
        if not kept.exists():
            done = self.strata("quantize", self.args.model, "-o", out, "--overwrite", "--for", "transformers", "--method", "rtn",
                               "--scores", self.args.scores, "--no-verify", "--no-report",
                               *(("--calib", self.args.calib) if self.args.calib else ()), *options)
            kept.write_text(json.dumps(done))
        return out, json.loads(kept.read_text())["bits"]

    def judged(self, outs: list[pathlib.Path]) -> list[dict]:
        files = ",".join(str(self.args.work / f"{name}.yaml") for name in TASKS.values())
        return self.strata("eval", *outs, "--ref", self.args.model, "--text", self.args.text, "--chunks", self.args.chunks,
                           "--tasks", files, "--limit", self.args.limit, "--precision", "bf16")["models"]


def accuracies(result: dict, kind: str) -> dict[str, dict]:
    """Of each task; kind: "ref", "value" or "change"."""
    rows = {row["task"]: row[kind] for row in result["tasks"] if row["metric"] == "acc"}
    return {title: rows[name] for title, name in TASKS.items()}


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("model", type=pathlib.Path)
    ap.add_argument("scores", type=pathlib.Path)
    ap.add_argument("tasks", type=pathlib.Path)
    ap.add_argument("text", type=pathlib.Path)
    ap.add_argument("--work", type=pathlib.Path, required=True)
    ap.add_argument("--limit", type=int, default=250)
    ap.add_argument("--calib", type=pathlib.Path, help="text that scales are searched by (default: the model writes its own)")
    ap.add_argument("--chunks", type=int, default=20)
    ap.add_argument("--only", default="", help="rows whose name matches this expression")
    ap.add_argument("--strata", default="build/release/strata")
    args = ap.parse_args()
    table = Table(args)
    config = json.loads((args.model / "config.json").read_text())
    blocks, head = config["num_hidden_layers"], [] if config.get("tie_word_embeddings") else ["--keep", "lm_head"]
    rows = {}
    for name, options in plans(blocks).items():
        paired = name.startswith("uniform") or " lim, " in name  # best gets this plan's bytes too
        if not re.search(args.only, name) and not (paired and "best" in args.only):
            continue
        rows[name] = table.quantized(name, options)
        if paired:
            bits = rows[name][1]
            rows[f"best, {bits:.3f} bits"] = table.quantized(f"best {bits:.3f}", ["--bits", str(bits), *head])
    rows = {name: row for name, row in rows.items() if re.search(args.only, name)}
    found = table.judged([out for out, _ in rows.values()])
    original = accuracies(found[0], "ref")
    print(f"| plan | bits | KL | perplexity | {' | '.join(TASKS)} | mean | less than the original |")
    print("|---|---|---|---|" + "---|" * (len(TASKS) + 2))
    mean = sum(row["mean"] for row in original.values()) / len(TASKS)
    print(f"| bf16 | 16 | 0 | {found[0]['ref_perplexity']:.2f} | " + " | ".join(f"{100 * original[t]['mean']:.1f}" for t in TASKS) +
          f" | {100 * mean:.1f} | |")
    for (name, (_, bits)), result in zip(rows.items(), found):
        values, changes = accuracies(result, "value"), accuracies(result, "change")
        mean = sum(row["mean"] for row in values.values()) / len(TASKS)
        lost = -sum(row["mean"] for row in changes.values()) / len(TASKS)
        error = sum(row["stderr"] ** 2 for row in changes.values()) ** 0.5 / len(TASKS)
        print(f"| {name} | {bits:.3f} | {result['kl_divergence']['mean']:.4f} | {result['perplexity']:.2f} | " +
              " | ".join(f"{100 * values[t]['mean']:.1f}" for t in TASKS) +
              f" | {100 * mean:.1f} | {100 * lost:.1f} +- {100 * error:.1f} |")


if __name__ == "__main__":
    main()
