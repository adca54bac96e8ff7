#!/usr/bin/env python3
"""Writes tests/golden/codecs.safetensors: small matrices with edge cases and the tensors of every codec for them.

usage: make_codec_goldens.py [OUT]

Independent of the C++ sources: numpy and Python integers, following docs/formats. Rounding is a search for the nearest
value of a table, packing is one big integer a row. When ../shared/tools/make_ct.py is beside the checkout, every tensor
is compared with what its quantize() gives.
"""
import importlib.util, json, os, struct, sys
import numpy as np

HERE = os.path.dirname(os.path.abspath(__file__))
F = np.float32


def nearest(x, values, is_even):
    """Index into rising `values` of the nearest one; a tie goes to the index for which is_even."""
    x, values = x.astype(np.float64), np.asarray(values, np.float64)
    up = np.clip(np.searchsorted(values, x), 1, len(values) - 1)
    below, above = x - values[up - 1], values[up] - x
    return np.where((below < above) | ((below == above) & is_even(up - 1)), up - 1, up)


def bf16(x):
    """float -> bf16 bits, by halves: the float32 is between two bf16 whose bits differ by one."""
    bits = np.asarray(x, F).view(np.uint32).astype(np.int64)
    low, rest = bits >> 16, bits & 0xFFFF
    return (low + ((rest > 0x8000) | ((rest == 0x8000) & (low % 2 == 1)))).astype(np.uint16)


def from_bf16(bits):
    return (bits.astype(np.uint32) << 16).view(F)


