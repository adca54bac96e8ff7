"""mlx_lm loads what strata writes for it: mx.dequantize gives the weights that strata reads back, and the perplexity of mlx_lm in
f32 is that of `strata eval`. Every quantization of MLX, mixed plans, families with and without experts, and a real model."""
import json
import math
import random
import shutil
import subprocess

import pytest
from conftest import ROOT, need

GOLDENS = ROOT / "tests/golden/models"
FOR = ("--for", "mlx")
PLAIN = ("--scale", "minmax", *FOR)
CODECS = [f"mlx{bits}_g{group}" for bits in (2, 3, 4, 5, 6, 8) for group in (32, 64, 128)] + ["mlx_mxfp4", "mlx_nvfp4", "mlx_mxfp8"]
PLANS = {  # of a random llama of rows that every group size divides, with biases and a tied embedding
    **{codec: ("--preset", f"uniform:{codec}", *FOR) for codec in CODECS},
    "mixed": ("--preset", "uniform:mlx4_g64", "--assign", "down_proj=mlx6_g32", "--assign", "o_proj=mlx_mxfp4", "--assign",
              r"layers\.1\.mlp\.gate=keep", "--embed-codec", "mlx3_g128", *FOR),
    "embedding kept": ("--preset", "uniform:mlx_mxfp8", "--embed-codec", "keep", *FOR),
    "gptq": ("--preset", "uniform:mlx3_g64", "--method", "gptq", "--calib", ROOT / "scripts/data/alice.txt", *FOR),
    "tuned": ("--preset", "uniform:mlx2_g32", "--tune-steps", "5", "--calib", ROOT / "scripts/data/alice.txt", *FOR),
}
FAMILIES = ["cohere", "cohere2", "ernie4_5", "exaone4", "gemma", "gemma3_text", "glm4", "granite", "helium", "lfm2", "llama_mlp_bias",
            "llama_rope_parameters", "llama_tied", "llama_untied_sharded", "ministral3", "mistral", "nemotron", "olmo2", "qwen2",
            "qwen2_untied_sharded", "qwen3", "qwen3_untied", "seed_oss", "smollm3", "stablelm"]
MIXTURES = ["deepseek_v2", "deepseek_v3", "dots1", "kimi_k2", "laguna", "mellum", "minimax_m2", "mixtral", "olmoe", "qwen2_moe", "qwen3_moe",
            "qwen3_moe_packed", "qwen3_moe_sparse"]
EXPERTS = ("--assign", r"experts\.\d+\.(w3|up_proj)=mlx8_g32", "--assign", r"experts\.\d+\.(w2|down_proj)=keep")
REAL = {
    "mlx4_g64": ("--preset", "uniform:mlx4_g64", *FOR),
    "best": ("--bits", "4.5", "--codecs", "keep,mlx3_g64,mlx4_g64,mlx6_g64,mlx8_g64", *FOR),
}
LENGTH, SEQUENCES = 32, 4


def lettered(name: str, folder):
    """A golden model with a tokenizer that has a letter for every id, and a text of random ids."""
    shutil.copytree(GOLDENS / name, folder)
    size = json.loads((folder / "config.json").read_text())["vocab_size"]
    letters = [chr(0x21 + i) for i in range(min(size, 0x7E - 0x21))]
    (folder / "tokenizer.json").write_text(json.dumps({
        "version": "1.0", "added_tokens": [],
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False},
        "model": {"type": "BPE", "vocab": {letter: i for i, letter in enumerate(letters)}, "merges": []}}))
    (folder / "tokenizer_config.json").write_text("{}")
    ids = random.Random(name).choices(range(len(letters)), k=LENGTH * SEQUENCES)
    (folder / "text").write_text("".join(letters[i] for i in ids))
    return [ids[i:i + LENGTH] for i in range(0, len(ids), LENGTH)]


def answers(strata, jobs: list[dict]) -> dict[str, dict]:
    """What MLX says of each folder."""
    python = need(ROOT / "build/venv-mlx/bin/python", "scripts/make_venv.sh mlx makes it")
    for job in jobs:
        dense = job["dir"].with_name(job["dir"].name + "-dense")
        strata.run("convert", job["dir"], "-o", dense)
        job |= {"dir": str(job["dir"]), "dense": str(dense)}
    given = [{key: job[key] for key in ("dir", "dense", "ids", "prompt")} for job in jobs]
    run = subprocess.run([python, ROOT / "tests/peers/mlx_answers.py", json.dumps(given)], capture_output=True, text=True)
    lines = [json.loads(line[7:]) for line in run.stdout.splitlines() if line.startswith("RESULT ")]
    assert len(lines) == len(jobs), run.stderr[-3000:]
    return {line["dir"]: line for line in lines}


