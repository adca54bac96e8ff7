#!/usr/bin/env python3
"""Makes tests/golden/models/: the tiny random models of model_variants.py, each with the logits that transformers computes.

Those of mixer_variants.py and position_variants.py begin in tests/golden/later/: the tests take every folder of models/, so a golden is moved there once the
engine runs its family, and is remade where it lies.

A folder is a Hugging Face directory without tokenizer (random weights stored as bf16, f16 or f32, some sharded), plus
  golden.json   "ids": a list of sequences, "shapes": [tokens, vocabulary] of each sequence's logits
  logits.f32    the logits of all sequences one after another, float32 little-endian, computed in float32

    scripts/make_venv.sh hf && build/venv-hf/bin/python tests/golden/make_model_goldens.py [NAME...]   # all, or some anew
"""
import dataclasses
import json
import pathlib
import re
import shutil
import sys
import tempfile
import zlib

import numpy as np
import torch
import transformers
from safetensors.torch import save_file
from transformers.core_model_loading import revert_weight_conversion

from mixer_variants import KIN, MIXERS, PARTS
from model_variants import NUMBERED, VARIANTS, Variant
from position_variants import POSITIONS
from quantized_sources import quantized

LATER = {**MIXERS, **PARTS, **KIN, **POSITIONS}
HERE = pathlib.Path(__file__).parent
EXPERTS_BY_INPUT = ("gpt_oss", "llama4", "llama4_text")  # their packed experts are [experts, in, out], others' [experts, out, in]
NORM = re.compile(r"(norm|norm_f|norm_\d|layernorm_\d|ln_f|ln_\d|ln_attn|ln_mlp)\.weight$")
ONE_PLUS = re.compile(r"Gemma\d?n?RMSNorm|Qwen3(Next|_5|_5Moe)RMSNorm$|LayerNorm1P")  # classes that multiply by 1 + weight
EMBEDDING = re.compile(r"embed_tokens|(embeddings|embed_in|wte)\.weight$")
KEPT_STATE = ("e_score_correction_bias", "expert_bias", "layer_scalar", "act_fn.beta")  # buffers that are in the file


def random_value(name: str, shape: torch.Size, module: torch.nn.Module, variant: Variant, noise: torch.Tensor) -> torch.Tensor:
    """Weights large enough that every part shows in the logits: a norm or bias left out must not pass a test."""
    if NORM.search(name):
        one_plus = ONE_PLUS.match(type(module).__name__) and "Gemma4" not in type(module).__name__
        return 0.3 * noise if one_plus else 1 + 0.3 * noise
    if name.endswith("sinks"):
        return 2 + noise  # a logit beside those of all tokens
    if name.endswith(("e_score_correction_bias", "expert_bias")):
        return 0.2 * noise
    if name.endswith("A_log"):
        return noise - 2  # states that some heads forget within a few tokens, others only after hundreds
    if name.endswith("layer_scalar"):
        return 0.7 + 0.2 * noise
    if name.endswith("router.scale"):
        return 4 + noise  # it multiplies a normed input by 4 / sqrt(hidden), so that the router is decided
    if name.endswith("act_fn.beta"):
        return 0.5 + 0.3 * noise
    if len(shape) == 1 or name.endswith("_bias"):
        return (1 if name.endswith("per_expert_scale") else 0) + 0.5 * noise
    if EMBEDDING.search(name):
        return variant.embedding * noise
    if len(shape) == 3:  # all experts of a block
        return 1.5 * noise / shape[1 if variant.config["model_type"] in EXPERTS_BY_INPUT else 2] ** 0.5
    return 1.5 * noise / shape[1:].numel() ** 0.5


def random_weights(model: torch.nn.Module, variant: Variant, generator: torch.Generator) -> None:
    buffers = [(n, b) for n, b in model.named_buffers() if n.endswith(KEPT_STATE)]
    with torch.no_grad():
        for name, p in [*model.named_parameters(), *buffers]:
            module = model.get_submodule(name.rpartition(".")[0])
            p.copy_(random_value(name, p.shape, module, variant, torch.randn(p.shape, generator=generator)))


