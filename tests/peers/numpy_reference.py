"""compressed-tensors checkpoints in numpy: every codec's min-max encoder and its decoder, written from the format's rules.

The specification is docs/formats/compressed-tensors.md. Slow and plain on purpose: it judges the C++ that is neither.
Weights are f32 arrays [O, I]; a stored tensor is a pair (safetensors dtype name, array).
"""
import dataclasses
import json
import pathlib
import re
import struct

import numpy as np

DTYPES = {"BF16": np.uint16, "F16": np.float16, "F32": np.float32, "F8_E4M3": np.uint8, "U8": np.uint8, "I8": np.int8,
          "I32": np.int32, "I64": np.int64}
Tensor = tuple[str, np.ndarray]
LINEAR = re.compile(r"model\.layers\.\d+\.(?:self_attn|mlp)\.\w+_proj")


# ---------------------------------------------------------------- number formats
def to_bf16(x: np.ndarray) -> np.ndarray:
    """f32 -> bf16 bits, half to even."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def from_bf16(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def round_to_bf16(x: np.ndarray) -> np.ndarray:
    return from_bf16(to_bf16(x))


# Magnitudes in the order of their codes; neighbours alternate between even and odd mantissas.
E4M3 = np.array([m * 2.0**-9 for m in range(8)] +
                [(1 + m / 8) * 2.0**(e - 7) for e in range(1, 16) for m in range(8)][:-1], np.float32)
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6], np.float32)


def nearest_code(x: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Code of the magnitude nearest to |x|, ties to the even code, saturating."""
    middle = (grid[1:].astype(np.float64) + grid[:-1]) / 2
    a = np.abs(x).astype(np.float64)
    up = np.searchsorted(middle, a, side="right")  # a tie goes up here
    tie = (up > 0) & (a == middle[np.maximum(up - 1, 0)])
    return (up - (tie & (up % 2 == 1))).astype(np.uint8)


def to_e4m3(x: np.ndarray) -> np.ndarray:
    return nearest_code(x, E4M3) | (np.signbit(x).astype(np.uint8) << 7)


def from_e4m3(code: np.ndarray) -> np.ndarray:
    magnitude = E4M3[np.minimum(code & 127, len(E4M3) - 1)]
    return np.where(code & 127 == 127, np.float32(np.nan), np.where(code & 128, -magnitude, magnitude))


def to_e2m1(x: np.ndarray) -> np.ndarray:
    """A negative weight that rounds to zero keeps its sign (code 8); -0.0 itself does not."""
    return nearest_code(x, E2M1) | ((x < 0).astype(np.uint8) << 3)


def from_e2m1(code: np.ndarray) -> np.ndarray:
    return np.where(code & 8, -E2M1[code & 7], E2M1[code & 7])


def pack_bits(codes: np.ndarray, bits: int) -> np.ndarray:
    """[R, C] codes of `bits` bits -> I32 [R, ceil(C * bits / 32)]: one little-endian bit stream a row."""
    stream = ((codes[..., None].astype(np.uint32) >> np.arange(bits, dtype=np.uint32)) & 1).reshape(len(codes), -1)
    stream = np.pad(stream, ((0, 0), (0, -stream.shape[1] % 32))).astype(np.uint8)
    return np.packbits(stream, axis=1, bitorder="little").view("<i4")


def unpack_bits(words: np.ndarray, bits: int, count: int) -> np.ndarray:
    stream = np.unpackbits(np.ascontiguousarray(words).view(np.uint8), axis=1, bitorder="little")[:, :count * bits]
    return (stream.reshape(len(words), count, bits).astype(np.int32) << np.arange(bits)).sum(-1, dtype=np.int32)


def nibbles(codes: np.ndarray) -> np.ndarray:
    return codes[:, 0::2] | (codes[:, 1::2] << 4)


def from_nibbles(packed: np.ndarray) -> np.ndarray:
    return np.stack([packed & 15, packed >> 4], -1).reshape(len(packed), -1)