def check(strata, job: dict, answer: dict) -> None:
    assert "error" not in answer, answer["error"]
    assert answer["wrong"] == []
    got = json.loads(strata.run("eval", job["dir"], "--text", job["text"], "--seq-len", len(job["ids"][0]), "--samples",
                                len(job["ids"]), "--json"))
    assert got["tokens"] == len(answer["nll"])
    assert got["perplexity"] == pytest.approx(math.exp(sum(answer["nll"]) / len(answer["nll"])), rel=2e-4)


def with_tokens(model, text_of, tmp_path, count: int, length: int) -> tuple[list[list[int]], object]:
    from tokenizers import Tokenizer
    ids = Tokenizer.from_file(str(model / "tokenizer.json")).encode(text_of, add_special_tokens=False).ids
    path = tmp_path / "text"
    path.write_text(text_of)
    return [ids[i * length:(i + 1) * length] for i in range(count)], path


@pytest.fixture(scope="module")
def plans(strata, wide, text, tmp_path_factory):
    ids, path = with_tokens(wide, text[:4000], tmp_path_factory.mktemp("text"), 2, 64)
    jobs = {plan: {"dir": strata.checkpoint(wide, *args), "ids": ids, "text": path, "prompt": ""} for plan, args in PLANS.items()}
    return jobs, answers(strata, list(jobs.values()))


@pytest.mark.parametrize("plan", PLANS)
def test_every_codec_and_mixed_plans(strata, plans, plan):
    jobs, said = plans
    check(strata, jobs[plan], said[jobs[plan]["dir"]])


@pytest.fixture(scope="module")
def families(strata, tmp_path_factory):
    jobs = {}
    for name in FAMILIES + MIXTURES:
        folder = tmp_path_factory.mktemp("family") / name
        ids = lettered(name, folder)
        out = strata.checkpoint(folder, "--preset", "uniform:mlx4_g32", "--embed-codec", "mlx6_g32",
                                *(EXPERTS if name in MIXTURES else ()), *PLAIN)
        jobs[name] = {"dir": out, "ids": ids, "text": folder / "text", "prompt": ""}
    return jobs, answers(strata, list(jobs.values()))


@pytest.mark.parametrize("name", FAMILIES + MIXTURES)
def test_families(strata, families, name):
    jobs, said = families
    check(strata, jobs[name], said[jobs[name]["dir"]])


@pytest.fixture(scope="module")
def real(strata, smollm2, text, tmp_path_factory):
    ids, path = with_tokens(smollm2, text, tmp_path_factory.mktemp("text"), 1, 64)
    jobs = {}
    for plan, args in REAL.items():
        scores = ("--scores", strata.scores(smollm2, *args[2:])) if plan == "best" else ()
        jobs[plan] = {"dir": strata.checkpoint(smollm2, *args, *scores), "ids": ids, "text": path, "prompt": "The capital of France is"}
    return jobs, answers(strata, list(jobs.values()))


@pytest.mark.parametrize("plan", REAL)
def test_a_real_model_answers(strata, real, plan):
    jobs, said = real
    check(strata, jobs[plan], said[jobs[plan]["dir"]])
    assert "Paris" in said[jobs[plan]["dir"]]["text"]


def test_folders_that_mlx_lm_makes_are_read(strata, smollm2, text, tmp_path):
    """mlx_lm.convert's own folder: strata decodes it, and has mlx_lm's perplexity."""
    python = need(ROOT / "build/venv-mlx/bin/python", "scripts/make_venv.sh mlx makes it")
    out = tmp_path / "mlx"
    subprocess.run([python, "-m", "mlx_lm", "convert", "--hf-path", smollm2, "--mlx-path", out, "-q", "--q-bits", "4"], check=True,
                   capture_output=True)
    ids, path = with_tokens(smollm2, text, tmp_path, 1, 64)
    job = {"dir": out, "ids": ids, "text": path, "prompt": ""}
    said = answers(strata, [job])
    check(strata, job, said[job["dir"]])
