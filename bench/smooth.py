#!/usr/bin/env python3
"""A copy of a llama-like model that computes the same and whose linears read smaller outliers: SmoothQuant (arXiv 2211.10438).

    build/venv-hf/bin/python bench/smooth.py MODEL OUT --text calib.c4.txt

Channel j of what a norm puts out is divided by s_j, and column j of the linears that read it (q, k, v; gate, up) is multiplied by it:
s_j = max|x_j|^alpha / max|w_j|^(1 - alpha), over its geometric mean, as the nearest power of two. Products by powers of two are exact in
BF16, so that the copy is the same function; nothing else may read these norms, as in Llama.
"""
import argparse
import pathlib
import shutil

import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

SITES = {"input_layernorm": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
         "post_attention_layernorm": ("mlp.gate_proj", "mlp.up_proj")}


def largest_inputs(source: pathlib.Path, text: str, samples: int, length: int) -> dict[str, torch.Tensor]:
    """max|x_j| of what each norm puts out, by its tensor's name."""
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    ids = AutoTokenizer.from_pretrained(source)(text, return_tensors="pt").input_ids[0][:samples * length].view(-1, length)
    found: dict[str, torch.Tensor] = {}

    def watch(name: str):
        def hook(_module, _inputs, output):
            most = output.abs().amax((0, 1))
            found[name] = torch.maximum(found.get(name, most), most)
        return hook

    for i, layer in enumerate(model.model.layers):
        for norm in SITES:
            getattr(layer, norm).register_forward_hook(watch(f"model.layers.{i}.{norm}.weight"))
    with torch.no_grad():
        model(ids)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--text", type=pathlib.Path, required=True)
    parser.add_argument("--alpha", type=float, default=0.5)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--seq-len", type=int, default=128)
    args = parser.parse_args()
    text = args.text.read_text()[:args.samples * args.seq_len * 10]
    tensors = load_file(args.model / "model.safetensors")
    for name, most in largest_inputs(args.model, text, args.samples, args.seq_len).items():
        block, norm = name.rsplit(".", 2)[:2]
        linears = [f"{block}.{linear}.weight" for linear in SITES[norm]]
        weights = torch.stack([tensors[linear].float().abs().amax(0) for linear in linears]).amax(0)
        scale = most.clamp(min=1e-5)**args.alpha / weights.clamp(min=1e-5)**(1 - args.alpha)
        scale = 2.0**torch.round(torch.log2(scale / scale.log().mean().exp()))
        for linear in linears:
            tensors[linear] = (tensors[linear].float() * scale).to(tensors[linear].dtype)
        tensors[name] = (tensors[name].float() / scale).to(tensors[name].dtype)
    args.out.mkdir(parents=True, exist_ok=True)
    for file in args.model.iterdir():
        if file.name != "model.safetensors":
            shutil.copy(file, args.out)
    save_file(tensors, args.out / "model.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main()
