#!/usr/bin/env python3
"""strata beside llama.cpp's stock mixes at equal or fewer bytes of the linears: one calibration text, one evaluator.

usage: bench/peers/llama_cpp.py MODEL CALIB.txt TEXT.txt -o RESULT.json [--work DIR] [--mixes Q4_K_M,...] [--chunks N]
llama.cpp's side: llama_model_quantize of scripts/download_llama_quantize.sh (by tests/peers/llama_quantize.py, in the
environment of scripts/make_venv.sh llama) with the importance matrix that `strata score --imatrix-out` writes, which has llama-imatrix's
definition. Ours: `strata quantize --like MIX` (or --bits, where the head is a matrix of its own) with --method gptq (on
the same text) or rtn (with the same matrix). token_embd and output are Q8_0 on both sides; both are
evaluated in one run of `strata eval`, and with --tune also what `strata tune` makes of ours on further text. What exists
in the work folder is not made again. Prints a Markdown table.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]


def run(*args) -> str:
    result = subprocess.run([str(a) for a in args], stdout=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit(f"failed: {' '.join(map(str, args))}")
    return result.stdout


def kept(path: pathlib.Path, make) -> dict:
    """The JSON of `path`, made when it is not there."""
    if not path.exists():
        value = make()
        path.write_text(json.dumps(value, indent=1))
    return json.loads(path.read_text())


def timed(*args) -> dict:
    begin = time.monotonic()
    value = json.loads(run(*args))
    return {"value": value, "seconds": time.monotonic() - begin}


def evaluate(models, args) -> dict:
    return json.loads(run(args.strata, "eval", *models, "--ref", args.model, "--text", args.text, "--samples", args.chunks,
                          "--precision", args.precision, "--json"))


def point(evaluation: dict, linear_bytes: int, weights: int) -> dict:
    kl = evaluation["kl_divergence"]
    return {"bytes": linear_bytes, "bits": 8 * linear_bytes / weights, "kl": kl["mean"], "stderr": kl["stderr"],
            "kl99": kl["p99"], "perplexity": evaluation["perplexity"], "top1": evaluation["top1_agreement"]}


def budget(mix: str, stock: dict, linears: dict, args) -> list[str]:
    """The mix's bytes of linears. Where the head is a matrix of its own, it is Q8_0 here and not as the mix would have it."""
    if "output.weight" not in stock:
        return ["--like", mix]
    plan = json.loads(run(args.strata, "plan", args.model, "--for", "llama.cpp", "--preset", "uniform:q8_0", "--json"))
    weights = sum(g["weights"] for g in plan["groups"] if ".layers." in g["name"])
    return ["--bits", f"{int(8e6 * sum(size for _, size in linears.values()) / weights) / 1e6}", "--assign", "lm_head=q8_0"]


def compare(mix: str, args, work: pathlib.Path) -> dict:
    name = f"strata-{args.method}-{mix}"
    stock_file, own_file = work / f"stock-{mix}.gguf", work / f"{name}.gguf"
    known = ["--imatrix", work / "imatrix.gguf"] if args.method == "rtn" else ["--calib", args.calib]
    stock = kept(work / f"stock-{mix}.json", lambda: timed(
        ROOT / "build/venv-llama/bin/python", ROOT / "tests/peers/llama_quantize.py", work / "dense.gguf", stock_file, mix,
        "--imatrix", work / "imatrix.gguf", "--embed", "Q8_0"))
    linears = {k: v for k, v in stock["value"].items() if k.startswith("blk.") and v[0] not in ("F32", "F16", "BF16")}
    own = kept(work / f"{name}.json", lambda: timed(
        args.strata, "quantize", args.model, "-o", own_file, "--overwrite", *budget(mix, stock["value"], linears, args), "--embed-codec", "q8_0",
        "--scores", work / "scores.json", "--method", args.method, *known, "--no-verify", "--json", *args.extra))
    totals = own["value"]["plan"]["totals"]
    models, seconds = [stock_file, own_file], {"stock": stock["seconds"], "strata": own["seconds"]}
    if args.tune:
        models.append(work / f"{name}-tuned.gguf")
        tune = [args.strata, "tune", own_file, "--ref", args.model, "-o", models[-1], "--overwrite", "--calib", args.calib,
                "--skip", args.samples, "--samples", args.tune, "--json"]
        seconds["tuned"] = kept(work / f"{name}-tuned.json", lambda: timed(*tune))["seconds"]
    judged = kept(work / f"{name}-judged{len(models)}.json", lambda: evaluate(models, args))["models"]
    weights = sum(g["weights"] for g in own["value"]["plan"]["groups"] if ".layers." in g["name"])
    sizes = [sum(size for _, size in linears.values())] + 2 * [totals["block_bytes"]]
    result = {"mix": mix, "seconds": seconds}
    for side, evaluation, size in zip(["stock", "strata", "tuned"], judged, sizes):
        result[side] = point(evaluation, size, weights)
        result[side]["less_kl"] = 1 - result[side]["kl"] / result["stock"]["kl"]
    return result


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ["model", "calib", "text"]:
        parser.add_argument(name)
    parser.add_argument("-o", "--output", required=True)
    parser.add_argument("--strata", default=str(ROOT / "build/release/strata"))
    parser.add_argument("--work", default=str(ROOT / "build/peers-llama"))
    parser.add_argument("--mixes", default="Q5_K_M,Q4_K_M,IQ4_XS,Q2_K")
    parser.add_argument("--chunks", type=int, default=20)
    parser.add_argument("--samples", type=int, default=64, help="calibration sequences of 512 tokens, for both sides")
    parser.add_argument("--tune", type=int, default=0, metavar="N", help="also judge ours after `strata tune` on N further sequences")
    parser.add_argument("--method", choices=["gptq", "rtn"], default="gptq")
    parser.add_argument("--precision", default="f32")
    parser.add_argument("extra", nargs="*", help="further options of strata quantize, behind --")
    args = parser.parse_intermixed_args()
    work = pathlib.Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "dense.gguf").exists():
        run(args.strata, "convert", args.model, "-o", work / "dense.gguf")
    if not (work / "scores.json").exists():
        run(args.strata, "score", args.model, "-o", work / "scores.json", "--imatrix-out", work / "imatrix.gguf", "--for",
            "llama.cpp", "--signals", "act_mse,alpha", "--calib", args.calib, "--samples", args.samples, "--seq-len", 512)
    if args.method == "gptq":
        args.extra = ["--samples", str(args.samples), "--seq-len", "512", *args.extra]
    points = [compare(mix, args, work) for mix in args.mixes.split(",")]
    pathlib.Path(args.output).write_text(json.dumps({"model": args.model, "method": args.method, "chunks": args.chunks, "points": points}, indent=1))
    built = json.loads((ROOT / "build/llama-quantize/_nlcBuildMetadata.json").read_text())["buildOptions"]["llamaCpp"]
    print(f"llama.cpp {built['release']}\n")
    print("| mix | its bits | its KL | top-1 | our bits | our KL | top-1 | less KL |\n|---|---|---|---|---|---|---|---|")
    for p in points:
        a = p["stock"]
        for side, label in [("strata", p["mix"]), ("tuned", f"{p['mix']}, tuned")]:
            if side in p:
                b = p[side]
                print(f"| {label} | {a['bits']:.3f} | {a['kl']:.4f} +- {a['stderr']:.4f} | {a['top1']:.3f} | {b['bits']:.3f} | "
                      f"{b['kl']:.4f} +- {b['stderr']:.4f} | {b['top1']:.3f} | {100 * b['less_kl']:.0f} % |")


if __name__ == "__main__":
    main()
