"""`strata eval` against the same figures computed with transformers in f32 (definitions: tests/golden/README.md)."""
import json

import numpy_reference as reference
import pytest
import torch
from make_smollm2_goldens import CHUNK, eval_golden
from transformers import AutoModelForCausalLM, AutoTokenizer

CHUNKS = 4


def in_f32(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()


@pytest.mark.parametrize("codec", ["int4_g64", "int8_channel"])
def test_equals_transformers(strata, smollm2, text, tmp_path, codec):
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    ids = tokenizer(text, add_special_tokens=False).input_ids[:CHUNKS * CHUNK + 100]
    part = tokenizer.decode(ids)  # byte-level BPE: exact
    ids = tokenizer(part, add_special_tokens=False).input_ids
    assert CHUNKS * CHUNK <= len(ids) < (CHUNKS + 1) * CHUNK
    (tmp_path / "text").write_text(part)

    out = strata.checkpoint(smollm2, "--preset", f"uniform:{codec}", "--scale", "minmax", "--for", "transformers")
    got = json.loads(strata.run("eval", out, "--ref", smollm2, "--text", tmp_path / "text", "--json"))
    reference.write_dense(out, tmp_path / "dense", "F32")
    expected = eval_golden(in_f32(smollm2), in_f32(tmp_path / "dense"), [ids[i * CHUNK:(i + 1) * CHUNK] for i in range(CHUNKS)])

    assert got["tokens"] == expected["tokens"]
    for key in ("perplexity", "perplexity_stderr", "ref_perplexity"):
        assert got[key] == pytest.approx(expected[key], rel=1e-3), key
    for key, value in expected["kl_divergence"].items():
        assert got["kl_divergence"][key] == pytest.approx(value, rel=1e-3, abs=1e-6), key
    # A tie between two logits may fall either way.
    assert got["top1_agreement"] == pytest.approx(expected["top1_agreement"], abs=1.5 / expected["tokens"])
