#!/usr/bin/env python3
"""Writes tests/golden/activations.safetensors: rows with edge cases, and what every rounding of activations makes of them.

usage: make_activation_goldens.py [OUT]

Independent of the C++ sources: numpy, following docs/formats/activations.md. Rounding is a search for the nearest value of
a table.
"""
import os
import sys

import numpy as np
from make_codec_goldens import E2M1, E4M3, F, nearest, write_safetensors

HERE = os.path.dirname(os.path.abspath(__file__))
LEAST_TOKEN_SCALE, LEAST_GROUP_MAGNITUDE = F(1) / F(448 * 512), F(1e-10)
FIXED_SCALE, DIVISOR = F(0.0371), F(448 * 6) / F(7.5)


def even(i):
    return i % 2 == 0


def on_grid(x, grid):
    """The nearest value of the grid, ties to the even code, saturating; the sign of x stays."""
    return np.copysign(np.array(grid, F)[nearest(np.abs(x), grid, even)], x)


def e4m3(x):
    return on_grid(x, E4M3)


def grouped(x, size):
    """(rows, groups, size), the last group filled up with zeros."""
    return np.pad(x, ((0, 0), (0, -x.shape[1] % size))).reshape(len(x), -1, size)


def largest(x):
    return np.abs(x).max(-1, keepdims=True)


def int8_token(x):
    scale = largest(x) / F(127)
    with np.errstate(divide="ignore", over="ignore"):
        reciprocal = F(1) / scale
    usable = np.isfinite(reciprocal)
    codes = np.clip(np.rint(x * np.where(usable, reciprocal, F(0))), -128, 127).astype(F)
    return np.where(usable, codes * scale + F(0), F(0))


def e4m3_token(x):
    scale = np.maximum(largest(x) / F(448), LEAST_TOKEN_SCALE)
    return e4m3(x / scale) * scale


def e4m3_groups(x):
    groups = grouped(x, 128)
    scale = np.maximum(largest(groups), LEAST_GROUP_MAGNITUDE) / F(448)
    return (e4m3(groups / scale) * scale).reshape(len(x), -1)[:, :x.shape[1]]


def e4m3_tensor(x):
    return e4m3(x * (F(1) / FIXED_SCALE)) * FIXED_SCALE


def e2m1(x):
    """A negative value that rounds to zero keeps its sign; -0.0 does not."""
    return np.where((x == 0), F(0), on_grid(x, E2M1))


def nvfp4(x):
    groups = grouped(x, 16)
    scale = e4m3(DIVISOR * (largest(groups) / F(6)))
    scale = np.where(scale == 0, F(0.125), scale) / DIVISOR
    return (e2m1(groups / scale) * scale).reshape(len(x), -1)[:, :x.shape[1]]


def power_of_two(x, exponent_of_most):
    """2^floor(log2 of the largest magnitude) over that of the grid's largest value, one more from a mantissa of 1.75 on."""
    mantissa, exponent = np.frexp(largest(x).astype(np.float64))
    log2 = np.where(mantissa == 0, -127, exponent - 1 + (mantissa >= 0.875))
    return np.ldexp(1.0, np.clip(log2 - exponent_of_most, -127, 127)).astype(F)


def mxfp4(x):
    groups = grouped(x, 32)
    scale = power_of_two(groups, 2)
    return (e2m1(groups / scale) * scale).reshape(len(x), -1)[:, :x.shape[1]]


def mxfp8(x):
    groups = grouped(x, 32)
    scale = power_of_two(groups, 8)
    return (e4m3(groups / scale) * scale).reshape(len(x), -1)[:, :x.shape[1]]


def rows():
    random = np.random.default_rng(11)
    usual = random.standard_normal((24, 224)) * 0.7
    usual[0] = 0
    usual[1] = 1.0
    usual[2] = -1.0
    usual[3] = np.arange(224) / 16 - 7  # many exact ties
    usual[4, 17] = 900.0  # an outlier, as massive activations are
    usual[5] *= 1e-4
    usual[6] *= 1e4
    usual[7] = np.where(np.arange(224) % 3, 0.0, -0.0)
    usual[8] = np.abs(usual[8])
    usual[9] = (np.arange(224) % 255 - 127) / 127
    usual[10, :128] = 0
    usual[11] = 448 * 2.0 ** -(np.arange(224) % 20)
    usual[12] = 1.75 * 2.0 ** (np.arange(224) // 32)
    extreme = random.standard_normal((7, 224))
    extreme[0] *= 1e-30
    extreme[1] *= 1e-42  # subnormal
    extreme[2] *= 1e30
    extreme[3, 5] = 3e38
    extreme[4] *= 1e-20
    extreme[5] = np.float32(1e-37)
    extreme[6] *= 2.0**-126
    wide = random.standard_t(3, (3, 1440))
    return {name: x.astype(F) for name, x in dict(usual=usual, extreme=extreme, wide=wide).items()}


def main():
    out = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "activations.safetensors")
    tensors = {}
    np.seterr(over="ignore")  # what becomes infinite saturates
    for name, x in rows().items():
        tensors[f"{name}.rows"] = ("F32", x)
        for rounding in (int8_token, e4m3_token, e4m3_groups, e4m3_tensor, nvfp4, mxfp4, mxfp8):
            tensors[f"{name}.{rounding.__name__}"] = ("F32", np.ascontiguousarray(rounding(x), F))
    tensors["scales"] = ("F32", np.array([FIXED_SCALE, DIVISOR], F))
    write_safetensors(out, tensors)
    print(f"{out}: {os.path.getsize(out)} bytes")


if __name__ == "__main__":
    main()
