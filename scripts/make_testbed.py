#!/usr/bin/env python3
"""Makes a test model in full precision: the SmolLM2-135M-Instruct GGUF as a Hugging Face directory in bf16.

Plain, the weights lie exactly on the grid of the file's own Q4_1 quantization, so a codec that can hit that grid looks
lossless. `--dither SEED` adds uniform noise of up to half a quantization step to every linear of the blocks: a model
that behaves like the original and lies on no grid. Quantizers are compared on a dithered one.

It reads the GGUF on its own, so that what it writes can judge the project's reader. Needs numpy. For the types of
that file (F32, Q8_0, Q4_1), the llama family and its byte-level BPE vocabulary only.

    make_testbed.py build/models/smollm2.gguf OUT_DIR [--dither SEED]
"""
import argparse
import json
import pathlib
import shutil
import struct
import sys

import numpy as np

SCALARS = {0: "<u1", 1: "<i1", 2: "<u2", 3: "<i2", 4: "<u4", 5: "<i4", 6: "<f4", 7: "<?", 10: "<u8", 11: "<i8", 12: "<f8"}
STRING, ARRAY = 8, 9
BLOCKS = {0: (1, 4), 3: (32, 20), 8: (32, 34)}  # tensor type -> weights and bytes of a block: F32, Q4_1, Q8_0
LINEARS = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
           "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
           "ffn_down": "mlp.down_proj", "attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm"}
WHOLE = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}


