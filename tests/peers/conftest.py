"""Shared by the peer tests: the strata binary, the models, and checkpoints made once a session.

STRATA is the binary (default build/release/strata). With STRATA_PEERS_REQUIRED=1, as in scripts/test.sh, something that
is missing fails instead of skipping.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / "tests/peers"), str(ROOT / "tests/golden"), str(ROOT / "scripts")]
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy_reference as reference  # noqa: E402  (found through the path above)


def need(path: pathlib.Path, how: str) -> pathlib.Path:
    if not path.exists():
        message = f"{path} is missing: {how}"
        pytest.fail(message) if os.environ.get("STRATA_PEERS_REQUIRED") else pytest.skip(message)
    return path


class Strata:
    """Runs the binary; `checkpoint` keeps what it made for the session."""

    def __init__(self, binary: pathlib.Path, work: pathlib.Path):
        self.binary, self.work, self.made = binary, work, {}

    def run(self, *args) -> str:
        """stdout; fails the test with stderr when the exit code is not 0."""
        result = subprocess.run([self.binary, *map(str, args)], capture_output=True, text=True)
        assert result.returncode == 0, f"strata {' '.join(map(str, args))}: exit {result.returncode}\n{result.stderr[-3000:]}"
        return result.stdout

    def checkpoint(self, model: pathlib.Path, *args) -> pathlib.Path:
        """`strata quantize MODEL -o OUT args...` -> OUT, with little calibration and without the check of its quality."""
        key = (model, args)
        if key not in self.made:
            out = self.work / f"{len(self.made):03d}-{model.name}"
            self.run("quantize", model, "-o", out, "--samples", 4, "--seq-len", 128, "--no-verify", *args)
            self.made[key] = out
        return self.made[key]

    def scores(self, model: pathlib.Path, *args) -> pathlib.Path:
        """Scores on little text: enough to plan with, measured once a session."""
        key = (model, "scores", args)
        if key not in self.made:
            out = self.work / f"{len(self.made):03d}-scores.json"
            self.run("score", model, "-o", out, "--signals", "lim,act_mse,alpha", "--samples", 2, "--seq-len", 64, *args)
            self.made[key] = out
        return self.made[key]


@pytest.fixture(scope="session")
def strata(tmp_path_factory) -> Strata:
    binary = need(ROOT / os.environ.get("STRATA", "build/release/strata"), "scripts/test.sh release builds it")
    return Strata(binary, tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture(scope="session")
def smollm2() -> pathlib.Path:
    return need(ROOT / "build/models/smollm2", "scripts/test.sh makes it")


@pytest.fixture(scope="session")
def dithered() -> pathlib.Path:
    return need(ROOT / "build/models/smollm2-dither1", "scripts/test.sh makes it")


@pytest.fixture(scope="session")
def text() -> str:
    return (ROOT / "scripts/data/alice.txt").read_text()


@pytest.fixture(scope="session")
def ids(smollm2, text) -> list[int]:
    """The first 96 tokens of the text."""
    from tokenizers import Tokenizer
    return Tokenizer.from_file(str(smollm2 / "tokenizer.json")).encode(text[:2000]).ids[:96]


def random_model(folder: pathlib.Path, tokenizer_of: pathlib.Path, hidden: int, ffn: int, heads: int, bias: bool,
                 head_dim: int = 0, kv_heads: int = 0) -> pathlib.Path:
    """A llama of two blocks with random bf16 weights: outliers, an all-zero row and a constant one among them.

    Heads share the hidden size, and two of them one of keys and values, where `head_dim` and `kv_heads` are not given."""
    head_dim, kv_heads = head_dim or hidden // heads, kv_heads or heads // 2
    config = json.loads((tokenizer_of / "config.json").read_text())
    config |= {"hidden_size": hidden, "intermediate_size": ffn, "num_hidden_layers": 2, "num_attention_heads": heads,
               "num_key_value_heads": kv_heads, "head_dim": head_dim, "attention_bias": bias}
    rng, q, kv, tensors = np.random.default_rng(hidden), heads * head_dim, kv_heads * head_dim, {}

    def add(name: str, *shape: int, std: float | None = None) -> None:
        w = rng.standard_normal(shape, np.float32) * np.float32(std or 1.5 * shape[-1]**-0.5)
        if len(shape) == 2 and "layers" in name:
            w[rng.random(shape) < 0.001] *= 20
            w[3], w[5] = 0, w[5, 0]
        if len(shape) == 1 and name.endswith("norm.weight"):
            w = 1 + 0.1 * w
        tensors[name] = ("BF16", reference.to_bf16(w))

    add("model.embed_tokens.weight", config["vocab_size"], hidden, std=1.0)
    for block in range(2):
        prefix = f"model.layers.{block}."
        for name, rows, cols in [("self_attn.q_proj", q, hidden), ("self_attn.k_proj", kv, hidden),
                                 ("self_attn.v_proj", kv, hidden), ("self_attn.o_proj", hidden, q),
                                 ("mlp.gate_proj", ffn, hidden), ("mlp.up_proj", ffn, hidden), ("mlp.down_proj", hidden, ffn)]:
            add(f"{prefix}{name}.weight", rows, cols)
            if bias and "self_attn" in name:
                add(f"{prefix}{name}.bias", rows, std=0.1)
        add(prefix + "input_layernorm.weight", hidden, std=1.0)
        add(prefix + "post_attention_layernorm.weight", hidden, std=1.0)
    add("model.norm.weight", hidden, std=1.0)
    reference.write_folder(folder, tensors, config)
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tokenizer_of / file, folder)
    return folder


@pytest.fixture(scope="session")
def wide(tmp_path_factory, smollm2) -> pathlib.Path:
    """Columns that every group size divides (256 and 384)."""
    return random_model(tmp_path_factory.mktemp("model") / "wide", smollm2, 256, 384, 4, bias=True)


@pytest.fixture(scope="session")
def odd(tmp_path_factory, smollm2) -> pathlib.Path:
    """Columns that leave padding in a packed row (72 and 100): for the channel codecs."""
    return random_model(tmp_path_factory.mktemp("model") / "odd", smollm2, 72, 100, 4, bias=False)


@pytest.fixture(scope="session")
def uneven(tmp_path_factory, smollm2) -> pathlib.Path:
    """q, k and v are 72, 12 and 12 rows of 32 columns: one fused matrix of 96 rows, whose parts end inside 32-bit words."""
    return random_model(tmp_path_factory.mktemp("model") / "uneven", smollm2, 32, 64, 6, bias=False, head_dim=12, kv_heads=1)


@pytest.fixture(scope="session")
def random_256(smollm2, tmp_path_factory) -> pathlib.Path:
    """Rows of 256 and 512, which every type of GGUF can hold."""
    return random_model(tmp_path_factory.mktemp("models") / "r256", smollm2, hidden=256, ffn=512, heads=4, bias=False)


def find_gguf_package() -> None:
    """The gguf package is plain Python: imported from llama.cpp's environment, behind the packages of this one."""
    packages = need(ROOT / "build/venv-llama/lib", "scripts/make_venv.sh llama makes it")
    sys.path.extend(str(path) for path in packages.glob("python*/site-packages") if str(path) not in sys.path)
