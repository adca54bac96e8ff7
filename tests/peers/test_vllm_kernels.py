"""strata's table of targets against vLLM's own choice of kernels, for every codec, capability and number of parts.

vllm_kernels.py asks vLLM, and loads made-up tensors with its loaders; strata is asked for a plan of one codec, which leaves in bf16
what the target does not take. A target must take what vLLM takes on all GPUs that the target is for, and nothing else. No kernel runs.
"""
import json
import os
import pathlib
import subprocess

import numpy as np
import numpy_reference as reference
import pytest
from conftest import ROOT, need

CAPABILITIES, PARTS = (75, 80, 89, 90, 100, 120), (1, 2, 4, 8)
TARGETS = {"vllm": (80, 89, 90, 100, 120), "vllm:sm75": (75,), "vllm:sm80": (80,), "vllm:sm89": (89, 90), "vllm:sm100": (100, 120)}
CODECS = [f"int{bits}_{kind}{size}" for bits in range(2, 9) for kind in ("", "asym_") for size in ("g32", "g64", "g128", "channel")]
CODECS += ["fp8_channel", "fp8_block", "nvfp4", "mxfp4", "mxfp8"]

# Shapes that some parts do not divide by groups, words or heads: 384 / 8 is 48, 240 / 2 is 120, heads of 16 and 20 rows.
MODELS = [{"name": "wide", "hidden": 128, "heads": 8, "kv_heads": 4, "head_dim": 16, "ffn": 384, "vocab": 256},
          {"name": "ragged", "hidden": 96, "heads": 8, "kv_heads": 2, "head_dim": 20, "ffn": 240, "vocab": 250},
          {"name": "experts", "hidden": 128, "heads": 8, "kv_heads": 4, "head_dim": 16, "ffn": 384, "vocab": 256, "experts": 4},
          {"name": "narrow experts", "hidden": 96, "heads": 8, "kv_heads": 4, "head_dim": 16, "ffn": 80, "vocab": 256, "experts": 4}]
# What strata leaves out though vLLM has a kernel: those that round activations (target_table.cpp), and in experts what dense layers
# cannot have.
LEFT_OUT = {("vllm:sm100", "mxfp4"), ("vllm:sm100", "mxfp8")}
LEFT_OUT_OF_EXPERTS = LEFT_OUT | {(target, "mxfp8") for target in TARGETS} | {("vllm:sm75", "mxfp4")}


def write_model(folder: pathlib.Path, model: dict) -> pathlib.Path:
    """A llama, or a Qwen3 mixture, of one block; its weights are zeros, since only shapes are asked about."""
    hidden, q, kv, ffn = model["hidden"], model["heads"] * model["head_dim"], model["kv_heads"] * model["head_dim"], model["ffn"]
    kind = "qwen3_moe" if "experts" in model else "llama_tied"
    config = json.loads((ROOT / f"tests/golden/models/{kind}/config.json").read_text())
    config |= {"hidden_size": hidden, "num_hidden_layers": 1, "num_attention_heads": model["heads"], "vocab_size": model["vocab"],
               "num_key_value_heads": model["kv_heads"], "head_dim": model["head_dim"], "tie_word_embeddings": "experts" in model,
               "attention_bias": False, "mlp_bias": False}
    linears = {"self_attn.q_proj": (q, hidden), "self_attn.k_proj": (kv, hidden), "self_attn.v_proj": (kv, hidden), "self_attn.o_proj": (hidden, q)}
    mlp = {"gate_proj": (ffn, hidden), "up_proj": (ffn, hidden), "down_proj": (hidden, ffn)}
    norms = {"model.norm": hidden, "model.layers.0.input_layernorm": hidden, "model.layers.0.post_attention_layernorm": hidden}
    if "experts" in model:
        config |= {"num_experts": model["experts"], "moe_intermediate_size": ffn, "mlp_only_layers": []}
        linears |= {f"mlp.experts.{e}.{name}": shape for e in range(model["experts"]) for name, shape in mlp.items()}
        linears["mlp.gate"] = (model["experts"], hidden)
        norms |= {f"model.layers.0.self_attn.{head}_norm": model["head_dim"] for head in "qk"}
    else:
        config["intermediate_size"] = ffn
        linears |= {f"mlp.{name}": shape for name, shape in mlp.items()}
    shapes = {f"model.layers.0.{name}.weight": shape for name, shape in linears.items()}
    shapes |= {f"{name}.weight": (size,) for name, size in norms.items()}
    shapes["model.embed_tokens.weight"] = (model["vocab"], hidden)
    if "experts" not in model:
        shapes["lm_head.weight"] = (model["vocab"], hidden)
    reference.write_folder(folder, {name: ("BF16", np.zeros(shape, np.uint16)) for name, shape in shapes.items()}, config)
    return folder


GROUPS = {"self_attn.qkv_proj": "qkv", "self_attn.o_proj": "o", "mlp.gate_up_proj": "gate_up", "mlp.down_proj": "down", "mlp.experts": "experts",
          "lm_head": "lm_head", "model.embed_tokens": "embed"}