class Gguf:
    """A GGUF file. `fields` is its metadata; `tensors` maps a name to its type, its shape with the output dimension first,
    and its packed rows of bytes."""

    def __init__(self, path: pathlib.Path):
        self.data, self.at = np.memmap(path, np.uint8, "r"), 0
        if bytes(self.take(4)) != b"GGUF" or self.scalar("<u4") != 3:
            raise SystemExit(f"{path}: not a GGUF file of version 3")
        tensor_count, field_count = self.scalar("<u8"), self.scalar("<u8")
        self.fields = {}
        for _ in range(field_count):
            key = self.string()
            self.fields[key] = self.value(self.scalar("<u4"))
        infos = []
        for _ in range(tensor_count):
            name = self.string()
            shape = [self.scalar("<u8") for _ in range(self.scalar("<u4"))][::-1]
            infos.append((name, shape, self.scalar("<u4"), self.scalar("<u8")))
        start = -(-self.at // 32) * 32
        self.tensors = {}
        for name, shape, kind, offset in infos:
            weights, size = BLOCKS[kind]
            row_bytes = shape[-1] // weights * size
            rows = int(np.prod(shape[:-1]))
            raw = self.data[start + offset:start + offset + rows * row_bytes]
            self.tensors[name] = (kind, shape, raw.reshape(rows, row_bytes))

    def take(self, count: int) -> np.ndarray:
        self.at += count
        return self.data[self.at - count:self.at]

    def scalar(self, dtype: str):
        return self.take(np.dtype(dtype).itemsize).view(dtype)[0].item()

    def string(self) -> str:
        return bytes(self.take(self.scalar("<u8"))).decode()

    def value(self, kind: int):
        if kind == STRING:
            return self.string()
        if kind != ARRAY:
            return self.scalar(SCALARS[kind])
        kind, count = self.scalar("<u4"), self.scalar("<u8")
        if kind in (STRING, ARRAY):
            return [self.value(kind) for _ in range(count)]
        return self.take(count * np.dtype(SCALARS[kind]).itemsize).view(SCALARS[kind]).tolist()


def half(raw: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(raw).view(np.float16).astype(np.float32)


def dequantize(kind: int, shape: list, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the weights in f32 and the quantization step of every block [rows, blocks] (None for F32)."""
    if kind == 0:
        return np.ascontiguousarray(raw).view(np.float32).reshape(shape), None
    blocks = raw.reshape(len(raw), -1, BLOCKS[kind][1])
    step = half(blocks[..., 0:2])
    if kind == 8:
        return (blocks[..., 2:].view(np.int8) * step).astype(np.float32).reshape(shape), step[..., 0]
    codes = np.concatenate([blocks[..., 4:] & 15, blocks[..., 4:] >> 4], -1).astype(np.float32)
    return (step * codes + half(blocks[..., 2:4])).reshape(shape), step[..., 0]


def unpermute(w: np.ndarray, heads: int) -> np.ndarray:
    """Reorders rows of q and k from GGUF's interleaved rotary order to [heads, 2, head_dim / 2]."""
    rows, cols = w.shape
    return w.reshape(heads, rows // heads // 2, 2, cols).swapaxes(1, 2).reshape(rows, cols)


def to_bf16(w: np.ndarray) -> np.ndarray:
    """Rounds finite f32 to bf16 bits, half to even."""
    bits = np.ascontiguousarray(w, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def hf_name(name: str) -> str:
    if name in WHOLE:
        return WHOLE[name]
    _, block, part, kind = name.split(".")
    return f"model.layers.{block}.{LINEARS[part]}.{kind}"


def weights(gguf: Gguf, dither: int | None) -> dict[str, np.ndarray]:
    """Maps each Hugging Face name to bf16 bits. The noise is drawn in the order of the file."""
    rng = np.random.default_rng(dither)
    result = {}
    for name, (kind, shape, raw) in gguf.tensors.items():
        w, step = dequantize(kind, shape, raw)
        if dither is not None and name.startswith("blk.") and step is not None:
            w = w + (rng.random(w.shape, np.float32) - 0.5) * np.repeat(step, BLOCKS[kind][0], axis=1)
        if ".attn_q." in name or ".attn_k." in name:
            w = unpermute(w, gguf.fields["llama.attention.head_count" + ("_kv" if ".attn_k." in name else "")])
        result[hf_name(name)] = to_bf16(w)
    return result


def write_safetensors(path: pathlib.Path, tensors: dict[str, np.ndarray]) -> None:
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, w in tensors.items():
        header[name] = {"dtype": "BF16", "shape": list(w.shape), "data_offsets": [offset, offset + w.nbytes]}
        offset += w.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for w in tensors.values():
            out.write(w.tobytes())


def write_config(out: pathlib.Path, fields: dict, vocab_size: int) -> None:
    get = lambda key: fields[f"llama.{key}"]
    token = lambda key: fields[f"tokenizer.ggml.{key}_token_id"]
    heads = get("attention.head_count")
    (out / "config.json").write_text(json.dumps({
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "bfloat16", "hidden_act": "silu",
        "hidden_size": get("embedding_length"), "intermediate_size": get("feed_forward_length"),
        "num_hidden_layers": get("block_count"), "num_attention_heads": heads,
        "num_key_value_heads": get("attention.head_count_kv"), "vocab_size": vocab_size,
        "max_position_embeddings": get("context_length"), "rope_theta": get("rope.freq_base"), "tie_word_embeddings": True,
        "rms_norm_eps": float(f"{get('attention.layer_norm_rms_epsilon'):.3g}"), "bos_token_id": token("bos"),
        "eos_token_id": token("eos"), "pad_token_id": token("padding"), "attention_bias": False, "mlp_bias": False,
        "head_dim": get("embedding_length") // heads}, indent=2))


def write_tokenizer(out: pathlib.Path, fields: dict) -> None:
    tokens, kinds = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    control = 3
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    (out / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, "content": t, **flags} for i, (t, k) in enumerate(zip(tokens, kinds)) if k == control],
        "normalizer": None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level]},
        "post_processor": None, "decoder": {**byte_level, "add_prefix_space": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {t: i for i, t in enumerate(tokens)},
                  "merges": [m.split(" ") for m in fields["tokenizer.ggml.merges"]]}}, ensure_ascii=False, indent=2))
    name = lambda key: tokens[fields[f"tokenizer.ggml.{key}_token_id"]]
    (out / "tokenizer_config.json").write_text(json.dumps({
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": name("bos"), "eos_token": name("eos"),
        "pad_token": name("padding"), "add_bos_token": False,
        "chat_template": fields["tokenizer.chat_template"]}, indent=2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gguf", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--dither", type=int, metavar="SEED")
    args = parser.parse_args()
    if args.out.exists():
        sys.exit(f"{args.out} exists; remove it first")
    gguf = Gguf(args.gguf)
    tensors = weights(gguf, args.dither)
    part = args.out.with_name(args.out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    write_safetensors(part / "model.safetensors", tensors)
    write_config(part, gguf.fields, len(tensors["model.embed_tokens.weight"]))
    write_tokenizer(part, gguf.fields)
    part.rename(args.out)


if __name__ == "__main__":
    main()
