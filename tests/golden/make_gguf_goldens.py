#!/usr/bin/env python3
"""Writes gguf_types.safetensors: random blocks of each ggml type and what the gguf package makes of them, or ggml itself
where the package has no decoder.

usage: make_gguf_goldens.py            (needs: pip install -r tests/peers/requirements-llama.txt safetensors)
Tensors: TYPE.bytes U8 [rows, row bytes], TYPE.weights F32 [rows, cols]; TYPE.grid I8 [points, levels], its codebook. Random scales include NaN, infinities and
subnormals. The same seed gives the same file.
"""
import ctypes
import pathlib

import gguf
import numpy as np
import xllamacpp
from safetensors.numpy import save_file

TYPES = ["F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q4_K", "Q5_K", "Q6_K", "Q2_K", "Q3_K",
         "IQ4_NL", "IQ4_XS", "IQ3_S", "IQ3_XXS", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_S", "IQ1_M", "TQ1_0", "TQ2_0", "MXFP4",
         "NVFP4"]
OF_GGML = {"Q1_0": 41, "Q2_0": 42}  # not in the gguf package, or without a decoder
GRIDS = ["IQ3_S", "IQ3_XXS", "IQ2_S", "IQ2_XS", "IQ2_XXS", "IQ1_S"]
ROWS, COLS = 4, 512


class Traits(ctypes.Structure):
    """struct ggml_type_traits of ggml.h."""
    _fields_ = [("name", ctypes.c_char_p), ("block", ctypes.c_int64), ("interleaved", ctypes.c_int64),
                ("size", ctypes.c_size_t), ("quantized", ctypes.c_bool), ("to_float", ctypes.CFUNCTYPE(
                    None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)), ("from_float", ctypes.c_void_p)]


def by_ggml(number: int, rng) -> tuple[np.ndarray, np.ndarray]:
    """Random rows of a type, and ggml's own weights of them."""
    library = ctypes.CDLL(str(next(pathlib.Path(xllamacpp.__file__).parent.glob("*.so"))))
    library.ggml_get_type_traits.restype = ctypes.POINTER(Traits)
    traits = library.ggml_get_type_traits(number).contents
    packed = rng.integers(0, 256, (ROWS, COLS // traits.block * traits.size), dtype=np.uint8)
    weights = np.empty((ROWS, COLS), np.float32)
    traits.to_float(packed.ctypes.data, weights.ctypes.data, weights.size)
    return packed, weights


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
    for name, number in OF_GGML.items():
        tensors[f"{name}.bytes"], tensors[f"{name}.weights"] = by_ggml(number, rng)
    for name in GRIDS:
        codebook = getattr(gguf.quants, name)
        codebook.init_grid()
        tensors[f"{name}.grid"] = codebook.grid.reshape(codebook.grid_shape).astype(np.int8)
    save_file(tensors, pathlib.Path(__file__).with_name("gguf_types.safetensors"))


if __name__ == "__main__":
    main()