# ---------------------------------------------------------------- codecs
@dataclasses.dataclass(frozen=True)
class Codec:
    family: str  # int, fp8, fp8_block, nvfp4, mxfp4, mxfp8
    bits: int
    group_size: int  # 0: a channel (row)
    symmetric: bool = True

    def weights_config(self) -> dict:
        """What the checkpoint's config must say of the weights."""
        if self.family == "fp8_block":
            return {"num_bits": 8, "type": "float", "strategy": "block", "block_structure": [128, 128], "symmetric": True, "dynamic": False}
        strategy = "tensor_group" if self.family == "nvfp4" else "group" if self.group_size else "channel"
        expected = {"num_bits": self.bits, "type": "int" if self.family == "int" else "float", "strategy": strategy,
                    "symmetric": self.symmetric, "dynamic": False}
        return {**expected, "group_size": self.group_size} if self.group_size else expected

    def formats(self) -> set[str]:
        """The compressed-tensors formats that may hold it."""
        if self.family == "int":
            return {"pack-quantized"} | ({"int-quantized"} if self.bits == 8 and self.symmetric else set())
        return {"fp8": {"float-quantized", "naive-quantized"}, "fp8_block": {"float-quantized", "naive-quantized"},
                "nvfp4": {"nvfp4-pack-quantized"},
                "mxfp4": {"mxfp4-pack-quantized"}, "mxfp8": {"mxfp8-quantized"}}[self.family]


def parse_codec(name: str) -> Codec:
    """int4_g64, int4_asym_g64, int8_channel, int8_w8a8 (int8_channel in another format), fp8_channel, nvfp4, mxfp4, mxfp8; those whose
    inputs are rounded have the weights of these."""
    fixed = {"int8_w8a8": Codec("int", 8, 0), "fp8_channel": Codec("fp8", 8, 0), "fp8_static": Codec("fp8", 8, 0),
             "fp8_block": Codec("fp8_block", 8, 128),
             "nvfp4": Codec("nvfp4", 4, 16), "nvfp4_a4": Codec("nvfp4", 4, 16),
             "mxfp4": Codec("mxfp4", 4, 32), "mxfp4_a4": Codec("mxfp4", 4, 32),
             "mxfp8": Codec("mxfp8", 8, 32), "mxfp8_a8": Codec("mxfp8", 8, 32)}
    if name in fixed:
        return fixed[name]
    bits, asym, group = re.fullmatch(r"int(\d)_(asym_)?(?:g(\d+)|channel)", name).groups()
    return Codec("int", int(bits), int(group or 0), not asym)


def global_scale(absmax: float) -> np.float32:
    """NVFP4's divisor from the largest magnitude of all linears that a runtime fuses."""
    return np.float32(448 * 6) / np.float32(absmax)


def block_scale(absmax: float) -> np.float32:
    """fp8_block's power of two, from the largest magnitude of all linears that a runtime fuses."""
    mantissa, exponent = np.frexp(np.float64(absmax) / 448)
    return np.float32(1) if absmax == 0 else np.ldexp(np.float32(1), max(int(exponent) - int(mantissa == 0.5), -126))


def shared_scale(codec: Codec, linears: list[np.ndarray]) -> np.float32:
    """What the linears that a runtime fuses have in common."""
    return (block_scale if codec.family == "fp8_block" else global_scale)(max(np.abs(w).max() for w in linears))


