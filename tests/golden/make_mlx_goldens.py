"""Writes mlx.safetensors: what MLX itself makes of one matrix in each of its quantizations, and what it reads back.

usage: build/venv-mlx/bin/python tests/golden/make_mlx_goldens.py
"""

import pathlib

import mlx.core as mx
import numpy

HERE = pathlib.Path(__file__).resolve().parent
ROWS, COLS = 6, 128
AFFINE = [(f"mlx{bits}_g{group}", "affine", bits, group) for bits in (2, 3, 4, 5, 6, 8) for group in (32, 64, 128)]
FLOATS = [("mlx_mxfp4", "mxfp4", 4, 32), ("mlx_nvfp4", "nvfp4", 4, 16), ("mlx_mxfp8", "mxfp8", 8, 32)]


def weights():
    """Usual rows, one of large values, one whose values are all positive, and one of zeros."""
    rows = numpy.random.default_rng(1).normal(size=(ROWS, COLS)).astype(numpy.float32) * 0.05
    rows[2] *= 200
    rows[3] = abs(rows[3])
    rows[4, ::7] *= 20
    rows[5] = 0
    return mx.array(rows).astype(mx.bfloat16)


def main():
    given = weights()
    tensors = {"weights": given}
    for name, mode, bits, group in AFFINE + FLOATS:
        parts = mx.quantize(given, group, bits, mode=mode)
        for suffix, part in zip(("weight", "scales", "biases"), parts):
            tensors[f"{name}.{suffix}"] = part
        wide = [p.astype(mx.float32) if p.dtype == mx.bfloat16 else p for p in parts]
        values = mx.dequantize(*wide, group_size=group, bits=bits, mode=mode, dtype=mx.float32)
        tensors[f"{name}.values"] = values
    mx.save_safetensors(str(HERE / "mlx.safetensors"), tensors)


main()
