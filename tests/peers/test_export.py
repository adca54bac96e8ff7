"""strata export-plan: every tool reads its recipe with its own parser and resolves every linear to the planned scheme."""
import json
import os
import subprocess

import pytest
from conftest import ROOT, need

#: codec -> type, bits, group size as each tool calls them
SCHEMES = {
    "llm-compressor": {"int4_g64": ["int", 4, 64], "int3_g64": ["int", 3, 64], "int8_channel": ["int", 8, -1],
                       "fp8_channel": ["float", 8, -1], "nvfp4": ["float", 4, 16], "mxfp4": ["float", 4, 32]},
    "auto-round": {"int4_g64": ["int", 4, 64], "int3_g64": ["int", 3, 64], "int8_channel": ["int", 8, -1],
                   "fp8_channel": ["fp", 8, -1], "nvfp4": ["nv_fp", 4, 16], "mxfp4": ["mx_fp", 4, 32]},
    "gptqmodel": {"int4_g64": ["int", 4, 64], "int3_g64": ["int", 3, 64], "int8_channel": ["int", 8, -1]},
}
ASSIGNED = {"layers\\.3\\.": "fp8_channel", "layers\\.4\\.": "nvfp4", "layers\\.5\\.": "mxfp4"}


def packages():
    return next(need(ROOT / "build/venv-recipes", "scripts/make_venv.sh recipes").glob("lib/python*/site-packages"))


@pytest.mark.parametrize("tool", SCHEMES)
def test_the_tool_resolves_every_linear_as_planned(tool, strata, smollm2, tmp_path):
    others = [] if tool == "gptqmodel" else [f"--assign={pattern}={codec}" for pattern, codec in ASSIGNED.items()]
    codecs = "int4_g64,int3_g64,int8_channel,keep" + ("" if tool == "gptqmodel" else ",fp8_channel,nvfp4,mxfp4")
    plan_file, recipe = tmp_path / "plan.json", tmp_path / "recipe.json"
    strata.run("plan", smollm2, "--preset", "prior", "--bits", 4.6, "--for", "transformers", "--codecs", codecs, *others,
               "--keep", "layers\\.7\\..*o_proj", "-o", plan_file)
    strata.run("export-plan", plan_file, "--to", tool, "-o", recipe, "--model", smollm2)
    environment = os.environ | {"PYTHONPATH": str(packages()), "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run([need(ROOT / "build/venv-hf", "scripts/make_venv.sh hf") / "bin/python", ROOT / "tests/peers/recipes.py", tool,
                           recipe, smollm2], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    resolved = json.loads(done.stdout)
    planned = {module: group["codec"] for group in json.loads(plan_file.read_text())["groups"] for module in group["linears"]}
    assert len(set(planned.values())) > 3, planned
    wanted = {module: SCHEMES[tool].get(codec, ["keep", 16, -1]) for module, codec in planned.items()}
    assert {module: resolved[module] for module in wanted} == wanted
    assert resolved["lm_head"] == ["keep", 16, -1]


def test_llama_quantize_gives_every_tensor_its_planned_type(strata, smollm2, tmp_path):
    python = need(ROOT / "build/venv-llama", "scripts/make_venv.sh llama") / "bin/python"
    plan_file, types, dense = tmp_path / "plan.json", tmp_path / "types.txt", tmp_path / "bf16.gguf"
    strata.run("plan", smollm2, "--preset", "prior", "--bits", 5, "--for", "llama.cpp", "-o", plan_file)
    strata.run("export-plan", plan_file, "--to", "llama-quantize", "-o", types)
    strata.run("convert", smollm2, "-o", dense)
    done = subprocess.run([python, ROOT / "tests/peers/llama_quantize.py", dense, tmp_path / "out.gguf", "Q8_0",
                           "--tensor-type-file", types], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    made = {name: kind.lower() for name, (kind, _) in json.loads(done.stdout.splitlines()[-1]).items()}
    wanted = dict(line.rsplit("=", 1) for line in types.read_text().split())
    plain = {name.strip("^$").replace("\\.", "."): kind for name, kind in wanted.items()}
    assert len(set(plain.values())) > 1 and "token_embd.weight" in plain
    assert {name: made[name] for name in plain} == plain
