"""Shared by the tests of the Python package, which is the installed wheel: a tiny model with a tokenizer, and texts."""
import json
import pathlib
import random
import shutil
import subprocess
import sys

import pytest

import strata

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
WORDS = ["THE", "CAT", "SAT", "ON", "A", "MAT", "AND", "DOG", "RAN", "TO", "SEA", "HILL"]


def write_tokenizer(folder: pathlib.Path, vocab: int) -> None:
    """A token for each character: the space, and as many after it as the model has rows for."""
    ids = {"\u0120": 0} | {chr(ord("!") + i): i + 1 for i in range(vocab - 1)}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    parts: dict[str, object] = {"added_tokens": [], "normalizer": None, "pre_tokenizer": level, "post_processor": None, "decoder": level}
    bpe: dict[str, object] = {"type": "BPE", "dropout": None, "unk_token": None, "vocab": ids, "merges": []}
    tokenizer = {"version": "1.0", **parts, "model": bpe}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    (folder / "tokenizer_config.json").write_text("{}")


@pytest.fixture(scope="session")
def path(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A llama of the goldens: hidden 32, two blocks."""
    folder = tmp_path_factory.mktemp("model") / "llama"
    shutil.copytree(ROOT / "tests/golden/models/llama_tied", folder)
    write_tokenizer(folder, json.loads((folder / "config.json").read_text())["vocab_size"])
    return folder


@pytest.fixture(scope="session")
def random_path(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A llama of random weights that every codec can hold, with a token for each byte."""
    folder = tmp_path_factory.mktemp("random") / "tiny"
    subprocess.run([sys.executable, ROOT / "scripts/make_random_model.py", "tiny", folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def model(path: pathlib.Path) -> strata.Model:
    return strata.open(path)


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    file = tmp_path_factory.mktemp("text") / "words.txt"
    file.write_text(" ".join(random.Random(1).choices(WORDS, k=600)))
    return file


@pytest.fixture(scope="session")
def scores(model: strata.Model, text: pathlib.Path) -> strata.Scores:
    return model.score(calib=[text], samples=4, seq_len=24, target="transformers")
