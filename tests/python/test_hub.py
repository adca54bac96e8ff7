"""Models by their names on the hub, from the hub of tests/hub/hub_server.py."""
import importlib.util
import os
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

import pytest

import strata

from conftest import ROOT


def load_server() -> Any:
    spec = importlib.util.spec_from_file_location("hub_server", ROOT / "tests/hub/hub_server.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["hub_server"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def hub(path: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A hub that has the tiny model as org/model."""
    for name in list(os.environ):
        if name.startswith("HF_") or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    with load_server().Hub() as server:
        server.add("org/model", {file.name: file.read_bytes() for file in path.iterdir() if file.suffix in (".json", ".safetensors")})
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "cache"))
        yield server


def test_a_name_is_fetched_and_opened(hub: Any, model: strata.Model, tmp_path: pathlib.Path) -> None:
    heard: list[strata.Progress] = []
    fetched = strata.open("hf:org/model", progress=heard.append)
    assert fetched.fingerprint == model.fingerprint
    assert fetched.path == tmp_path / "cache/hub/models--org--model/snapshots" / hub.repositories["org/model"].commit
    assert {at.stage for at in heard} == {"pull org/model"} and heard[-1].ended
    assert heard[-1].total >= (fetched.path / "model.safetensors").stat().st_size
    hub.requests.clear()
    assert strata.open("hf:org/model").path == fetched.path
    assert len(hub.requests) == 1


def test_jobs_take_names(hub: Any, text: pathlib.Path) -> None:
    measured = strata.evaluate("hf:org/model", ref="hf:org/model@v1", text=text, samples=2, seq_len=16)
    assert measured.kl_divergence is not None and measured.kl_divergence.mean < 1e-6


def test_what_a_callback_raises_keeps_what_has_arrived(hub: Any, tmp_path: pathlib.Path) -> None:
    def stop(at: strata.Progress) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        strata.open("hf:org/model", progress=stop)
    assert not (tmp_path / "cache/hub/models--org--model/refs").exists()
    strata.open("hf:org/model", progress=False)


def test_refusals_are_errors(hub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(strata.Error, match="no such public repository"):
        strata.open("hf:org/mode")
    with pytest.raises(strata.UsageError, match="ORG/NAME"):
        strata.open("hf:../model")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(strata.Error, match="HF_HUB_OFFLINE"):
        strata.open("hf:org/model")


def test_pull_tells_what_it_fetched(hub: Any, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pulled = strata.pull("org/model", include=["*.json"], progress=False)
    assert pulled.commit == hub.repositories["org/model"].commit and pulled.fetched_bytes > 0
    assert sorted(file.name for file in pulled.path.iterdir()) == sorted(
        name for name in hub.repositories["org/model"].files if name.endswith(".json"))
    assert [left["name"] for left in pulled.data["left_out"]] == ["model.safetensors"]
    assert strata.pull("hf:org/model", progress=False).fetched_bytes > 0
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert strata.pull("org/model").path == pulled.path


def test_push_makes_a_repository_where_it_is_told_to(hub: Any, path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", sys.modules["hub_server"].TOKEN)
    with pytest.raises(strata.Error, match="--create"):
        strata.push(path, "org/new", progress=False)
    pushed = strata.push(path, "org/new", create=True, message="tiny", progress=False)
    assert pushed.created and pushed.commit and pushed.files > 0
    again = strata.push(path, "org/new", progress=False)
    assert again.commit is None and again.files == 0 and not again.created