def published(state: dict, model_type: str) -> dict:
    """What transformers' conversion does not undo for a model made here: it reads the published form, and writes another."""
    if model_type == "qwen3_vl_moe":
        return {k: v.transpose(1, 2) if ".experts." in k else v for k, v in state.items()}
    if model_type == "kimi_k25":  # only the vision tower's layers are blocks
        return {k.replace("language_model.model.blocks.", "language_model.model.layers.").replace("model.mm_projector.", "mm_projector.")
                .replace("vision_tower.encoder.patch_embed.", "vision_tower.patch_embed."): v for k, v in state.items()}
    if model_type == "olmo_hybrid":  # it cuts the convolution in three equal parts, whatever q, k and v have
        for first in [k for k in state if k.endswith("q_conv1d.weight")]:
            convolutions = [first.replace("q_conv1d", f"{part}_conv1d") for part in "qkv"]
            rows = [len(state[name.replace("conv1d", "proj")]) for name in convolutions]
            state |= dict(zip(convolutions, torch.cat([state[name] for name in convolutions]).split(rows)))
        return state
    if model_type == "gemma3":
        return {k.replace("vision_tower.", "vision_tower.vision_model."): v for k, v in state.items()}
    return state


def file_tensors(model: torch.nn.Module, variant: Variant) -> dict:
    """What the file holds: by published names transformers' own conversion undone, in the modules' order."""
    state = model.state_dict()
    tied = getattr(model.config, "tie_word_embeddings", False)
    state = {k: v.clone() for k, v in state.items() if not (tied and k.endswith("lm_head.weight"))}
    if variant.names == "published":
        state = published(revert_weight_conversion(model, state), variant.config["model_type"])
    exact = ["e_score_correction_bias", *variant.exact, *(model._keep_in_fp32_modules_strict or [])]
    dtype = getattr(torch, variant.dtype)
    return {k: v.to(torch.float32 if any(e in k for e in exact) else dtype).contiguous() for k, v in state.items()}


def renamed(state: dict, variant: Variant) -> dict:
    """The tensors as the file of a family holds them that transformers runs by another one's class."""
    *parts, whole = variant.joined or ("",)
    result = {}
    for name, tensor in state.items():
        places = [i for i, part in enumerate(parts) if f".{part}." in name]
        if places and places[0] > 0:
            continue
        if places:
            of_heads = [state[name.replace(parts[0], part)].unflatten(0, (variant.config["num_key_value_heads"], -1)) for part in parts]
            name, tensor = name.replace(parts[0], whole), torch.cat(of_heads, 1).flatten(0, 1).contiguous()
        for here, there in variant.renamed.items():
            name = name.replace(here, there)
        result[name] = tensor
    return result


def save(state: dict, variant: Variant, out: pathlib.Path) -> None:
    """Writes the folder; the shards split the tensors evenly by number, with the usual index."""
    (out / "config.json").write_text(json.dumps({**variant.config, "torch_dtype": variant.dtype}, indent=2) + "\n")
    names, shards = list(state), variant.shards
    if shards == 1:
        save_file(state, out / "model.safetensors", metadata={"format": "pt"})
        return
    index = {}
    for i in range(shards):
        file = f"model-{i + 1:05d}-of-{shards:05d}.safetensors"
        part = {n: state[n] for n in names[i * len(names) // shards:(i + 1) * len(names) // shards]}
        save_file(part, out / file, metadata={"format": "pt"})
        index |= dict.fromkeys(part, file)
    total = sum(t.numel() * t.element_size() for t in state.values())
    (out / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {"total_size": total}, "weight_map": dict(sorted(index.items()))}, indent=2) + "\n")


