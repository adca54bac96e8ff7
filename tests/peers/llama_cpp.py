#!/usr/bin/env python3
"""llama.cpp by its C interface, out of the library that the xllamacpp wheel carries. Runs in build/venv-llama.

usage: llama_cpp.py MODEL.gguf TEXT.txt OUT.npz [N]
OUT: `ids` of the whole text without special tokens, `logits` (N, vocabulary) after each of the first N tokens (default
none), `generated`: 16 greedy tokens behind the first eight. What llama.cpp says while it loads goes to stderr.
"""
import ctypes
import pathlib
import sys

import numpy as np

C = ctypes


class Opaque(C.Structure):
    """A parameter struct of any version: larger than it can be. llama.h returns and takes these by value, in memory."""
    _fields_ = [("words", C.c_uint32 * 256)]


class Batch(C.Structure):
    _fields_ = [("n_tokens", C.c_int32), ("token", C.c_void_p), ("embd", C.c_void_p), ("pos", C.c_void_p),
                ("n_seq_id", C.c_void_p), ("seq_id", C.c_void_p), ("logits", C.c_void_p)]


def library():
    import xllamacpp
    lib = C.CDLL(str(next(pathlib.Path(xllamacpp.__file__).parent.glob("*.so"))))
    for name, result, arguments in [
        ("llama_model_default_params", Opaque, []),
        ("llama_context_default_params", Opaque, []),
        ("llama_model_load_from_file", C.c_void_p, [C.c_char_p, Opaque]),
        ("llama_init_from_model", C.c_void_p, [C.c_void_p, Opaque]),
        ("llama_model_get_vocab", C.c_void_p, [C.c_void_p]),
        ("llama_vocab_n_tokens", C.c_int32, [C.c_void_p]),
        ("llama_tokenize", C.c_int32, [C.c_void_p, C.c_char_p, C.c_int32, C.c_void_p, C.c_int32, C.c_bool, C.c_bool]),
        ("llama_batch_get_one", Batch, [C.c_void_p, C.c_int32]),
        ("llama_decode", C.c_int32, [C.c_void_p, Batch]),
        ("llama_get_logits_ith", C.POINTER(C.c_float), [C.c_void_p, C.c_int32]),
        ("llama_set_n_threads", None, [C.c_void_p, C.c_int32, C.c_int32]),
        ("llama_get_memory", C.c_void_p, [C.c_void_p]),
        ("llama_memory_clear", None, [C.c_void_p, C.c_bool]),
    ]:
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


class Model:
    def __init__(self, path: str, n_ctx: int = 512):
        self.lib = library()
        self.lib.llama_backend_init()
        self.model = self.lib.llama_model_load_from_file(path.encode(), self.lib.llama_model_default_params())
        if not self.model:
            raise SystemExit(f"llama.cpp does not load {path}")
        params = self.lib.llama_context_default_params()
        params.words[0] = params.words[1] = params.words[2] = n_ctx  # n_ctx, n_batch, n_ubatch
        self.context = self.lib.llama_init_from_model(self.model, params)
        self.lib.llama_set_n_threads(self.context, 1, 1)  # its threads wait spinning, which a busy machine pays for
        self.vocab = self.lib.llama_model_get_vocab(self.model)
        self.size = self.lib.llama_vocab_n_tokens(self.vocab)

    def tokenize(self, text: str) -> np.ndarray:
        data = text.encode()
        ids = np.zeros(len(data) + 16, np.int32)
        count = self.lib.llama_tokenize(self.vocab, data, len(data), ids.ctypes.data, len(ids), False, False)
        assert count >= 0, count
        return ids[:count]

    def logits(self, ids: np.ndarray, fresh: bool = True) -> np.ndarray:
        """(len(ids), vocabulary)."""
        if fresh:
            self.lib.llama_memory_clear(self.lib.llama_get_memory(self.context), True)
        ids = np.ascontiguousarray(ids, np.int32)
        wanted = np.ones(len(ids), np.int8)
        batch = self.lib.llama_batch_get_one(ids.ctypes.data, len(ids))
        batch.logits = wanted.ctypes.data
        code = self.lib.llama_decode(self.context, batch)
        assert code == 0, code
        return np.stack([np.ctypeslib.as_array(self.lib.llama_get_logits_ith(self.context, i), (self.size,)).copy()
                         for i in range(len(ids))])


def main() -> None:
    path, text, out = sys.argv[1:4]
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 0
    model = Model(path)
    ids = model.tokenize(pathlib.Path(text).read_text())
    logits = model.logits(ids[:count]) if count else np.zeros((0, model.size), np.float32)
    generated = [int(model.logits(ids[:8])[-1].argmax())]
    while len(generated) < 16:
        generated.append(int(model.logits(np.array(generated[-1:]), fresh=False)[-1].argmax()))
    np.savez(out, ids=ids, logits=logits, generated=generated)


if __name__ == "__main__":
    main()
