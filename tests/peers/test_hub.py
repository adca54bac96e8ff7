"""huggingface_hub reads what strata pulled, strata what huggingface_hub pulled, and both see what strata pushed.

All against the hub of tests/hub/hub_server.py. The library reads its environment once, so each call is a process.
"""
import json
import os
import pathlib
import subprocess
import sys

import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "tests/hub"))
from hub_server import TOKEN, Hub  # noqa: E402

GOLDEN = ROOT / "tests/golden/models/llama_tied"
FILES = {file.name: file.read_bytes() for file in GOLDEN.iterdir() if file.suffix in (".json", ".safetensors")} | {
    "README.md": b"# a model\n", "additional_chat_templates/tools.jinja": b"{{ messages }}"}


class World:
    def __init__(self, hub: Hub, home: pathlib.Path, binary: pathlib.Path):
        self.hub, self.home, self.binary = hub, home, binary

    def run(self, *words, **more: str) -> str:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("HF_") and "proxy" not in key.lower()}
        environment = clean | {"HF_ENDPOINT": self.hub.endpoint, "HF_HOME": str(self.home), "HF_HUB_DISABLE_XET": "1"} | more
        done = subprocess.run([*map(str, words)], capture_output=True, text=True, env=environment, cwd=self.home, timeout=120)
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"
        return done.stdout.strip()

    def strata(self, *words, **more) -> str:
        return self.run(self.binary, *words, **more)

    def library(self, code: str, **more) -> str:
        """What a line of Python prints that has huggingface_hub as `hub`."""
        return self.run(sys.executable, "-c", f"import huggingface_hub as hub\nprint({code})", **more)

    def asked(self) -> set[str]:
        """The kinds of requests that were made to push, whatever repository they are about."""
        return {f"{how} {part}" for who, how, path, _ in self.hub.requests
                for part in ("create", "preupload", "batch", "commit", "verify", "complete", "Signature") if part in path}

    def downloads(self) -> list[str]:
        """The files that were asked for since the last call."""
        paths = [path for path, _ in self.hub.seen("hub", "GET") if "/resolve/" in path] + [p for p, _ in self.hub.seen("storage")]
        self.hub.requests.clear()
        return paths


@pytest.fixture
def world(strata, tmp_path):
    with Hub() as hub:
        hub.add("org/model", FILES)
        yield World(hub, tmp_path, strata.binary)


def test_the_library_reads_what_strata_pulled(world):
    folder = world.strata("pull", "org/model")
    assert world.downloads()
    assert world.library("hub.snapshot_download('org/model')", HF_HUB_OFFLINE="1") == folder
    assert world.library("hub.hf_hub_download('org/model', 'config.json')", HF_HUB_OFFLINE="1") == f"{folder}/config.json"
    assert world.library("hub.snapshot_download('org/model')") == folder
    assert world.downloads() == [], "everything was there"
    assert world.library("[r.repo_id for r in hub.scan_cache_dir().repos], hub.scan_cache_dir().warnings") == "['org/model'] []"


def test_strata_reads_what_the_library_pulled(world):
    folder = world.library("hub.snapshot_download('org/model')")
    assert world.downloads()
    assert json.loads(world.strata("inspect", "hf:org/model", "--json", HF_HUB_OFFLINE="1"))["path"] == folder
    assert world.strata("pull", "org/model") == folder
    assert world.downloads() == [], "everything was there"


def test_each_completes_what_the_other_has_begun(world):
    folder = world.library("hub.snapshot_download('org/model', allow_patterns='*.json')")
    world.downloads()
    assert world.strata("pull", "org/model") == folder
    assert len(world.downloads()) == 2 * 1 + 2, "the weights by way of the storage, the card and a template"
    world.strata("pull", "org/model@v1")
    assert world.library("hub.snapshot_download('org/model', revision='v1')") == folder
    assert world.downloads() == []


def test_the_library_verifies_what_strata_pulled(world):
    world.strata("pull", "org/model")
    assert "mismatches=[]" in world.library("hub.HfApi().verify_repo_checksums('org/model')")


def test_transformers_loads_what_strata_pulled(world):
    folder = world.strata("pull", "org/model")
    code = "import transformers\nprint(transformers.AutoModelForCausalLM.from_pretrained('org/model').name_or_path)"
    assert world.run(sys.executable, "-c", code, HF_HUB_OFFLINE="1") in (folder, "org/model")


@pytest.mark.parametrize("part_size", [None, 4000])
def test_strata_pushes_as_the_library_does(world, part_size):
    """The same folder by both: the same requests, the same commit, and the library reads what strata pushed."""
    world.hub.part_size = part_size
    out = world.home / "out"
    out.mkdir()
    for name, data in FILES.items():
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_bytes(data)
    world.hub.blobs.clear()
    world.library("hub.create_repo('me/theirs'), "
                  "hub.upload_folder(repo_id='me/theirs', folder_path='out', commit_message='first')", HF_TOKEN=TOKEN)
    theirs, asked = world.hub.repositories["me/theirs"], world.asked()
    world.hub.blobs.clear()
    world.hub.requests.clear()
    world.strata("push", "out", "me/ours", "--create", "--message", "first", HF_TOKEN=TOKEN)
    ours = world.hub.repositories["me/ours"]
    assert ours.files == theirs.files == FILES
    assert world.asked() == asked
    assert [sorted(map(json.dumps, lines)) for lines in ours.commits] == [sorted(map(json.dumps, lines)) for lines in theirs.commits]
    folder = pathlib.Path(world.library("hub.snapshot_download('me/ours')"))
    assert (folder / "model.safetensors").read_bytes() == FILES["model.safetensors"]
