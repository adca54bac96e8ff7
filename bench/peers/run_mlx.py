"""mlx-lm's own ways to a quantized folder, which `strata eval` reads. All of them quantize the embedding too. Schemes:

4              `convert` at so many bits in groups of 64; a name of one of its recipes (mixed_3_4): `--quant-predicate`
dynamic:3:5:4.5  `dynamic_quant` with low and high bits at a target of bits a weight, groups of 64
dwq:4:1e-6     `dwq` at so many bits with a learning rate (its default is 1e-6), batches of one sample, --iters steps at most

The last two are mlx-lm's functions, given the calibration text in place of the data that they would download, and run in float32:
MLX multiplies bfloat16 on a CPU with plain loops. What is written is bfloat16, as ever. A BLAS that is worth the name is loaded when
the linker finds one (libopenblas), since the one in mlx-cpu is the reference's; and dwq multiplies by w = scale * code + bias itself
(the same function with the same gradients), which is faster on a CPU than MLX's product with packed weights.
"""
import ctypes
import ctypes.util
import os
import subprocess
import sys

import peer_model

GROUP = 64


def load_in_float32(args):
    import mlx.core as mx
    from mlx_lm.utils import load

    model, tokenizer, config = load(str(args.model.resolve()), return_config=True)
    model.set_dtype(mx.float32)
    return model, tokenizer, config


def save_as_bfloat16(args, model, tokenizer, config) -> None:
    import mlx.core as mx
    from mlx_lm.utils import save

    model.set_dtype(mx.bfloat16)
    save(str(args.out), str(args.model.resolve()), model, tokenizer, config)


def dynamic(args, low: int, high: int, target: float) -> None:
    import mlx.core as mx
    from mlx_lm.quant.dynamic_quant import estimate_sensitivities, estimate_threshold
    from mlx_lm.utils import quantize_model

    model, tokenizer, config = load_in_float32(args)
    ids = mx.array(peer_model.calibration_ids(args))
    sensitivities = dict(estimate_sensitivities(model, ids, low, GROUP, high, GROUP, batch_size=2))
    model.set_dtype(mx.bfloat16)
    threshold = estimate_threshold(model, sensitivities, target, low, GROUP, high, GROUP)

    def bits_of(path, module):
        if not hasattr(module, "to_quantized"):
            return False
        return {"bits": high, "group_size": GROUP} if sensitivities[path] > threshold else True

    model, config = quantize_model(model, config, group_size=GROUP, bits=low, quant_predicate=bits_of)
    save_as_bfloat16(args, model, tokenizer, config)


def multiply_by_dense_weights() -> None:
    """Quantized linears and embeddings multiply by their dequantized weights; gradients reach scales and biases."""
    import mlx.core as mx
    import mlx.nn as nn

    codes = {}

    def dense(self):
        key = id(self)
        if key not in codes:
            plain = mx.dequantize(self["weight"], mx.ones_like(self["scales"]), mx.zeros_like(self["biases"]), self.group_size, self.bits)
            codes[key] = mx.stop_gradient(plain.reshape(*self["scales"].shape, self.group_size))
            mx.eval(codes[key])
        return (codes[key] * self["scales"][..., None] + self["biases"][..., None]).reshape(self["scales"].shape[0], -1)

    nn.QuantizedLinear.__call__ = lambda self, x: x @ dense(self).T + (self["bias"] if "bias" in self else 0)
    nn.QuantizedEmbedding.__call__ = lambda self, x: dense(self)[x]
    nn.QuantizedEmbedding.as_linear = lambda self, x: x @ dense(self).T


def dwq(args, bits: int, rate: float) -> None:
    import copy

    import mlx.core as mx
    import mlx.optimizers as optimizers
    from mlx_lm.quant.dwq import dwq_quantize
    from mlx_lm.utils import quantize_model

    model, tokenizer, config = load_in_float32(args)
    student, config = quantize_model(copy.deepcopy(model), config, group_size=GROUP, bits=bits)
    samples = [(piece, 0) for piece in peer_model.calibration_ids(args)]
    multiply_by_dense_weights()
    dwq_quantize(student, lambda batch, _, split: model(batch), optimizers.Adam(learning_rate=rate, bias_correction=True),
                 samples[: args.iters], samples[-4:], batch_size=1, max_seq_length=args.seq_len, seed=123, dtype=mx.float32)
    save_as_bfloat16(args, student, tokenizer, config)


def main() -> None:
    args = peer_model.arguments(__doc__)
    how, *values = args.scheme.split(":")
    if how not in ("dynamic", "dwq"):
        words = ["--q-bits", how, "--q-group-size", str(GROUP)] if how.isdigit() else ["--quant-predicate", how]
        subprocess.run([sys.executable, "-m", "mlx_lm", "convert", "--hf-path", str(args.model.resolve()), "--mlx-path", str(args.out),
                        "-q", *words], check=True)
        return
    blas = os.environ.get("STRATA_OPENBLAS") or ctypes.util.find_library("openblas")
    if blas:
        ctypes.CDLL(blas, mode=ctypes.RTLD_GLOBAL)
    {"dynamic": dynamic, "dwq": dwq}[how](args, *(float(v) if "." in v or "e" in v else int(v) for v in values))


if __name__ == "__main__":
    main()
