"""GGUF files by strata under a stock llama.cpp: it loads every type, cuts text into the same tokens, computes the same.

llama.cpp runs in its own environment (scripts/make_venv.sh llama). Its CPU kernels round activations to 8 bits, so its
logits are compared by KL divergence with transformers in float32 on the weights that the gguf package decodes.
"""
import dataclasses
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess

import numpy as np
import numpy_reference as reference
import pytest

from conftest import ROOT, find_gguf_package, need

TYPES = ["q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "iq4_nl", "q6_k", "q5_k", "q4_k", "q3_k", "q2_k", "iq4_xs",
         "iq3_s", "iq3_xxs", "iq2_s", "iq2_xs", "iq2_xxs", "mxfp4_gguf", "nvfp4_gguf", "tq2_0", "tq1_0", "iq1_m",
         "iq1_s"]
TEXT = ROOT / "scripts/data/alice.txt"
SHARED = pathlib.Path(os.environ.get("STRATA_SHARED", ROOT / "../shared")) / "data"
NAMES = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
         "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
         "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}


def in_llama_venv(script: str, *args) -> str:
    """stderr, which is where llama.cpp says what it thinks of a file."""
    python = need(ROOT / "build/venv-llama/bin/python", "scripts/make_venv.sh llama makes it")
    result = subprocess.run([python, ROOT / "tests/peers" / script, *map(str, args)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[-3000:]
    return result.stderr


def ask_llama(model: pathlib.Path, tmp_path, count: int = 0, text: pathlib.Path = TEXT):
    said = in_llama_venv("llama_cpp.py", model, text, tmp_path / "answer.npz", *([count] if count else []))
    assert "missing" not in said.lower() and "fallback" not in said.lower(), said[-3000:]
    with np.load(tmp_path / "answer.npz") as answer:
        return dict(answer)  # the next answer takes the file's place


def quantized(strata, model, tmp_path, *args) -> pathlib.Path:
    out = tmp_path / "model.gguf"
    strata.run("quantize", model, "-o", out, "--overwrite", "--method", "rtn", "--no-verify", *args)
    return out


@pytest.mark.parametrize("kind", TYPES)
def test_loads_every_type(strata, random_256, tmp_path, kind):
    out = quantized(strata, random_256, tmp_path, "--preset", f"uniform:{kind}", "--scale", "minmax")
    answer = ask_llama(out, tmp_path)
    assert len(answer["generated"]) == 16
    assert json.loads(strata.run("inspect", out, "--json"))


@pytest.mark.parametrize("kind", ["bf16", "f16", "f32"])
def test_loads_dense_files(strata, random_256, tmp_path, kind):
    out = tmp_path / "model.gguf"
    strata.run("convert", random_256, "-o", out, "--type", kind)
    ask_llama(out, tmp_path)


def decoded(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Every tensor as float32, by the gguf package, which is plain Python and taken from llama.cpp's environment."""
    find_gguf_package()
    import gguf
    return {t.name: np.ascontiguousarray(gguf.dequantize(t.data, t.tensor_type), np.float32)
            for t in gguf.GGUFReader(path).tensors}


def reference_logits(folder: pathlib.Path, weights, ids):
    """transformers in float32, with the weights of a GGUF file under their Hugging Face names."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    config = AutoConfig.from_pretrained(folder)
    state = {}
    for name, tensor in weights.items():
        if found := re.fullmatch(r"blk\.(\d+)\.(\w+)\.weight", name):
            heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(found[2])
            if heads:
                rows, cols = tensor.shape
                tensor = tensor.reshape(heads, rows // heads // 2, 2, cols).swapaxes(1, 2).reshape(rows, cols)
            name = f"model.layers.{found[1]}.{NAMES[found[2]]}.weight"
        name = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight",
                "output.weight": "lm_head.weight"}.get(name, name)
        state[name] = torch.from_numpy(np.ascontiguousarray(tensor))
    state.setdefault("lm_head.weight", state["model.embed_tokens.weight"])
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.load_state_dict(state)
    with torch.no_grad():
        return model(torch.tensor(ids[None, :].astype(np.int64))).logits[0].numpy()


def log_softmax(x):
    x = x.astype(np.float64) - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def test_agrees_with_transformers_and_cuts_text_alike(strata, smollm2, dithered, tmp_path):
    from tokenizers import Tokenizer
    out = quantized(strata, dithered, tmp_path, "--preset", "uniform:q4_k", "--assign", "gate_proj=q5_1",
                    "--assign", "o_proj=iq4_nl", "--samples", 2, "--seq-len", 64)
    answer = ask_llama(out, tmp_path, 96)
    tokenizer = Tokenizer.from_file(str(smollm2 / "tokenizer.json"))
    assert answer["ids"].tolist() == tokenizer.encode(TEXT.read_text(), add_special_tokens=False).ids
    want = log_softmax(reference_logits(dithered, decoded(out), answer["ids"][:96]))
    got = log_softmax(answer["logits"])
    divergence = (np.exp(want) * (want - got)).sum(-1)
    # Rounded activations tell most while there is little context: measured 0.0046 from token 32 on, 0.013 before.
    assert divergence[32:].mean() < 0.008 and divergence.mean() < 0.016


FAMILIES = {
    "llama": {"tie_word_embeddings": True},
    "llama-untied-llama3": {"tie_word_embeddings": False, "max_position_embeddings": 16384,
                            "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                                             "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}},
    "mistral": {"tie_word_embeddings": False, "sliding_window": None},
    "qwen2": {"tie_word_embeddings": True},
    "qwen3": {"tie_word_embeddings": False, "head_dim": 64},
}


def family_model(folder: pathlib.Path, name: str, tokenizer_of: pathlib.Path, **changes) -> pathlib.Path:
    """A random model of a family in float32 by transformers, biases and norms random too, with a tokenizer copied in."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    sizes = {"vocab_size": 49152, "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2,
             "num_attention_heads": 8, "num_key_value_heads": 2, "rope_theta": 10000.0, "pad_token_id": None}
    config = AutoConfig.for_model(name.split("-")[0], **sizes | FAMILIES.get(name, {}) | changes)
    torch.manual_seed(len(name))
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    with torch.no_grad():
        for tensor, values in model.named_parameters():
            spread = 0.3 if tensor.endswith("bias") else 0.1 if values.dim() == 1 else 1.5 * values.shape[-1] ** -0.5
            values.normal_(1.0 if tensor.endswith("norm.weight") else 0.0, spread)
    model.save_pretrained(folder)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        if (tokenizer_of / file).exists():
            shutil.copy(tokenizer_of / file, folder)
    return folder


def divergence_from_transformers(folder: pathlib.Path, answer, count: int) -> float:
    import torch
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    with torch.no_grad():
        want = log_softmax(model(torch.tensor(answer["ids"][None, :count].astype(np.int64))).logits[0].numpy())
    return float((np.exp(want) * (want - log_softmax(answer["logits"]))).sum(-1).mean())


@pytest.mark.parametrize("name", FAMILIES)
def test_computes_every_family_as_transformers_does(strata, smollm2, tmp_path, name):
    """Permuted rows, biases, norms of q and k, rope_freqs and the untied head, all in float32: no rounding to hide in."""
    model = family_model(tmp_path / "model", name, smollm2)
    strata.run("convert", model, "-o", tmp_path / "m.gguf", "--type", "f32")
    assert divergence_from_transformers(model, ask_llama(tmp_path / "m.gguf", tmp_path, 64), 64) < 1e-5
    strata.run("convert", tmp_path / "m.gguf", "-o", tmp_path / "back")
    assert divergence_from_transformers(tmp_path / "back", ask_llama(tmp_path / "m.gguf", tmp_path, 64), 64) < 1e-3


def sentencepiece_tokenizer(folder: pathlib.Path) -> pathlib.Path:
    """tokenizer.json of stories260K's SentencePiece model, from llama2.c's list of pieces and scores."""
    data = need(SHARED / "models/stories260K/tok512.bin", "the shared test data").read_bytes()
    pieces, at = [], 4
    while at < len(data):
        score, size = struct.unpack_from("<fi", data, at)
        pieces.append((data[at + 8:at + 8 + size].decode(), score))
        at += 8 + size
    names = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
    names += [text.replace(" ", "\u2581") for text, _ in pieces[len(names):]]
    vocab = {name: i for i, name in enumerate(names)}
    merges = []
    for name, i in list(vocab.items())[259:]:
        splits = [(name[:k], name[k:]) for k in range(1, len(name)) if name[:k] in vocab and name[k:] in vocab]
        merges += [(-pieces[i][1], vocab[left], vocab[right], left, right) for left, right in splits]
    special = [{"id": i, "content": names[i], "special": True, "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False} for i in range(3)]
    folder.mkdir()
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "\u2581"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]},
        "pre_tokenizer": None, "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                  "vocab": vocab, "merges": [[left, right] for *_, left, right in sorted(merges)]}}))
    (folder / "tokenizer_config.json").write_text(json.dumps(
        {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}))
    return folder


@pytest.mark.parametrize("kind", ["byte-level", "sentencepiece"])
def test_cuts_all_texts_alike(strata, smollm2, tmp_path, kind):
    from tokenizers import Tokenizer
    source = smollm2 if kind == "byte-level" else sentencepiece_tokenizer(tmp_path / "tokenizer")
    model = family_model(tmp_path / "model", "llama", source, vocab_size=49152 if kind == "byte-level" else 512)
    strata.run("convert", model, "-o", tmp_path / "m.gguf")
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    texts = sorted(need(SHARED / "text", "the shared test data").iterdir())
    assert texts
    for text in texts:
        # SentencePiece in llama.cpp and tokenizers takes time that grows with the length of a piece: a beginning will do.
        part = tmp_path / "part.txt"
        part.write_text(text.read_text()[:100_000])
        want = tokenizer.encode(part.read_text(), add_special_tokens=False).ids
        assert ask_llama(tmp_path / "m.gguf", tmp_path, text=part)["ids"].tolist() == want, text.name


MIXES = ["Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "IQ2_M", "IQ3_XXS", "IQ4_XS", "Q8_0"]


@pytest.fixture(scope="session")
def mixed_models(strata, smollm2, tmp_path_factory):
    """Rows that super-blocks divide and rows that they do not, tied and untied, few and many heads to a key; with scores
    and importance matrices."""
    folder, result = tmp_path_factory.mktemp("mixes"), {}
    for name, changes in {"llama": {"hidden_size": 192, "num_attention_heads": 6, "head_dim": 32},
                          "qwen2": {"tie_word_embeddings": False, "num_hidden_layers": 9}}.items():
        model = family_model(folder / name, name, smollm2, **changes)
        strata.run("convert", model, "-o", folder / f"{name}.gguf")
        strata.run("score", model, "-o", folder / f"{name}.json", "--imatrix-out", folder / f"{name}-imatrix.gguf", "--for",
                   "llama.cpp", "--signals", "act_mse", "--scale", "minmax", "--samples", 2, "--seq-len", 32)
        result[name] = model
    return result


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("name", ["llama", "qwen2"])
def test_like_is_what_llama_quantize_makes(strata, mixed_models, tmp_path, name, mix):
    """llama.cpp reads our importance matrix, and the budget of --like is to the byte what it writes."""
    folder = mixed_models[name].parent
    python = need(ROOT / "build/venv-llama/bin/python", "scripts/make_venv.sh llama makes it")
    made = subprocess.run([python, ROOT / "tests/peers/llama_quantize.py", folder / f"{name}.gguf", tmp_path / "stock.gguf",
                           mix, "--imatrix", folder / f"{name}-imatrix.gguf"], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr[-3000:]
    assert "did not find weights" not in made.stderr.replace("did not find weights for token_embd.weight", "")
    types = json.loads(made.stdout.splitlines()[-1])
    plan = json.loads(strata.run("plan", mixed_models[name], "--scores", folder / f"{name}.json", "--for", "llama.cpp",
                                 "--like", mix, "--json"))
    assert plan["request"]["like_bytes"] == sum(size for kind, size in types.values() if kind != "F32")
    assert plan["totals"]["bytes"] <= plan["request"]["like_bytes"]


def test_split_files_load(strata, random_256, tmp_path):
    strata.run("convert", random_256, "-o", tmp_path / "m.gguf", "--shard-size", "10MB")
    parts = sorted(tmp_path.glob("m-*.gguf"))
    assert len(parts) > 1 and parts[0].name == f"m-00001-of-{len(parts):05}.gguf"
    ask_llama(parts[0], tmp_path)
    strata.run("quantize", parts[0], "-o", tmp_path / "q.gguf", "--shard-size", "5MB", "--preset", "uniform:q4_0", "--scale",
               "minmax", "--no-verify")
    ask_llama(next(tmp_path.glob("q-00001-of-*.gguf")), tmp_path)


def test_evaluates_as_llama_cpp_computes(strata, dithered, tmp_path):
    """Logits of llama.cpp on a K-quant file of a real model against ours of the same file."""
    out = quantized(strata, dithered, tmp_path, "--preset", "uniform:q8_0", "--scale", "minmax")
    answer = ask_llama(out, tmp_path, 96)
    want = log_softmax(reference_logits(dithered, decoded(out), answer["ids"][:96]))
    got = log_softmax(answer["logits"])
    assert (np.exp(want) * (want - got)).sum(-1)[32:].mean() < 0.008
    text = tmp_path / "text.txt"
    text.write_text(TEXT.read_text()[:20000])
    result = json.loads(strata.run("eval", out, "--ref", dithered, "--text", text, "--seq-len", 256, "--samples", 4, "--json"))
    assert result["kl_divergence"]["mean"] < 0.004


def mixture(smollm2, folder: pathlib.Path, name: str, **changes) -> pathlib.Path:
    """A random mixture of experts of a family of tests/golden/models, with SmolLM2's tokenizer."""
    import make_model_goldens as goldens
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    size = json.loads((smollm2 / "config.json").read_text())["vocab_size"]
    variant = goldens.VARIANTS[name]
    config = {**variant.config, "vocab_size": size, "hidden_size": 64, "tie_word_embeddings": False, **changes}
    if name == "olmoe":
        config["num_key_value_heads"] = config["num_attention_heads"]  # llama.cpp knows no other
    variant = dataclasses.replace(variant, config=config)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder), dtype=torch.float32)
    goldens.random_weights(model, variant, torch.Generator().manual_seed(1))
    goldens.save(goldens.file_tensors(model, variant), variant, folder)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(smollm2 / file, folder)
    return folder


@pytest.mark.parametrize("name", ["qwen3_moe", "mixtral", "olmoe"])
def test_mixtures_of_experts(strata, smollm2, tmp_path, name):
    """Stacked experts: llama.cpp computes the logits of transformers, and strata reads the same weights back."""
    import torch
    from transformers import AutoModelForCausalLM
    model = mixture(smollm2, tmp_path / name, name)
    dense = tmp_path / "dense.gguf"
    strata.run("convert", model, "-o", dense, "--type", "f32")
    answer = ask_llama(dense, tmp_path, 48)
    theirs = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    with torch.no_grad():
        want = log_softmax(theirs(torch.tensor(answer["ids"][None, :48].astype(np.int64))).logits[0].numpy())
    assert (np.exp(want) * (want - log_softmax(answer["logits"]))).sum(-1).mean() < 1e-3
    strata.run("convert", dense, "-o", tmp_path / "back")
    weights, back = (reference.read_folder(folder) for folder in (model, tmp_path / "back"))
    assert sorted(weights) == sorted(back)
    for tensor, (_, bits) in weights.items():
        assert np.array_equal(bits, back[tensor][1]), tensor
    out = quantized(strata, model, tmp_path, "--preset", "uniform:q4_0", "--assign", "experts=q8_0", "--scale", "minmax")
    assert len(ask_llama(out, tmp_path)["generated"]) == 16


@pytest.mark.parametrize("name", ["llama", "llama-untied-llama3", "mistral", "qwen3", "qwen3_moe", "mixtral"])
def test_multiplies_by_the_factors_of_nvfp4(strata, smollm2, tmp_path, name):
    """Without the tensors beside the matrices the weights would be hundreds of times too large."""
    if name in FAMILIES:
        model = family_model(tmp_path / "model", name, smollm2)
    else:
        model = mixture(smollm2, tmp_path / "model", name, moe_intermediate_size=64, intermediate_size=64)
    out = quantized(strata, model, tmp_path, "--preset", "uniform:nvfp4_gguf", "--scale", "minmax")
    strata.run("convert", out, "-o", tmp_path / "back")
    find_gguf_package()
    import gguf
    tensors = {t.name: t for t in gguf.GGUFReader(out).tensors}
    coded = [t for t, tensor in tensors.items() if tensor.tensor_type.name == "NVFP4"]
    assert len(coded) >= 14 and all(t.replace(".weight", ".scale") in tensors for t in coded)
    assert divergence_from_transformers(tmp_path / "back", ask_llama(out, tmp_path, 64), 64) < 0.05