def new_model(folder: pathlib.Path, name: str) -> torch.nn.Module:
    """A model by config.json, of the named class or, where transformers has none of that name, of the one it uses instead."""
    config = transformers.AutoConfig.from_pretrained(folder)
    if hasattr(transformers, name):
        return getattr(transformers, name)._from_config(config, dtype=torch.float32)
    return transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def load(folder: pathlib.Path) -> torch.nn.Module:
    """The class that config.json names, in float32; every tensor of the file is one of its, and the other way round."""
    name = json.loads((folder / "config.json").read_text())["architectures"][0]
    kind = getattr(transformers, name, transformers.AutoModelForCausalLM)
    model, report = kind.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    wrong = {k: v for k, v in report.items() if v}
    if wrong:
        raise ValueError(f"{folder.name}: {wrong}")
    return model.eval()


def logits(folder: pathlib.Path, ids: list[int]) -> np.ndarray:
    """[tokens, vocabulary]; a model freshly loaded for each sequence, since dynamic scaling keeps state."""
    with torch.no_grad():
        return load(folder)(input_ids=torch.tensor([ids])).logits[0].float().numpy()


def cached_difference(folder: pathlib.Path, ids: list[int], whole: np.ndarray, positions: bool) -> float:
    """How far the logits are from those of the whole sequence when a part is read at once and the rest token by token."""
    model, start = load(folder), len(ids) // 3
    with torch.no_grad():
        first = model(input_ids=torch.tensor([ids[:start]]), use_cache=True)
        key = "past_key_values" if "past_key_values" in first else "cache_params"  # the latter: models of states alone
        rows, cache = [first.logits[0]], first[key]
        for i in range(start, len(ids)):
            where = {"position_ids": torch.tensor([[i]])} if positions else {}
            step = model(input_ids=torch.tensor([[ids[i]]]), use_cache=True, **{key: cache}, **where)
            rows, cache = [*rows, step.logits[0]], step[key]
    return float(np.abs(torch.cat(rows).float().numpy() - whole).max())


def make(name: str, variant: Variant, out: pathlib.Path) -> None:
    order = list(NUMBERED)
    seed = order.index(name) if name in order else zlib.crc32(name.encode())
    out.mkdir(parents=True)
    plain = {k: v for k, v in variant.config.items() if k != "quantization_config"} | variant.run_as
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "config.json").write_text(json.dumps(plain))
        model = new_model(pathlib.Path(folder), plain["architectures"][0])
    generator = torch.Generator().manual_seed(seed)
    random_weights(model, variant, generator)
    stored, dense = quantized(file_tensors(model, variant), variant.source)
    stored |= {k: torch.randn(shape, generator=generator).to(getattr(torch, variant.dtype)) for k, shape in variant.carried.items()}
    save(renamed(stored, variant), variant, out)
    rng = np.random.default_rng(seed)
    vocabulary = variant.vocab or model.config.get_text_config().vocab_size
    ids = [rng.integers(0, vocabulary, n).tolist() for n in variant.lengths]
    with tempfile.TemporaryDirectory() as folder:
        save(dense, dataclasses.replace(variant, config=plain), pathlib.Path(folder))
        results = [logits(pathlib.Path(folder), sequence) for sequence in ids]
        cached = cached_difference(pathlib.Path(folder), ids[-1], results[-1], variant.positions) if name in LATER else 0.0
        if cached > 2e-4:
            raise ValueError(f"{name}: with its cache transformers computes something else: {cached}")
    (out / "logits.f32").write_bytes(b"".join(r.astype("<f4").tobytes() for r in results))
    (out / "golden.json").write_text(json.dumps({"ids": ids, "shapes": [list(r.shape) for r in results]}) + "\n")
    size = sum(f.stat().st_size for f in out.iterdir())
    print(f"{name:24} {size:7d} bytes, logits std {np.concatenate(results).std():.2f}, cached {cached:.0e}", flush=True)


def main(names: list[str]) -> None:
    for name, variant in {**VARIANTS, **LATER}.items():
        if names and name not in names:
            continue
        out = HERE / ("later" if name in LATER and not (HERE / "models" / name).is_dir() else "models") / name
        shutil.rmtree(out, ignore_errors=True)
        make(name, variant, out)


if __name__ == "__main__":
    main(sys.argv[1:])
