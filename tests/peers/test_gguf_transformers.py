"""GGUF files by strata under transformers' own GGUF loader: every type, and a mix, decode to the weights that strata reads.

The loader needs the gguf package, which is plain Python and taken from llama.cpp's environment.
"""
import pytest

from conftest import find_gguf_package

# mxfp4_gguf is not among them: the loader does not know the type.
TYPES = ["q8_0", "q4_0", "q4_1", "q5_0", "q5_1", "iq4_nl", "q6_k", "q5_k", "q4_k", "q3_k", "q2_k", "iq4_xs",
         "iq3_s", "iq3_xxs", "iq2_s", "iq2_xs", "iq2_xxs"]


def weights_by_transformers(path, **options):
    import torch
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(path, **options)
    return {name: tensor.to(torch.bfloat16) for name, tensor in model.state_dict().items()}


def check_same_weights(strata, file, tmp_path):
    import torch
    find_gguf_package()
    strata.run("convert", file, "-o", tmp_path / "converted")
    ours = weights_by_transformers(tmp_path / "converted", dtype=torch.bfloat16)
    theirs = weights_by_transformers(file.parent, gguf_file=file.name, dtype=torch.float32)
    assert ours.keys() == theirs.keys()
    for name, tensor in ours.items():
        assert torch.equal(tensor, theirs[name]), name


GROUPS = [rf"layers\.{block}\.{linears}" for block in (0, 1)
          for linears in (r"self_attn\.[qkv]_proj", r"self_attn\.o_proj", r"mlp\.(gate|up)_proj", r"mlp\.down_proj")]


@pytest.mark.parametrize("first", range(0, len(TYPES), len(GROUPS)))
def test_every_type(strata, random_256, tmp_path, first):
    out = tmp_path / "model.gguf"
    kinds = TYPES[first:first + len(GROUPS)]
    given = [part for group, kind in zip(GROUPS, kinds) for part in ("--assign", f"{group}={kind}")]
    strata.run("quantize", random_256, "-o", out, "--no-verify", "--preset", "uniform:q8_0", "--scale", "minmax", *given)
    check_same_weights(strata, out, tmp_path)


def test_a_mix_of_types(strata, dithered, tmp_path):
    out = tmp_path / "model.gguf"
    strata.run("quantize", dithered, "-o", out, "--no-verify", "--preset", "uniform:q4_k", "--assign", "gate_proj=q5_1",
               "--assign", "o_proj=iq4_nl", "--samples", 2, "--seq-len", 64)
    check_same_weights(strata, out, tmp_path)
