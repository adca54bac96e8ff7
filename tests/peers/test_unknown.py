"""Models of types that strata does not know: transformers loads what is written, and what is kept is the same bytes."""
import json
import re

import pytest
import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoModelForCausalLM

SIZES = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 512,
         "vocab_size": 512, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
#: Fused attention with biases; names of another kind; state spaces, with experts in every other block; several residual streams.
MODELS = {
    "persimmon": {},
    "codegen": {"n_embd": 256, "n_layer": 4, "n_head": 4, "rotary_dim": 16, "n_inner": 512},
    "jamba": {"num_key_value_heads": 2, "num_experts": 4, "attn_layer_period": 4, "attn_layer_offset": 2,
              "expert_layer_period": 2, "expert_layer_offset": 1, "mamba_dt_rank": 16, "use_mamba_kernels": False},
    "gemma3n_text": {"num_key_value_heads": 2, "head_dim": 64, "vocab_size_per_layer_input": 512, "hidden_size_per_layer_input": 32,
                     "altup_num_inputs": 2, "laurel_rank": 16, "num_kv_shared_layers": 2, "sliding_window": 16,
                     "activation_sparsity_pattern": [0.95, 0.0, 0.0, 0.0], "layer_types": ["sliding_attention", "full_attention"] * 2},
}
KEPT = {"persimmon": ("embed_tokens", "lm_head"), "codegen": ("wte", "ln_1"),
        "jamba": ("conv1d", "router", "x_proj", "lm_head"), "gemma3n_text": ("embed_tokens", "altup", "laurel")}


def tensors(folder):
    found = {}
    for file in folder.glob("*.safetensors"):
        with safe_open(file, "pt") as f:
            found |= {name: f.get_tensor(name) for name in f.keys()}
    return found


@pytest.mark.parametrize("kind", MODELS)
def test_transformers_loads_it(strata, tmp_path, kind):
    torch.manual_seed(0)
    source, out = tmp_path / kind, tmp_path / "out"
    original = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **SIZES, **MODELS[kind])).bfloat16().eval()
    original.save_pretrained(source)
    strata.run("quantize", source, "-o", out, "--preset", "uniform:int8_channel", "--for", "transformers")

    before, after = tensors(source), tensors(out)
    quantized = {name[: -len("_packed")] for name in after if name.endswith(".weight_packed")}
    quantized |= {name for name in after if name + "_scale" in after}
    assert len(quantized) >= 8
    assert all(re.search(r"\.\d\.", name) for name in quantized), "only blocks are quantized"
    for name in before.keys() - quantized:
        assert torch.equal(before[name], after[name]) and before[name].dtype == after[name].dtype, name
    ignored = json.loads((out / "config.json").read_text())["quantization_config"]["ignore"]
    assert all(any(label in pattern for pattern in ignored) for label in KEPT[kind]), ignored

    loaded, info = AutoModelForCausalLM.from_pretrained(out, dtype=torch.bfloat16, output_loading_info=True)
    assert not any(info[k] for k in ("missing_keys", "unexpected_keys", "mismatched_keys")), info
    ids = torch.arange(3, 67)[None]
    with torch.no_grad():
        expected, got = (m(ids).logits.float() for m in (original, loaded.eval()))
    assert (expected - got).norm() < 0.1 * expected.norm()
