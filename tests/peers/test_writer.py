"""Checkpoints with plain min-max scales, byte for byte against numpy (numpy_reference.py), and what the config says of them."""
import json

import numpy as np
import numpy_reference as reference
import pytest

GROUPED = [f"int{b}_g{g}" for b in range(2, 9) for g in (32, 64, 128)]
CHANNEL = [f"int{b}_channel" for b in range(2, 9)] + ["fp8_channel"]
ASYMMETRIC = [f"int{b}_asym_{g}" for b in range(2, 9) for g in ("g32", "g64", "g128", "channel")]
FLOAT = ["nvfp4", "mxfp4", "mxfp8"]
FUSED = (("q_proj", "k_proj", "v_proj"), ("gate_proj", "up_proj"))


def uniform(codec: str) -> tuple[str, ...]:
    """Arguments for every linear at `codec` with plain scales, for a target that takes it."""
    target = "vllm" if "asym" in codec or codec == "fp8_block" else "vllm:cpu" if codec == "int8_w8a8" else "transformers"
    return ("--preset", f"uniform:{codec}", "--scale", "minmax", "--for", target)


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and a.tobytes() == b.tobytes()


def divisor_of(module: str, source: dict, codec: reference.Codec) -> np.float32:
    """The scale that the linears which a runtime fuses share."""
    parent, _, leaf = module.rpartition(".")
    family = next((f for f in FUSED if leaf in f), (leaf,))
    return reference.shared_scale(codec, [reference.from_bf16(source[f"{parent}.{m}.weight"][1]) for m in family])


def check_equal_to_numpy(source_folder, out, codec_name: str) -> None:
    codec = reference.parse_codec(codec_name)
    source, written, groups = reference.read_folder(source_folder), reference.read_folder(out), reference.groups_of(out)
    modules = {name.rpartition(".")[0] for name in source}
    assert sorted(groups) == sorted(m for m in modules if reference.LINEAR.fullmatch(m))
    expected = {}
    for name, tensor in source.items():
        module, _, leaf = name.rpartition(".")
        if module not in groups or leaf != "weight":
            expected[name] = tensor
            continue
        group = groups[module]
        assert group["format"] in codec.formats()
        assert codec.weights_config().items() <= group["weights"].items()
        parts = reference.encode(reference.from_bf16(tensor[1]), codec, group["format"], divisor_of(module, source, codec))
        expected |= {f"{module}.{suffix}": part for suffix, part in parts.items()}
    assert sorted(written) == sorted(expected)
    for name, (dtype, array) in expected.items():
        assert written[name][0] == dtype, name
        assert same_bits(written[name][1], array), name


@pytest.mark.parametrize("codec", GROUPED + CHANNEL + ["int8_w8a8", "fp8_block"] + ASYMMETRIC + FLOAT)
def test_minmax_equals_numpy(strata, wide, codec):
    check_equal_to_numpy(wide, strata.checkpoint(wide, *uniform(codec)), codec)


def test_asymmetric_linears_need_rows_that_fill_words(strata, uneven):
    """vLLM refuses packed zero points that end inside a 32-bit word, so fusion groups with such rows stay in bf16."""
    quantized = reference.groups_of(strata.checkpoint(uneven, "--preset", "uniform:int4_asym_channel", "--for", "vllm:cpu"))
    assert {name.rpartition(".")[2] for name in quantized} == {"gate_proj", "up_proj", "down_proj"}
    with_words = reference.groups_of(strata.checkpoint(uneven, "--preset", "uniform:int4_channel", "--for", "vllm:cpu"))
    assert {"q_proj", "k_proj", "v_proj"} <= {name.rpartition(".")[2] for name in with_words}


@pytest.mark.parametrize("codec", CHANNEL + ["int8_w8a8"])
def test_minmax_equals_numpy_with_padded_rows(strata, odd, codec):
    check_equal_to_numpy(odd, strata.checkpoint(odd, *uniform(codec)), codec)


@pytest.mark.parametrize("codec", ["int4_g64", "int8_channel", "fp8_channel", "nvfp4"])
def test_minmax_equals_numpy_on_a_real_model(strata, dithered, codec):
    check_equal_to_numpy(dithered, strata.checkpoint(dithered, *uniform(codec)), codec)


def test_config_is_complete(strata, wide):
    out = strata.checkpoint(wide, *uniform("int4_g64"))
    config = json.loads((out / "config.json").read_text())["quantization_config"]
    assert config["quant_method"] == "compressed-tensors"
    assert config["quantization_status"] == "compressed"  # else transformers loads random weights without a word
    assert "lm_head" in config["ignore"]  # tied embeddings
    assert all(":" not in t and t != "Linear" for g in config["config_groups"].values() for t in g["targets"])
    for file in ("tokenizer.json", "tokenizer_config.json"):
        assert (out / file).read_bytes() == (wide / file).read_bytes()
