#!/usr/bin/env python3
"""What choosing codecs is worth: `best` at a budget beside uniform codecs and simple orders of blocks at equal bytes.

    strata score MODEL -o scores.json --calib calib.txt --signals lim,zd,act_mse,alpha
    bench/plans_table.py MODEL scores.json wiki.test.raw [code.txt ...] --calib calib.txt [--chunks 60] [--only 'transformers 4.25']

Every plan is rounded to nearest with searched scales, all plans of a cell are judged in one run of `strata eval`. The orders
(first and last blocks, random, LIM, ZD) give as many blocks as fit the better of two codecs next to the budget, the rest the other.
`mixed` is what the uniform codecs next to the budget have between them at its size, on a straight line of KL over bits: some of the
weights in one, the rest in the other, regardless of which. `as if` is a straight line of log KL: about what a codec of just that
size would have, if there were one. The last column is how far `best` is below the strongest of all others but `as if`, which is
no model. Cells that are in the results file are not measured again.
"""
import argparse
import json
import pathlib
import random
import re
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
# target, bits: uniform codecs from below to above the budget, and the two that the orders choose from
CELLS = {
    ("transformers", 3.0): (["int2_g32", "int3_g128", "int3_g64"], "int3_g64", "int2_g32"),
    ("transformers", 3.5): (["int3_g64", "int3_g32", "int4_g128"], "int4_g64", "int3_g64"),
    ("transformers", 4.25): (["int4_g128", "int4_g64", "mxfp4", "nvfp4"], "nvfp4", "int3_g32"),
    ("transformers", 5.5): (["int5_g64", "int5_g32", "int6_g64"], "int6_g64", "int5_g64"),
    ("transformers", 8.0): (["int6_g32", "int8_channel"], "int8_channel", "int6_g64"),
    ("vllm:marlin", 4.25): (["int4_g128", "int4_g64", "mxfp4", "nvfp4"], "nvfp4", "int4_channel"),
    ("vllm:marlin", 5.5): (["nvfp4", "int8_channel"], "int8_channel", "nvfp4"),
    ("vllm:marlin", 8.0): (["nvfp4", "int8_channel"], "int8_channel", "nvfp4"),
}


def run(*command) -> dict:
    result = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if result.returncode != 0:
        raise SystemExit(f"{' '.join(map(str, command))}\n{result.stderr[-2000:]}")
    return json.loads(result.stdout)