@pytest.fixture(scope="module")
def vllm(tmp_path_factory) -> dict:
    """(model, codec, capability, parts, group) -> (kernel or None, why not)."""
    python = need(ROOT / "build/venv-vllm/bin/python", "scripts/make_venv.sh vllm makes it")
    file = tmp_path_factory.mktemp("questions") / "questions.json"
    file.write_text(json.dumps({"models": MODELS, "codecs": CODECS, "capabilities": CAPABILITIES, "parts": PARTS}))
    run = subprocess.run([python, ROOT / "tests/peers/vllm_kernels.py", file], capture_output=True, text=True)
    results = [json.loads(line[7:]) for line in run.stdout.splitlines() if line.startswith("RESULT ")]
    assert len(results) == len(MODELS), run.stderr[-3000:]
    return {(r["model"], *answer[:4]): tuple(answer[4:]) for r in results for answer in r["answers"]}


def taken(strata, folder: pathlib.Path, codec: str, target: str, parts: int) -> dict[str, bool]:
    """Group -> whether a plan of one codec has it there."""
    args = ["plan", folder, "--preset", f"uniform:{codec}", "--for", target, "--tp", parts, "--json"]
    run = subprocess.run([strata.binary, *map(str, args)], capture_output=True, text=True)
    if run.returncode != 0:  # the whole codec is refused, and by name
        assert f"{codec} cannot be used for {target}" in run.stderr, run.stderr
        return dict.fromkeys(GROUPS.values(), False)
    groups = json.loads(run.stdout)["groups"]
    result = {GROUPS[group["name"].removeprefix("model.layers.0.")]: group["codec"] == codec for group in groups if "layers" in group["name"]}
    for group in groups:  # such plans leave the head and the embedding alone, unless they are told
        if (name := GROUPS.get(group["name"])) in ("lm_head", "embed"):
            run = subprocess.run([strata.binary, *map(str, [*args, "--assign", f"^{group['name']}$={codec}"])], capture_output=True, text=True)
            assert run.returncode == 0 or "--assign" in run.stderr, run.stderr
            result[name] = run.returncode == 0
    return result


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("model", MODELS, ids=lambda model: model["name"])
def test_targets_take_what_vllm_takes(strata, vllm, tmp_path, model, target):
    folder = write_model(tmp_path / "model", model)
    differences, agreed = [], 0
    for codec in CODECS:
        for parts in PARTS:
            for group, takes in taken(strata, folder, codec, target, parts).items():
                answers = [vllm.get((model["name"], codec, capability, parts, group)) for capability in TARGETS[target]]
                if None in answers:  # vLLM is not asked about attention in models of experts
                    continue
                refusals = [f"sm{c}: {why}" for c, (kernel, why) in zip(TARGETS[target], answers) if kernel is None]
                left_out = (target, codec) in (LEFT_OUT_OF_EXPERTS if group == "experts" else LEFT_OUT)
                left_out |= group == "embed" and codec.startswith("int3")  # it may load, and is looked up wrong
                if takes == (not refusals) or (left_out and not takes):
                    agreed += 1
                else:
                    differences.append(f"{codec} {group} in {parts} parts: strata {takes}, vLLM {refusals or 'takes it'}")
    assert not differences, f"{len(differences)} of {agreed + len(differences)}:\n" + "\n".join(differences[:20])
    assert agreed >= len(CODECS) * len(PARTS)


def test_every_width_has_a_kernel(vllm):
    """The fact that the default target rests on: with groups, vLLM has a kernel for every width from sm75 on, in experts too."""
    for codec in (c for c in CODECS if c.startswith("int") and c.endswith("g64")):
        for capability in CAPABILITIES:
            assert vllm["wide", codec, capability, 1, "gate_up"][0], codec
            assert bool(vllm["experts", codec, capability, 1, "experts"][0]) == (codec != "int8_asym_g64"), codec


def test_embeddings_are_loaded_at_2_4_and_8_bits(vllm):
    """What vLLM takes of an embedding, for docs/formats/consumers.md.

    Codes of 3 bits may load, where as many words hold them, but are looked up ten to a word, which the stream does not have."""
    for codec in (c for c in CODECS if not c.startswith("int3")):
        kernels = {vllm["wide", codec, capability, parts, "embed"][0] for capability in CAPABILITIES for parts in PARTS}
        loads = codec.split("_")[0] in ("int2", "int4", "int8") and "asym" not in codec
        assert (None not in kernels) if loads else kernels == {None}, (codec, kernels)


def kernel_rows(vllm: dict) -> list[str]:
    """A Markdown table of kernels: dense layers, then experts, by codec and capability; rows that are alike are one."""
    rows: dict[tuple, list[str]] = {}
    for codec in CODECS:
        cells = []
        for capability in CAPABILITIES:
            found = [vllm[model, codec, capability, 1, group][0] or "-" for model, group in (("wide", "gate_up"), ("experts", "experts"))]
            cells.append(", ".join(found))
        rows.setdefault(tuple(cells), []).append(codec)
    head = ["codecs", *(f"sm{capability}" for capability in CAPABILITIES)]
    return [f"| {' | '.join(head)} |", "|---" * len(head) + "|",
            *(f"| {', '.join(codecs)} | {' | '.join(cells)} |" for cells, codecs in rows.items())]


def test_the_page_shows_the_kernels(vllm):
    page = ROOT / "docs/formats/consumers.md"
    rows = kernel_rows(vllm)
    if os.environ.get("STRATA_PRINT_KERNELS"):
        print("\n" + "\n".join(rows))
    assert "\n".join(rows) in page.read_text(), "run this test with STRATA_PRINT_KERNELS=1 -s and put the table on the page"
