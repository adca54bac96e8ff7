#!/usr/bin/env python3
"""Writes gguf_types.safetensors: random blocks of each ggml type and what the gguf package makes of them.

usage: make_gguf_goldens.py            (needs: pip install gguf==0.19.0 numpy safetensors)
Tensors: TYPE.bytes U8 [rows, row bytes], TYPE.weights F32 [rows, cols]; TYPE.grid I8 [points, levels], its codebook. Random scales include NaN, infinities and
subnormals. The same seed gives the same file.
"""
import pathlib

import gguf
import numpy as np
from safetensors.numpy import save_file

TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K", "Q2_K", "Q3_K",
         "IQ4_NL", "IQ4_XS", "IQ3_S", "IQ3_XXS", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_S", "IQ1_M", "TQ1_0", "TQ2_0", "MXFP4",
         "NVFP4"]
GRIDS = ["IQ3_S", "IQ3_XXS", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_S"]
ROWS, COLS = 4, 512


def main():
    tensors = {}
    rng = np.random.default_rng(20240624)
    for name in TYPES:
        kind = gguf.GGMLQuantizationType[name]
        block, size = gguf.GGML_QUANT_SIZES[kind]
        packed = rng.integers(0, 256, (ROWS, COLS // block * size), dtype=np.uint8)
        with np.errstate(all="ignore"):
            weights = gguf.dequantize(packed, kind)
        assert weights.shape == (ROWS, COLS) and weights.dtype == np.float32
        tensors[f"{name}.bytes"] = packed
        tensors[f"{name}.weights"] = np.ascontiguousarray(weights)
    for name in GRIDS:
        codebook = getattr(gguf.quants, name)
        codebook.init_grid()
        tensors[f"{name}.grid"] = codebook.grid.reshape(codebook.grid_shape).astype(np.int8)
    save_file(tensors, pathlib.Path(__file__).with_name("gguf_types.safetensors"))


if __name__ == "__main__":
    main()
