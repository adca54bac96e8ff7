"""transformers loads what strata writes: the same weights as the checkpoint decoded by numpy, and the same logits."""
import numpy as np
import numpy_reference as reference
import pytest
import torch
from conftest import ROOT
from test_writer import CHANNEL, FLOAT, GROUPED, uniform
from transformers import AutoModelForCausalLM

MIXED = {  # codecs within the fusion rules: q, k, v share one, gate and up share one
    "by block": ("--preset", "uniform:int4_g64", "--assign", r"layers\.0\.=fp8_channel", "--for", "transformers"),
    "by group": ("--preset", "uniform:int3_g32", "--assign", r"down_proj=int8_channel", "--assign", r"o_proj=nvfp4",
                 "--for", "transformers"),
    "some kept": ("--preset", "uniform:mxfp4", "--assign", r"layers\.1\.mlp=keep", "--assign", r"o_proj=int6_g64",
                  "--for", "transformers"),
    "group sizes": ("--preset", "uniform:int4_g128", "--assign", r"mlp=int4_g32", "--for", "transformers"),
}


def load(folder):
    """Model in bf16 and the keys that did not load as they should."""
    model, info = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16, output_loading_info=True)
    wrong = {k: sorted(map(str, info[k])) for k in ("missing_keys", "unexpected_keys", "mismatched_keys") if info.get(k)}
    assert not wrong, wrong
    return model.eval()


def check(out, ids, tmp_path) -> None:
    reference.write_dense(out, tmp_path / "dense")
    dense, quantized = load(tmp_path / "dense"), load(out)
    with torch.no_grad():
        expected, got = (m(torch.tensor([ids])).logits[0].float() for m in (dense, quantized))
    weights, theirs = dense.state_dict(), quantized.state_dict()
    for name, w in weights.items():
        assert torch.equal(theirs[name].to(w.dtype), w), name
    if any(g.get("input_activations") for g in reference.groups_of(out).values()):
        # Activations are rounded to 8 bits here and not in the dense model.
        next_ids = torch.tensor(ids[1:])[:, None]
        logprobs = [x[:-1].log_softmax(-1).gather(1, next_ids) for x in (expected, got)]
        assert (logprobs[0] - logprobs[1]).abs().mean() < 0.4
    else:
        assert torch.equal(expected, got)


@pytest.mark.parametrize("codec", GROUPED + CHANNEL + FLOAT)
def test_every_codec(strata, wide, ids, tmp_path, codec):
    check(strata.checkpoint(wide, *uniform(codec)), ids, tmp_path)


@pytest.mark.parametrize("codec", ["int8_w8a8", "fp8_channel"])
def test_codecs_with_8_bit_activations(strata, smollm2, ids, tmp_path, codec):
    out = strata.checkpoint(smollm2, "--preset", f"uniform:{codec}", "--scale", "minmax", "--for", "vllm:cpu")
    assert all(g["input_activations"]["dynamic"] for g in reference.groups_of(out).values())
    check(out, ids, tmp_path)


@pytest.mark.parametrize("plan", MIXED)
def test_mixed_plans(strata, wide, ids, tmp_path, plan):
    out = strata.checkpoint(wide, *MIXED[plan])
    codecs = {reference.codec_of_config(g["weights"]) for g in reference.groups_of(out).values()}
    assert len(codecs) > 1
    check(out, ids, tmp_path)


CALIB = ("--calib", ROOT / "scripts/data/alice.txt", "--for", "transformers")
ROUNDED = {
    "int4_g64, gptq": ("--preset", "uniform:int4_g64", "--method", "gptq", *CALIB),
    "nvfp4, gptq": ("--preset", "uniform:nvfp4", "--method", "gptq", *CALIB),
    "mixed, gptq": ("--preset", "uniform:int3_g32", "--assign", r"down_proj=mxfp4", "--method", "gptq", "--refine", "2", *CALIB),
    "int2_g32, tuned": ("--preset", "uniform:int2_g32", "--tune-steps", "5", *CALIB),
    "fp8_channel, tuned": ("--preset", "uniform:fp8_channel", "--tune-steps", "5", *CALIB),
}


@pytest.mark.parametrize("plan", ROUNDED)
def test_rounded_with_calibration(strata, wide, ids, tmp_path, plan):
    check(strata.checkpoint(wide, *ROUNDED[plan]), ids, tmp_path)