def orders(blocks: int, scores: dict) -> dict[str, list[int]]:
    """Blocks from the most important to the least."""
    ends = [b // 2 if b % 2 == 0 else blocks - 1 - b // 2 for b in range(blocks)]
    result = {"first+last": ends}
    for seed in range(3):
        result[f"random {seed}"] = random.Random(seed).sample(range(blocks), blocks)
    for signal in ("lim", "zd"):
        about = scores["blocks"][signal]
        result[signal] = sorted(range(blocks), key=lambda b: about["values"][b], reverse=about["higher_is_important"])
    return result


def plans(args: argparse.Namespace, target: str, bits: float, scores: dict) -> dict[str, list[str]]:
    """Name -> options of `strata quantize`."""
    uniform, high, low = CELLS[target, bits]
    result = {"best": ["--bits", bits], "prior": ["--preset", "prior", "--bits", bits]}
    result |= {f"uniform {codec}": ["--preset", f"uniform:{codec}"] for codec in uniform}
    total = {c: run(args.strata, "plan", args.model, "--json", "--for", target, "--preset", f"uniform:{c}")["totals"] for c in (high, low)}
    blocks = len(scores["blocks"]["lim"]["values"])
    spare = bits * total[low]["weights"] / 8 - total[low]["block_bytes"]
    count = int(spare / (total[high]["block_bytes"] - total[low]["block_bytes"]) * blocks)
    for name, order in orders(blocks, scores).items():
        chosen = "|".join(map(str, order[:count]))
        result[name] = ["--preset", f"uniform:{low}", "--assign", rf"\.layers\.({chosen})\.={high}", "--bits", bits]
    return result


def measure_cell(args: argparse.Namespace, target: str, bits: float, scores: dict) -> dict:
    cell = {"texts": {}, "bits": {}}
    with tempfile.TemporaryDirectory(dir=args.work) as folder:
        outs = {}
        for name, options in plans(args, target, bits, scores).items():
            outs[name] = f"{folder}/{name.replace(' ', '_').replace('+', '_')}"
            made = run(args.strata, "quantize", args.model, "-o", outs[name], "--for", target, "--scores", args.scores, "--no-verify",
                       "--json", "--calib", *args.calib, *options)
            cell["bits"][name] = made["bits"]
        for text in args.text:
            judged = run(args.strata, "eval", *outs.values(), "--ref", args.model, "--text", text, "--samples", args.chunks,
                         "--precision", "bf16", "--json")
            cell["texts"][pathlib.Path(text).name] = {
                name: {"kl": e["kl_divergence"]["mean"], "stderr": e["kl_divergence"]["stderr"], "above_best": e.get("kl_change")}
                for name, e in zip(outs, judged["models"])}
    return cell


def uniforms(cell: dict, kl: dict, bits: float) -> tuple[dict, dict]:
    """Uniform codecs within the budget and above it, name -> (bits, KL). A codec whose own side tensors put it some thousandths of a
    bit above still counts as within."""
    points = {name: (cell["bits"][name], kl[name]["kl"]) for name in kl if name.startswith("uniform")}
    within = {name: p for name, p in points.items() if p[0] <= bits + 1e-3}
    return within, {name: p for name, p in points.items() if name not in within}


def interpolated(within: dict, above: dict, bits: float) -> tuple[float, float] | None:
    """At `bits`, between the best uniform codec within the budget and the nearest above: on a line of KL, and of log KL."""
    if not within or not above:
        return None
    (b0, k0), (b1, k1) = min(within.values(), key=lambda p: p[1]), min(above.values())
    share = (bits - b0) / (b1 - b0)
    return k0 + share * (k1 - k0), k0 ** (1 - share) * k1**share


def row(target: str, bits: float, cell: dict, kl: dict) -> str:
    others = {name: kl[name]["kl"] for name in ("prior", "first+last", "lim", "zd")}
    seeds = [kl[name]["kl"] for name in kl if name.startswith("random")]
    others["random"] = sum(seeds) / len(seeds)
    within, above = uniforms(cell, kl, bits)
    nearest = min(within, key=lambda name: within[name][1]) if within else None
    between = interpolated(within, above, bits)
    rivals = [*others.values(), *(kl for _, kl in within.values()), *(between[:1] if between else [])]
    best = kl["best"]
    cells = [f"{target} {bits}", f"**{best['kl']:.4f}** +- {best['stderr']:.4f}", f"{nearest[8:]} {within[nearest][1]:.4f}" if nearest else "",
             *([f"{value:.4f}" for value in between] if between else ["", ""]), f"{others['prior']:.4f}", f"{others['first+last']:.4f}",
             f"{others['random']:.4f} ({min(seeds):.4f} to {max(seeds):.4f})", f"{others['lim']:.4f}", f"{others['zd']:.4f}",
             f"{100 * (1 - best['kl'] / min(rivals)):.0f} %"]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("scores")
    parser.add_argument("text", nargs="+")
    parser.add_argument("--calib", nargs="+", required=True, help="the text of the scores, for the scale search")
    parser.add_argument("--chunks", default="60")
    parser.add_argument("--only", default="", help="cells whose name matches, such as 'vllm'")
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "build/plans.json")
    parser.add_argument("--work", help="where checkpoints are made, and removed again")
    parser.add_argument("--strata", default=str(ROOT / "build/release/strata"))
    args = parser.parse_args()
    results = json.loads(args.results.read_text()) if args.results.exists() else {}
    scores = json.loads(pathlib.Path(args.scores).read_text())
    for target, bits in CELLS:
        name = f"{target} {bits}"
        if re.search(args.only, name) and name not in results:
            results[name] = measure_cell(args, target, bits, scores)
            args.results.write_text(json.dumps(results, indent=1))
    for text in {pathlib.Path(t).name: None for t in args.text}:
        print(f"{text}\n\n| cell | best | uniform | mixed | as if | prior | first+last | random | lim | zd | best is below all by |\n|" + "---|" * 11)
        for target, bits in CELLS:
            cell = results.get(f"{target} {bits}")
            if cell and text in cell["texts"]:
                print(row(target, bits, cell, cell["texts"][text]))
        print()


if __name__ == "__main__":
    main()
