#!/usr/bin/env python3
"""Our encoders of GGUF types beside ggml's own, on the same weights and importances; both are decoded by the gguf package.

    cmake --preset release -DSTRATA_BENCH=ON && cmake --build --preset release --target bench_encode_matrix
    build/venv-hf/bin/python bench/ggml_encoders.py build/models/smollm2-dither1 TEXT.txt [TYPE...]

Errors are sum h (w - decoded)^2 / sum h w^2, ratios ours to ggml's. Matrices: normal weights with importance 1 and with log-normal importance, and
linears of the model with h = mean of x^2 over their inputs on the text. Rows are cut to a multiple of 256. ggml is the one
in the xllamacpp wheel of build/venv-llama. Seconds are
processor time of one thread; ours count the start of the program and its files.
"""
import argparse
import ctypes
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
SITE = next((ROOT / "build/venv-llama/lib").glob("python*/site-packages"))
sys.path.append(str(SITE))
import gguf  # noqa: E402

TYPES = ["Q8_0", "Q6_K", "Q5_K", "Q5_1", "Q5_0", "Q4_K", "Q4_1", "Q4_0", "IQ4_NL", "IQ4_XS", "MXFP4", "Q3_K", "IQ3_S",
         "IQ3_XXS", "Q2_K", "IQ2_S", "IQ2_XS", "IQ2_XXS"]
LINEARS = [(3, "self_attn.q_proj"), (3, "self_attn.v_proj"), (10, "mlp.gate_proj"), (10, "mlp.down_proj"),
           (20, "self_attn.o_proj"), (20, "mlp.up_proj"), (28, "mlp.down_proj")]


def linears_of(folder: str, text: str):
    """(name, weights, mean of x^2) of some linears, over 1024 tokens of the text."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    ids = AutoTokenizer.from_pretrained(folder)(pathlib.Path(text).read_text()[:8000])["input_ids"][:1024]
    squares = {}
    modules = {f"{b}.{name}": model.get_submodule(f"model.layers.{b}.{name}") for b, name in LINEARS}
    for name, module in modules.items():
        module.register_forward_pre_hook(lambda _, x, name=name: squares.update({name: (x[0][0]**2).mean(0).numpy()}))
    with torch.no_grad():
        model(torch.tensor([ids]))
        for name, module in modules.items():
            cols = module.in_features // 256 * 256
            yield name, module.weight.numpy()[:256, :cols], squares[name][:cols]


def matrices(folder: str, text: str):
    rng = np.random.default_rng(1)
    w = rng.normal(size=(128, 2048)) * 0.02
    yield "normal", w, np.ones(2048)
    yield "normal, weighted", w, np.exp(2 * rng.normal(size=2048))
    yield from linears_of(folder, text)


class Ggml:
    def __init__(self):
        self.lib = ctypes.CDLL(str(next((SITE / "xllamacpp").glob("*.so"))))
        self.lib.ggml_quantize_chunk.restype = ctypes.c_size_t
        self.lib.ggml_quantize_chunk.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p] + [ctypes.c_int64] * 3 + [
            ctypes.c_void_p]

    def encode(self, kind, w, h):
        block, size = gguf.GGML_QUANT_SIZES[kind]
        out = np.zeros((w.shape[0], w.shape[1] // block * size), np.uint8)
        done = self.lib.ggml_quantize_chunk(int(kind), w.ctypes.data, out.ctypes.data, 0, *w.shape, h.ctypes.data)
        assert done == out.size, (kind, done, out.size)
        return out


def ours(kind, w, h, tool, folder):
    paths = [str(pathlib.Path(folder) / name) for name in ("w", "h", "out")]
    w.tofile(paths[0])
    h.tofile(paths[1])
    codec = {"MXFP4": "mxfp4_gguf"}.get(kind.name, kind.name.lower())
    subprocess.run([tool, codec, *map(str, w.shape), *paths], check=True)
    return np.fromfile(paths[2], np.uint8).reshape(w.shape[0], -1)


def error(kind, packed, w, h):
    d = gguf.dequantize(packed, kind).astype(np.float64) - w
    return float((h * d * d).sum() / (h * w.astype(np.float64)**2).sum())


def child_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("model")
    ap.add_argument("text")
    ap.add_argument("types", nargs="*", metavar="TYPE")
    ap.add_argument("--tool", default=str(ROOT / "build/release/bench/bench_encode_matrix"))
    args = ap.parse_args()
    ggml = Ggml()
    cases = [(n, np.ascontiguousarray(w, np.float32), np.ascontiguousarray(h, np.float32))
             for n, w, h in matrices(args.model, args.text)]
    print("ratio of our error to ggml's, type by matrix; seconds are sums\n")
    print("| type | " + " | ".join(n for n, _, _ in cases) + " | our error, normal | ggml's | our s | ggml's s |")
    print("|---|" + "---|" * (len(cases) + 4))
    for name in args.types or TYPES:
        kind = gguf.GGMLQuantizationType[name]
        ratios, errors, seconds = [], [], [0.0, 0.0]
        with tempfile.TemporaryDirectory() as folder:
            for _, w, h in cases:
                start, children = time.process_time(), child_seconds()
                packed = ggml.encode(kind, w, h)
                seconds[1] += time.process_time() - start
                theirs = error(kind, packed, w, h)
                mine = error(kind, ours(kind, w, h, args.tool, folder), w, h)
                seconds[0] += child_seconds() - children
                ratios.append(mine / theirs)
                errors.append((mine, theirs))
        print(f"| {name} | " + " | ".join(f"{r:.3f}" for r in ratios) +
              f" | {errors[0][0]:.6f} | {errors[0][1]:.6f} | {seconds[0]:.1f} | {seconds[1]:.1f} |", flush=True)


if __name__ == "__main__":
    main()
