#!/usr/bin/env python3
"""strata beside the tools of its users: one table of size, time, memory and loss, judged by one evaluator.

    bench/peers/table.py build/models/smollm2-dither1 wiki.test.raw --calib wiki.train.txt [--only REGEX] [--chunks 20]

Tools are installed from PyPI, each into an environment of its own (scripts/make_venv.sh, bench/peers/requirements-*.txt). Every
row runs in a process of its own, one after the other; seconds and peak memory are those of the whole process. Every result is
judged by `strata eval` in f32 on what the tool wrote: a compressed-tensors checkpoint, MLX's folder, or its dequantized weights in
f32; with --other, its divergence on texts of other kinds too. Rows that are in the results file already (--results) are not run
again. Bits count scales and zero points of the blocks' linears, MB all files.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# name -> (tool, scheme or options of strata, true bits where the tool does not say); {NAME:bits} and {NAME:bytes} in options are those
# of a row above, whose results must be there
ROWS = {
    "llm-compressor FP8 channel": ("llmcompressor", "fp8", 8.023),
    "strata fp8_channel": ("strata", "--preset uniform:fp8_channel", None),
    "optimum-quanto qint8": ("quanto", "qint8", 8.024),
    "strata int8_channel": ("strata", "--preset uniform:int8_channel", None),
    "llm-compressor NVFP4A16": ("llmcompressor", "nvfp4", 4.500),
    "strata nvfp4 gptq": ("strata", "--preset uniform:nvfp4 --method gptq", None),
    "optimum-quanto qint4": ("quanto", "qint4", 4.31),
    "llm-compressor GPTQ int4_g64": ("llmcompressor", "gptq:int4_g64", 4.25),
    "strata int4_g64 gptq": ("strata", "--preset uniform:int4_g64 --method gptq", None),
    "strata int4_g64 gptq, no correction": ("strata", "--preset uniform:int4_g64 --method gptq --no-asymmetric", None),
    "strata int4_g64 gptq, as published": ("strata", "--preset uniform:int4_g64 --method gptq --no-asymmetric --no-act-order", None),
    "AutoRound int4_g64, light": ("autoround", "int4_g64:light", 4.25),
    "AutoRound int4_g64": ("autoround", "int4_g64", 4.25),
    "strata int4_g64 gptq, tuned": ("strata", "--preset uniform:int4_g64 --method gptq --tune", None),
    "llm-compressor GPTQ int3_g64": ("llmcompressor", "gptq:int3_g64", 3.25),
    "AutoRound int3_g64": ("autoround", "int3_g64", 3.25),
    "strata int3_g64 gptq": ("strata", "--preset uniform:int3_g64 --method gptq --for transformers", None),
    "strata int3_g64 gptq, tuned": ("strata", "--preset uniform:int3_g64 --method gptq --tune --for transformers", None),
    "AutoRound int2_g32": ("autoround", "int2_g32", 2.5),
    "strata int2_g32 gptq": ("strata", "--preset uniform:int2_g32 --method gptq --for transformers", None),
    "strata int2_g32 gptq, tuned": ("strata", "--preset uniform:int2_g32 --method gptq --tune --for transformers", None),
    "AutoScheme 3.0, rtn": ("autoround", "auto:3.0:rtn", None),
    "strata best as AutoScheme 3.0, rtn": ("strata", "--bits {AutoScheme 3.0, rtn:bits} --method rtn --for transformers", None),
    "strata best as AutoScheme 3.0, gptq": ("strata", "--bits {AutoScheme 3.0, rtn:bits} --method gptq --for transformers", None),
    "AutoScheme 4.0, rtn": ("autoround", "auto:4.0:rtn", None),
    "strata best as AutoScheme 4.0, rtn": ("strata", "--bits {AutoScheme 4.0, rtn:bits} --method rtn --for transformers", None),
    "AutoScheme 4.0, light": ("autoround", "auto:4.0:light", None),
    "AutoScheme 4.0": ("autoround", "auto:4.0", None),
    "strata best as AutoScheme 4.0, gptq": ("strata", "--bits {AutoScheme 4.0, rtn:bits} --method gptq --for transformers", None),
    "AutoScheme 5.0, rtn": ("autoround", "auto:5.0:rtn", None),
    "strata best as AutoScheme 5.0, rtn": ("strata", "--bits {AutoScheme 5.0, rtn:bits} --method rtn --for transformers", None),
    "strata best as AutoScheme 5.0, gptq": ("strata", "--bits {AutoScheme 5.0, rtn:bits} --method gptq --for transformers", None),
    "ModelOpt auto_quantize 5.0": ("modelopt", "5.0", None),
    "strata best as ModelOpt 5.0, rtn": ("strata", "--bits {ModelOpt auto_quantize 5.0:bits} --method rtn", None),
    "strata best as ModelOpt 5.0, gptq": ("strata", "--bits {ModelOpt auto_quantize 5.0:bits} --method gptq", None),
    "strata best 3.5, transformers, gptq": ("strata", "--bits 3.5 --method gptq --for transformers", None),
    "strata best 4.5, vllm, gptq": ("strata", "--bits 4.5 --method gptq", None),
    "strata best 4.5, transformers, gptq": ("strata", "--bits 4.5 --method gptq --for transformers", None),
    "strata best 4.5, transformers, 40 steps of tuning": ("strata", "--bits 4.5 --method gptq --tune-steps 40 --for transformers", None),
    "strata best 5.5, vllm, gptq": ("strata", "--bits 5.5 --method gptq", None),
    "strata best 5.5, transformers, gptq": ("strata", "--bits 5.5 --method gptq --for transformers", None),
    "mlx-lm convert, 3 bits": ("mlx", "3", 3.5),
    "strata best 3.5, mlx": ("strata", "--bits 3.5 --embed-codec mlx3_g64 --for mlx", None),
    "strata best 3.5, mlx, gptq": ("strata", "--bits 3.5 --embed-codec mlx3_g64 --for mlx --method gptq", None),
    "mlx-lm dynamic_quant 3.5, 2 and 4 bits": ("mlx", "dynamic:2:4:3.5", None),
    "strata as dynamic_quant 3.5": ("strata", "--size {mlx-lm dynamic_quant 3.5, 2 and 4 bits:bytes} --for mlx --method rtn", None),
    "mlx-lm convert, 4 bits": ("mlx", "4", 4.5),
    "strata best 4.5, mlx": ("strata", "--bits 4.5 --embed-codec mlx4_g64 --for mlx", None),
    "strata best 4.5, mlx, gptq": ("strata", "--bits 4.5 --embed-codec mlx4_g64 --for mlx --method gptq", None),
    "mlx-lm dynamic_quant 4.5, 3 and 5 bits": ("mlx", "dynamic:3:5:4.5", None),
    "mlx-lm dwq, 4 bits": ("mlx", "dwq:4:1e-5", None),
    "strata as dynamic_quant 4.5": ("strata", "--size {mlx-lm dynamic_quant 4.5, 3 and 5 bits:bytes} --for mlx --method rtn", None),
    "mlx-lm convert, 5 bits": ("mlx", "5", 5.5),
    "strata best 5.5, mlx": ("strata", "--bits 5.5 --embed-codec mlx5_g64 --for mlx", None),
    "strata best 5.5, mlx, gptq": ("strata", "--bits 5.5 --embed-codec mlx5_g64 --for mlx --method gptq", None),
    "mlx-lm dynamic_quant 5.5, 4 and 6 bits": ("mlx", "dynamic:4:6:5.5", None),
    "strata as dynamic_quant 5.5": ("strata", "--size {mlx-lm dynamic_quant 5.5, 4 and 6 bits:bytes} --for mlx --method rtn", None),
}


def measured(command: list[str], environment: dict) -> tuple[float, float, str]:
    """Runs a command: seconds, peak MiB of it and its children, its stdout. Leaves with its last words when it fails."""
    begin = time.monotonic()
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - begin
        out.seek(0)
        err.seek(0)
        if os.waitstatus_to_exitcode(status) != 0:
            sys.exit(f"{' '.join(command)}\n{err.read()[-3000:]}")
        return seconds, usage.ru_maxrss / 1024, out.read()


def run_row(args: argparse.Namespace, tool: str, scheme: str, bits: float | None, out: pathlib.Path) -> dict:
    sampling = ["--calib", args.calib, "--samples", str(args.samples), "--seq-len", str(args.seq_len)]
    environment = dict(os.environ, OMP_NUM_THREADS=str(os.cpu_count()), TOKENIZERS_PARALLELISM="false", HF_HUB_OFFLINE="1")
    if tool == "strata":
        known = ["--scores", args.scores] if args.scores and re.search("--(bits|size)", scheme) else []
        command = [args.strata, "quantize", args.model, "-o", str(out), "--no-verify", "--json", *scheme.split(), *known, *sampling]
        seconds, peak, text = measured(command, environment)
        bits = json.loads(text)["bits"]
    else:
        venv = subprocess.run([ROOT / "scripts/make_venv.sh", tool], capture_output=True, text=True, check=True).stdout.strip()
        command = [venv + "/bin/python", str(ROOT / f"bench/peers/run_{tool}.py"), args.model, str(out), "--scheme", scheme, *sampling,
                   "--iters", str(args.iters)]
        seconds, peak, _ = measured(command, environment)
        noted = out / "peer.json"  # bits that only the tool knows
        bits = json.loads(noted.read_text())["bits"] if noted.exists() else bits

    def judge(text: str) -> dict:
        command = [args.strata, "eval", str(out), "--ref", args.model, "--text", text, "--samples", args.chunks, "--json"]
        return json.loads(measured(command, environment)[2])

    others = {pathlib.Path(text).name: judge(text)["kl_divergence"] for text in args.other}
    size = sum(file.stat().st_size for file in out.iterdir())
    return {"bits": bits, "bytes": size, "seconds": seconds, "peak_mib": peak, "eval": judge(args.text), "others": others}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("text")
    parser.add_argument("--calib", required=True)
    parser.add_argument("--other", nargs="*", default=[], help="texts of other kinds to judge by too")
    parser.add_argument("--scores", help="scores for the rows of best, of the same text; else each makes its own")
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--seq-len", type=int, default=512)
    parser.add_argument("--iters", type=int, default=200, help="steps of AutoRound (its default: 200)")
    parser.add_argument("--chunks", default="20")
    parser.add_argument("--only", default="", help="rows whose name matches this expression")
    parser.add_argument("--results", type=pathlib.Path, default=ROOT / "build/peers.json")
    parser.add_argument("--strata", default=str(ROOT / "build/release/strata"))
    args = parser.parse_args()
    results = json.loads(args.results.read_text()) if args.results.exists() else {}
    others = [pathlib.Path(text).name for text in args.other]
    heads = ["tool, scheme", "bits", "MB", "KL", "+-", "KL 99 %", "perplexity", "top-1", "seconds", "peak MiB",
             *(f"KL, {name}" for name in others)]
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    for name, (tool, scheme, bits) in ROWS.items():
        if not re.search(args.only, name):
            continue
        if name not in results:
            folder = pathlib.Path(tempfile.mkdtemp())
            options = re.sub(r"\{(.*?):(bits|bytes)\}", lambda match: f"{results[match[1]][match[2]]:.5g}" if match[2] == "bits"
                             else str(results[match[1]]["bytes"]), scheme)
            try:
                results[name] = run_row(args, tool, options, bits, folder / "out")
            finally:
                shutil.rmtree(folder)
            args.results.write_text(json.dumps(results, indent=1))
        r, e = results[name], results[name]["eval"]
        kl = e["kl_divergence"]
        on_others = [f"{r['others'][other]['mean']:.4f}" if other in r.get("others", {}) else "" for other in others]
        cells = [name, f"{r['bits']:.3f}" if r["bits"] else "", f"{r['bytes'] / 1e6:.1f}" if "bytes" in r else "", f"{kl['mean']:.4f}",
                 f"{kl['stderr']:.4f}", f"{kl['p99']:.3f}", f"{e['perplexity']:.2f}", f"{e['top1_agreement']:.4f}",
                 f"{r['seconds']:.0f}", f"{r['peak_mib']:.0f}", *on_others]
        print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