def encode(w: np.ndarray, codec: Codec, form: str, divisor: np.float32 | None = None) -> dict[str, Tensor]:
    """Plain min-max scales and the nearest code. form: the compressed-tensors format; divisor: shared_scale, of nvfp4 and
    fp8_block only."""
    rows, cols = w.shape
    x = w.reshape(rows, -1, codec.group_size or cols)
    absmax = np.abs(x).max(-1)
    if codec.family == "int":
        return encode_int(x, codec, form)
    if codec.family == "nvfp4":
        scale = to_e4m3(divisor * (absmax / np.float32(6)))
        scale[scale == 0] = to_e4m3(np.float32(0.125))
        codes = to_e2m1(x / (from_e4m3(scale) / divisor)[..., None]).reshape(rows, cols)
        return {"weight_packed": ("U8", nibbles(codes)), "weight_scale": ("F8_E4M3", scale),
                "weight_global_scale": ("F32", np.array([divisor], np.float32))}
    if codec.family == "fp8_block":
        scale = np.full((-(-rows // 128), cols // 128), divisor, np.float32)
        return {"weight": ("F8_E4M3", to_e4m3(w / divisor)), "weight_scale": ("BF16", to_bf16(scale))}
    if codec.family == "fp8":
        scale = absmax / np.float32(448)
        scale = round_to_bf16(np.where(scale == 0, np.float32(1), scale))
        codes = to_e4m3(x / scale[..., None]).reshape(rows, cols)
        return {"weight": ("F8_E4M3", codes), "weight_scale": ("BF16", to_bf16(scale))}
    # MX: the exponent of the largest magnitude, which is rounded up to the next power of two from a mantissa of 1.75 on.
    mantissa, exponent = np.frexp(absmax.astype(np.float64))  # absmax = mantissa * 2^exponent, mantissa in [0.5, 1)
    floor_log2 = np.where(absmax == 0, -127, exponent - 1 + (mantissa >= 0.875))
    stored = np.clip(127 + floor_log2 - (2 if codec.family == "mxfp4" else 8), 0, 254)
    y = np.ldexp(x.astype(np.float64), (127 - stored)[..., None]).astype(np.float32).reshape(rows, cols)
    scale = {"weight_scale": ("U8", stored.astype(np.uint8))}
    if codec.family == "mxfp8":
        return {"weight": ("F8_E4M3", to_e4m3(y)), **scale}
    return {"weight_packed": ("U8", nibbles(to_e2m1(y))), **scale}


def encode_int(x: np.ndarray, codec: Codec, form: str) -> dict[str, Tensor]:
    """x: [rows, groups, group]."""
    rows, half = len(x), 2**(codec.bits - 1)
    low, high = np.minimum(x.min(-1), 0), np.maximum(x.max(-1), 0)
    span = np.float32(2**codec.bits - 1)
    scale = np.maximum(-low, high) / (span / np.float32(2)) if codec.symmetric else (high - low) / span
    scale = round_to_bf16(np.where(scale == 0, np.float32(1), scale))
    zero = np.zeros(scale.shape, np.float32) if codec.symmetric else np.rint(np.clip(-half - low / scale, -half, half - 1))
    q = np.clip(np.rint(x / scale[..., None] + zero[..., None]), -half, half - 1).astype(np.int32).reshape(rows, -1)
    stored = {"weight_scale": ("BF16", to_bf16(scale))}
    if form == "int-quantized":
        return {"weight": ("I8", q.astype(np.int8)), **stored}
    if not codec.symmetric:
        packed = pack_bits(zero.astype(np.int32).T + half, codec.bits).T
        stored["weight_zero_point"] = ("I32", np.ascontiguousarray(packed))
    return {"weight_packed": ("I32", pack_bits(q + half, codec.bits)), **stored,
            "weight_shape": ("I64", np.array(q.shape, np.int64))}


def decode(parts: dict[str, Tensor], codec: Codec) -> np.ndarray:
    """The inverse: f32 [O, I], products rounded once to f32."""
    scale_dtype, scale = parts["weight_scale"]
    if scale_dtype == "U8":
        scale = np.ldexp(np.float32(1), scale.astype(np.int32) - 127)
    else:
        scale = from_bf16(scale) if scale_dtype == "BF16" else from_e4m3(scale)
    if "weight" in parts:
        dtype, stored = parts["weight"]
        values = from_e4m3(stored) if dtype == "F8_E4M3" else stored.astype(np.float32)
    elif codec.family == "int":
        cols = int(parts["weight_shape"][1][1])
        values = (unpack_bits(parts["weight_packed"][1], codec.bits, cols) - 2**(codec.bits - 1)).astype(np.float32)
    else:
        values = from_e2m1(from_nibbles(parts["weight_packed"][1]))
    rows = len(values)
    if codec.family == "fp8_block":
        scale = scale.repeat(128, 0)[:rows]
    x = values.reshape(rows, scale.shape[1], -1)
    if "weight_global_scale" in parts:
        scale = scale / parts["weight_global_scale"][1].item()
    if "weight_zero_point" in parts:
        zero = unpack_bits(parts["weight_zero_point"][1].T, codec.bits, rows).T - 2**(codec.bits - 1)
        x = x - zero[..., None].astype(np.float32)
    return (x * scale[..., None].astype(np.float32)).astype(np.float32).reshape(rows, -1)


# ---------------------------------------------------------------- checkpoints
def read_folder(folder: pathlib.Path) -> dict[str, Tensor]:
    """All tensors of all shards."""
    tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            (length,) = struct.unpack("<Q", file.read(8))
            header = json.loads(file.read(length))
        data = np.memmap(path, np.uint8, "r", 8 + length)
        for name, entry in header.items():
            if name != "__metadata__":
                raw = np.frombuffer(data[slice(*entry["data_offsets"])], DTYPES[entry["dtype"]])
                tensors[name] = (entry["dtype"], raw.reshape(entry["shape"]))
    return tensors


def write_folder(folder: pathlib.Path, tensors: dict[str, Tensor], config: dict) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, (dtype, a) in tensors.items():
        header[name] = {"dtype": dtype, "shape": list(a.shape), "data_offsets": [offset, offset + a.nbytes]}
        offset += a.nbytes
    text = json.dumps(header).encode()
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, a in tensors.values():
            file.write(np.ascontiguousarray(a).tobytes())
    (folder / "config.json").write_text(json.dumps(config, indent=1))


def parts_of(tensors: dict[str, Tensor], module: str) -> dict[str, Tensor]:
    return {name[len(module) + 1:]: t for name, t in tensors.items() if name.rpartition(".")[0] == module}


def codec_of_config(weights: dict) -> Codec:
    """A config group's `weights` -> codec."""
    if weights["type"] == "int":
        return Codec("int", weights["num_bits"], weights.get("group_size") or 0, weights["symmetric"])
    if weights["strategy"] in ("channel", "block"):
        return parse_codec(f"fp8_{weights['strategy']}")
    if weights["strategy"] == "tensor_group":
        return Codec("nvfp4", 4, 16)
    return Codec("mxfp4" if weights["num_bits"] == 4 else "mxfp8", weights["num_bits"], 32)


def groups_of(folder: pathlib.Path) -> dict[str, dict]:
    """Module -> its config group, for a checkpoint whose targets are exact names or patterns; what `ignore` matches has none."""
    config = json.loads((folder / "config.json").read_text()).get("quantization_config", {})
    targets = [(target, group) for group in config.get("config_groups", {}).values() for target in group["targets"]
               if target != "Embedding"]  # the class of an embedding that is named too
    patterns = any(target.startswith("re:") for target, _ in targets)
    ignored = [entry[3:] for entry in config.get("ignore", []) if entry.startswith("re:")]
    names = {name.rpartition(".")[0] for name in read_folder(folder)} if patterns else set()
    modules = {name for name in names if not any(re.match(pattern, name) for pattern in ignored)}
    pairs = []
    for target, group in targets:
        matches = [m for m in modules if re.match(target[3:], m)] if target.startswith("re:") else [target]
        pairs += [(m, group) for m in matches]
    assert len({t for t, _ in pairs}) == len(pairs), "a module is the target of two groups"
    return dict(pairs)


def write_dense(folder: pathlib.Path, out: pathlib.Path, dtype: str = "BF16") -> None:
    """The same model with every quantized linear decoded here and stored plainly: rounded to bf16, or exact in "F32"."""
    tensors, groups, dense = read_folder(folder), groups_of(folder), {}
    for name, tensor in tensors.items():
        module = name.rpartition(".")[0]
        if module not in groups:
            dense[name] = tensor
        elif module + ".weight" not in dense:
            parts = parts_of(tensors, module)
            w = decode(parts, codec_of_config(groups[module]["weights"]))
            dense[module + ".weight"] = (dtype, w if dtype == "F32" else to_bf16(w))
            if "bias" in parts:
                dense[module + ".bias"] = parts["bias"]
    config = json.loads((folder / "config.json").read_text())
    config.pop("quantization_config", None)
    write_folder(out, dense, config)
