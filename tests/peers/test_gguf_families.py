"""Families with parts of their own as GGUF files: llama.cpp computes what transformers does, and strata reads the same back.

The models are those of tests/golden/model_variants.py with random weights and SmolLM2's tokenizer; what the architecture of
llama.cpp fixes, such as which blocks have a window, is set here.
"""
import dataclasses
import json
import shutil

import make_model_goldens as goldens
import numpy as np
import numpy_reference as reference
import pytest

from test_llama_cpp import ask_llama, log_softmax

FIXED = {
    "gemma2": {"query_pre_attn_scalar": 16},
    "gemma3_text": {"query_pre_attn_scalar": 16, "sliding_window_pattern": 6, "num_hidden_layers": 7},
    "olmo2": {"rms_norm_eps": 1e-5, "head_dim": 16},
    "smollm3": {},
    "granite": {},
    "llama_yarn": {"rope_scaling": {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 64}},
    "qwen3_yarn": {},
}


@pytest.mark.parametrize("name", FIXED)
def test_computes_what_transformers_does(strata, smollm2, tmp_path, name):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM
    size = json.loads((smollm2 / "config.json").read_text())["vocab_size"]
    variant = goldens.VARIANTS[name]
    variant = dataclasses.replace(variant, config={**variant.config, "vocab_size": size, "hidden_size": 64, **FIXED[name]})
    model = tmp_path / name
    model.mkdir()
    (model / "config.json").write_text(json.dumps(variant.config))
    made = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(model), dtype=torch.float32)
    goldens.random_weights(made, variant, torch.Generator().manual_seed(1))
    goldens.save(goldens.file_tensors(made, variant), variant, model)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(smollm2 / file, model)
    dense = tmp_path / "dense.gguf"
    strata.run("convert", model, "-o", dense, "--type", "f32")
    answer = ask_llama(dense, tmp_path, 48)
    theirs = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        want = log_softmax(theirs(torch.tensor(answer["ids"][None, :48].astype(np.int64))).logits[0].numpy())
    assert (np.exp(want) * (want - log_softmax(answer["logits"]))).sum(-1).mean() < 1e-4
    strata.run("convert", dense, "-o", tmp_path / "back")
    weights, back = (reference.read_folder(folder) for folder in (model, tmp_path / "back"))
    assert sorted(weights) == sorted(back)
    for tensor, (_, bits) in weights.items():
        assert np.array_equal(bits, back[tensor][1]), tensor
    again = tmp_path / "again.gguf"
    strata.run("convert", tmp_path / "back", "-o", again, "--type", "f32")
    assert np.array_equal(ask_llama(again, tmp_path, 48)["logits"], answer["logits"])