E4M3 = [(c % 8) * 2.0**-9 if c < 8 else (1 + c % 8 / 8) * 2.0 ** (c // 8 - 7) for c in range(127)]
E2M1 = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0]
even = lambda i: i % 2 == 0


def e4m3(x):
    return (nearest(np.abs(x), E4M3, even) | np.where(np.signbit(x), 128, 0)).astype(np.uint8)


def e2m1(x):
    return (nearest(np.abs(x), E2M1, even) | np.where(x < 0, 8, 0)).astype(np.uint8)


def stream(codes, bits):
    """codes (R, C) -> (R, ceil(C * bits / 32)) int32: code i at bit i * bits of its row's little-endian stream."""
    words = -(-codes.shape[1] * bits // 32)
    rows = [sum(int(c) << (i * bits) for i, c in enumerate(row)).to_bytes(4 * words, "little") for row in codes]
    return np.frombuffer(b"".join(rows), "<i4").reshape(len(codes), words)


def nibbles(codes):
    return (codes[:, 0::2] | codes[:, 1::2] << 4).astype(np.uint8)


def positive(scale):
    return np.where(scale == 0, F(1), scale)


def int_codec(w, bits, group, symmetric, packed=True):
    rows, cols = w.shape
    x = w.reshape(rows, -1, group or cols)
    low, high = np.minimum(x.min(-1), F(0)), np.maximum(x.max(-1), F(0))
    q_min, q_max = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    if symmetric:
        scale = np.maximum(-low, high) / F((2**bits - 1) / 2)
    else:
        scale = (high - low) / F(2**bits - 1)
    scale_bits = bf16(positive(scale))
    scale = from_bf16(scale_bits)
    zero = np.zeros_like(scale)
    if not symmetric:
        zero = np.rint(np.clip(F(q_min) - low / scale, F(q_min), F(q_max)))
    q = np.clip(np.rint(x / scale[..., None] + zero[..., None]), q_min, q_max).astype(np.int64).reshape(rows, cols)
    if not packed:
        return {"weight": ("I8", q.astype(np.int8)), "weight_scale": ("BF16", scale_bits)}
    out = {"weight_packed": ("I32", stream(q - q_min, bits)), "weight_scale": ("BF16", scale_bits),
           "weight_shape": ("I64", np.array([rows, cols], np.int64))}
    if not symmetric:
        codes = zero.astype(np.int64) - q_min
        out["weight_zero_point"] = ("I32", np.ascontiguousarray(stream(codes.T, bits).T))
    return out


def fp8_channel(w):
    scale_bits = bf16(positive(np.abs(w).max(-1, keepdims=True) / F(448)))
    return {"weight": ("F8_E4M3", e4m3(w / from_bf16(scale_bits))), "weight_scale": ("BF16", scale_bits)}


def nvfp4(w):
    divisor = F(448 * 6) / np.abs(w).max()
    x = w.reshape(len(w), -1, 16)
    scale = e4m3(divisor * (np.abs(x).max(-1) / F(6)))
    scale[scale == 0] = 0x20
    codes = e2m1(x / (np.array(E4M3, F)[scale] / divisor)[..., None]).reshape(w.shape)
    return {"weight_packed": ("U8", nibbles(codes)), "weight_scale": ("F8_E4M3", scale),
            "weight_global_scale": ("F32", np.array([divisor], F))}


def mxfp(w, bits):
    x = w.reshape(len(w), -1, 32)
    absmax = np.abs(x).max(-1).astype(np.float64)
    mantissa, exponent = np.frexp(absmax)  # absmax = mantissa * 2^exponent, mantissa in [0.5, 1)
    log2 = exponent - 1 + (mantissa >= 0.875)
    code = np.where(absmax == 0, 0, np.clip(log2 + 127 - (2 if bits == 4 else 8), 0, 254)).astype(np.uint8)
    y = (x.astype(np.float64) * 2.0 ** (127.0 - code[..., None])).astype(F).reshape(w.shape)
    if bits == 8:
        return {"weight": ("F8_E4M3", e4m3(y)), "weight_scale": ("U8", code)}
    return {"weight_packed": ("U8", nibbles(e2m1(y))), "weight_scale": ("U8", code)}


def codecs(channel_only):
    """name -> (function, scheme of make_ct.py as (format, weights))"""
    weights = lambda bits, kind, group, symmetric=True, **more: dict(
        num_bits=bits, type=kind, strategy="group" if group else "channel", symmetric=symmetric, group_size=group, **more)
    out = {}
    for group in (0,) if channel_only else (32, 64, 128, 0):
        suffix = f"g{group}" if group else "channel"
        for bits in range(2, 9):
            out[f"int{bits}_{suffix}"] = (lambda w, b=bits, g=group: int_codec(w, b, g, True),
                                          ("pack-quantized", weights(bits, "int", group)))
        for bits in range(2, 9):
            out[f"int{bits}_asym_{suffix}"] = (lambda w, b=bits, g=group: int_codec(w, b, g, False),
                                               ("pack-quantized", weights(bits, "int", group, False)))
    out["int8_w8a8"] = (lambda w: int_codec(w, 8, 0, True, False), ("int-quantized", weights(8, "int", 0)))
    out["fp8_channel"] = (fp8_channel, ("float-quantized", weights(8, "float", 0)))
    if not channel_only:
        out["nvfp4"] = (nvfp4, ("nvfp4-pack-quantized", weights(4, "float", 16)))
        for bits in (4, 8):
            scheme = ("mxfp4-pack-quantized" if bits == 4 else "mxfp8-quantized", weights(bits, "float", 32, scale_dtype="torch.uint8"))
            out[f"mxfp{bits}"] = (lambda w, b=bits: mxfp(w, b), scheme)
    return out


def matrices():
    random = np.random.default_rng(7)
    usual = random.normal(0, 0.02, (37, 128))
    usual[1] = 0
    usual[2] = 0.0137  # constant: its groups have one value
    usual[3] = -0.0137
    usual[4] = np.where(np.arange(128) % 2, 1, -1) * 0.5
    usual[5] = random.laplace(0, 0.02, 128)
    usual[6] = np.arange(128) / 64.0 - 1  # many exact ties
    usual[7] = (np.arange(128) % 29 - 14) / 8.0
    usual[8, 64:] = 0
    usual[9] = np.abs(usual[9])
    usual[10] = -np.abs(usual[10])
    usual[11] = 0
    usual[11, 100] = 0.3
    usual[12] = np.where(np.arange(128) % 3, 0.0, -0.0)
    usual[13] = 0.01 * 2.0 ** (-np.arange(128) % 24)
    extreme = random.normal(0, 0.02, (8, 128))
    extreme[0, 5] = 1e30
    extreme[1] *= 1e-36  # subnormal in float32 and bf16
    extreme[2] = 0
    extreme[3, 77] = -1e30
    extreme[4] *= 1e-30
    extreme[5] *= 1e20
    extreme[6] = -0.0
    ragged = random.normal(0, 0.05, (5, 75))
    return {name: from_bf16(bf16(m.astype(F))) for name, m in dict(usual=usual, extreme=extreme, ragged=ragged).items()}


def compare_with_make_ct(name, w, scheme, tensors, make_ct):
    args = dict(scheme[1])
    if scheme[0] == "nvfp4-pack-quantized":
        args["strategy"] = "tensor_group"
    divisor = tensors["weight_global_scale"][1][0] if "weight_global_scale" in tensors else None
    want = make_ct.quantize(w, {"format": scheme[0], "weights": args}, divisor)
    for suffix, (dtype, array) in want.items():
        mine = tensors[suffix]
        if mine[0] != dtype or mine[1].shape != array.shape or mine[1].tobytes() != np.ascontiguousarray(array).tobytes():
            raise SystemExit(f"{name}.{suffix} differs from make_ct.py")
    if set(want) != set(tensors):
        raise SystemExit(f"{name}: tensors {sorted(tensors)}, make_ct.py has {sorted(want)}")


def write_safetensors(path, tensors):
    header, offset = {}, 0
    for name, (dtype, array) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + b"".join(a.tobytes() for _, a in tensors.values()))


def main():
    out_path = sys.argv[1] if len(sys.argv) > 1 else os.path.join(HERE, "codecs.safetensors")
    judge, make_ct = os.path.join(HERE, "../../../shared/tools/make_ct.py"), None
    if os.path.exists(judge):
        spec = importlib.util.spec_from_file_location("make_ct", judge)
        make_ct = importlib.util.module_from_spec(spec)
        sys.dont_write_bytecode = True
        spec.loader.exec_module(make_ct)
    tensors, compared = {}, 0
    for matrix, w in matrices().items():
        tensors[f"{matrix}.weights"] = ("BF16", bf16(w))
        for name, (quantize, scheme) in codecs(matrix == "ragged").items():
            parts = {suffix: (dtype, np.ascontiguousarray(a)) for suffix, (dtype, a) in quantize(w).items()}
            if make_ct:
                compare_with_make_ct(f"{matrix}.{name}", w, scheme, parts, make_ct)
                compared += 1
            for suffix, part in parts.items():
                tensors[f"{matrix}.{name}.{suffix}"] = part
    write_safetensors(out_path, tensors)
    print(f"{out_path}: {os.path.getsize(out_path)} bytes; {compared} codec outputs equal to make_ct.py"
          if make_ct else f"{out_path}: {os.path.getsize(out_path)} bytes; make_ct.py not found, nothing compared")


if __name__ == "__main__":
    main()
