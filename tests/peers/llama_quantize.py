#!/usr/bin/env python3
"""llama-quantize: llama.cpp's own llama_model_quantize, out of the library of scripts/download_llama_quantize.sh.
Runs in build/venv-llama.

usage: llama_quantize.py IN.gguf OUT.gguf MIX [--imatrix FILE] [--embed TYPE] [--tensor-type-file FILE]
MIX: Q4_K_M and the like. The importance matrix is a GGUF file as llama-imatrix writes it; sums are divided by counts, as
llama-quantize does. --embed: a ggml type for token_embd (and output). Prints the bytes of every tensor as JSON:
{"NAME": ["TYPE", bytes], ...}.
"""
import argparse
import ctypes
import json
import pathlib

import gguf
import numpy as np

C = ctypes
MIXES = {"Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K_S": 11, "Q3_K_M": 12, "Q3_K_L": 13,
         "Q4_K_S": 14, "Q4_K_M": 15, "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18, "IQ2_XXS": 19, "IQ2_XS": 20, "Q2_K_S": 21,
         "IQ3_XS": 22, "IQ3_XXS": 23, "IQ4_NL": 25, "IQ3_S": 26, "IQ3_M": 27, "IQ2_S": 28, "IQ2_M": 29, "IQ4_XS": 30}


class Imatrix(C.Structure):
    _fields_ = [("name", C.c_char_p), ("data", C.c_void_p), ("size", C.c_size_t)]


class Override(C.Structure):
    """llama_model_tensor_override: a regular expression, and the type of the tensors whose names it is found in."""
    _fields_ = [("pattern", C.c_char_p), ("type", C.c_int)]


class Params(C.Structure):
    """llama_model_quantize_params of the pinned version."""
    _fields_ = [("nthread", C.c_int32), ("ftype", C.c_int32), ("output_tensor_type", C.c_int32),
                ("token_embedding_type", C.c_int32), ("allow_requantize", C.c_bool), ("quantize_output_tensor", C.c_bool),
                ("only_copy", C.c_bool), ("pure", C.c_bool), ("keep_split", C.c_bool), ("dry_run", C.c_bool),
                ("imatrix", C.POINTER(Imatrix)), ("kv_overrides", C.c_void_p), ("tt_overrides", C.POINTER(Override)),
                ("prune_layers", C.c_void_p), ("max_buf_size", C.c_size_t)]


def library():
    folder = pathlib.Path(__file__).resolve().parents[2] / "build/llama-quantize"
    lib = C.CDLL(str(next(folder.glob("libllama.v*.so"))))
    lib.llama_model_quantize_default_params.restype = Params
    lib.llama_model_quantize.argtypes = [C.c_char_p, C.c_char_p, C.POINTER(Params)]
    lib.llama_model_quantize.restype = C.c_uint32
    return lib


def read_imatrix(path: str) -> dict[str, np.ndarray]:
    tensors = {t.name: np.asarray(t.data, np.float32).reshape(-1) for t in gguf.GGUFReader(path).tensors}
    return {name.removesuffix(".in_sum2"): np.ascontiguousarray(sums / tensors[name[:-8] + ".counts"][0])
            for name, sums in tensors.items() if name.endswith(".in_sum2")}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("source")
    parser.add_argument("output")
    parser.add_argument("mix", choices=sorted(MIXES))
    parser.add_argument("--imatrix")
    parser.add_argument("--embed")
    parser.add_argument("--tensor-type-file")
    args = parser.parse_args()
    lib = library()
    lib.llama_backend_init()
    params = lib.llama_model_quantize_default_params()
    params.nthread, params.ftype = 2, MIXES[args.mix]
    if args.embed:
        params.token_embedding_type = params.output_tensor_type = int(gguf.GGMLQuantizationType[args.embed])
    if args.imatrix:
        held = read_imatrix(args.imatrix)
        entries = (Imatrix * (len(held) + 1))()
        for entry, (name, values) in zip(entries, held.items()):
            entry.name, entry.data, entry.size = name.encode(), values.ctypes.data, values.size
        params.imatrix = entries
    if args.tensor_type_file:  # words NAME=TYPE, types by ggml's names in any case
        types = {t.name.lower(): int(t) for t in gguf.GGMLQuantizationType}
        pairs = [word.rsplit("=", 1) for word in pathlib.Path(args.tensor_type_file).read_text().split()]
        overrides = (Override * (len(pairs) + 1))(*[(name.encode(), types[kind.lower()]) for name, kind in pairs])
        params.tt_overrides = overrides
    code = lib.llama_model_quantize(args.source.encode(), args.output.encode(), C.byref(params))
    if code != 0:
        raise SystemExit(f"llama_model_quantize returned {code}")
    print(json.dumps({t.name: [t.tensor_type.name, int(t.n_bytes)] for t in gguf.GGUFReader(args.output).tensors}))


if __name__ == "__main__":
    main()