MIXTURES = ["qwen3_moe", "qwen3_moe_sparse", "qwen2_moe", "mixtral", "olmoe", "glm4_moe"]


@pytest.mark.parametrize("codec", ["int4_g32", "int3_g32", "int8_channel", "fp8_channel", "mxfp4"])
@pytest.mark.parametrize("model", MIXTURES)
def test_mixtures_of_experts(strata, tmp_path, model, codec):
    """Tiny random models: experts and all else in one codec, the same weights and logits as decoded by numpy."""
    out = strata.checkpoint(ROOT / "tests/golden/models" / model, "--preset", f"uniform:{codec}", "--scale", "minmax", "--for",
                            "transformers")
    check(out, list(range(3, 60)), tmp_path)


@pytest.mark.parametrize("model", ["qwen3_moe", "mixtral"])
def test_experts_of_another_codec(strata, tmp_path, model):
    out = strata.checkpoint(ROOT / "tests/golden/models" / model, "--preset", "uniform:int4_g32", "--assign", "experts=int8_channel",
                            "--scale", "minmax", "--for", "transformers")
    check(out, list(range(3, 60)), tmp_path)


FEW = ("--codecs", "keep,int4_g32,int4_g64,int8_channel,nvfp4")


@pytest.mark.parametrize("args", [("--bits", "4.5", *FEW), ("--size", "120MiB", *FEW, "--for", "transformers"),
                                  ("--preset", "three-tier")], ids=lambda a: a[1])
def test_planned_real_model(strata, smollm2, ids, tmp_path, args):
    target = args[args.index("--for"):] if "--for" in args else ()  # vllm's plans may have an embedding in codes
    check(strata.checkpoint(smollm2, *args, "--scores", strata.scores(smollm2, *FEW, *target)), ids, tmp_path)


def test_shards(strata, smollm2, ids, tmp_path):
    out = strata.checkpoint(smollm2, "--preset", "uniform:int4_g64", "--scale", "minmax", "--shard-size", "40MiB")
    assert (out / "model.safetensors.index.json").exists()
    check(out, ids, tmp_path)


def test_greedy_text_equals(strata, smollm2):
    """The same 24 tokens as transformers in f32, through our tokenizer and KV cache."""
    from transformers import AutoTokenizer
    prompt = "The three largest planets of the solar system are"
    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    model = AutoModelForCausalLM.from_pretrained(smollm2, dtype=torch.float32).eval()
    x = tokenizer(prompt, return_tensors="pt").input_ids
    out = model.generate(x, max_new_tokens=24, min_new_tokens=24, do_sample=False)[0, x.shape[1]:]
    got = strata.run("generate", smollm2, "--prompt", prompt, "-n", 24, "--temperature", 0, "--precision", "f32")
    expected = tokenizer.decode(out)
    assert expected.strip() in got, (expected, got)


def test_converted_gguf(strata, smollm2, text, tmp_path):
    """`strata convert` against the GGUF read by scripts/make_testbed.py: weights bit for bit, settings, token ids."""
    import json

    import make_testbed
    from conftest import ROOT, need
    from tokenizers import Tokenizer
    gguf = need(ROOT / "build/models/smollm2.gguf", "scripts/download_smollm2.sh gets it")
    out = tmp_path / "hf"
    strata.run("convert", gguf, "-o", out)
    written, expected = reference.read_folder(out), make_testbed.weights(make_testbed.Gguf(gguf), None)
    assert sorted(written) == sorted(expected)
    for name, bits in expected.items():
        assert written[name][0] == "BF16" and np.array_equal(written[name][1], bits), name
    ours, theirs = (json.loads((folder / "config.json").read_text()) for folder in (out, smollm2))
    for key in ("architectures", "model_type", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
                "num_key_value_heads", "vocab_size", "max_position_embeddings", "tie_word_embeddings", "rms_norm_eps",
                "bos_token_id", "eos_token_id"):
        assert ours[key] == theirs[key], key
    assert ours.get("rope_theta", (ours.get("rope_parameters") or {}).get("rope_theta")) == theirs["rope_theta"]
    ids = [Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text).ids for folder in (out, smollm2)]
    assert ids[0] == ids[1]
    load(out)
