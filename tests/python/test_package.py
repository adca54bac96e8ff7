"""The installed wheel: what it brings, its types, and the tour in docs/python.md."""
import importlib.metadata
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig

import pytest

import strata

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def test_it_brings_the_program() -> None:
    told = subprocess.run([pathlib.Path(sys.executable).parent / "strata", "--version"], capture_output=True, text=True)
    assert told.returncode == 0 and strata.__version__ in told.stdout
    assert importlib.metadata.version("strata") == strata.__version__


def test_it_is_not_the_checkout() -> None:
    assert str(ROOT / "python") not in strata.__file__


def test_one_wheel_serves_all_pythons_from_3_12_on() -> None:
    module = pathlib.Path(strata._core.__file__)
    if "abi3" not in module.name:
        assert sys.version_info < (3, 12), module.name
        assert sysconfig.get_config_var("EXT_SUFFIX") in module.name
    tags = re.findall(r"^Tag: (.*)$", importlib.metadata.distribution("strata").read_text("WHEEL") or "", re.M)
    assert any("cp312-abi3" in tag for tag in tags) == ("abi3" in module.name), tags


def test_the_package_and_its_tests_have_types(tmp_path: pathlib.Path) -> None:
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(tmp_path)]
    command = [*mypy, str(ROOT / "tests/python")]
    told = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert told.returncode == 0, told.stdout
    package = [*mypy, "-p", "strata"]
    told = subprocess.run(package, capture_output=True, text=True, cwd=tmp_path)
    assert told.returncode == 0, told.stdout


def test_everything_public_says_what_it_is() -> None:
    for name in strata.__all__:
        thing = getattr(strata, name)
        assert name.startswith("__") or (thing.__doc__ and len(thing.__doc__) > 20), name
        if isinstance(thing, type):
            for member, value in vars(thing).items():
                if not member.startswith("_") and (callable(value) or isinstance(value, property)):
                    assert value.__doc__, f"{name}.{member}"


def test_each_public_thing_has_a_page(tmp_path: pathlib.Path) -> None:
    subprocess.run([sys.executable, ROOT / "scripts/make_python_pages.py", tmp_path], check=True)
    names = [name for name in strata.__all__ if not name.startswith("_")]
    assert {page.name for page in tmp_path.iterdir()} == {f"{name}.md" for name in [*names, "README"]}
    page = (tmp_path / "Model.md").read_text()
    assert "## .quantize" in page and "act_order: " in page and "(rows, cols)" in page


def test_the_tour_runs(random_path: pathlib.Path, text: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs/python.md").read_text()
    assert len(page.splitlines()) <= 60
    snippets = re.findall(r"```python\n(.*?)```", page, re.S)
    assert len(snippets) >= 5
    shutil.copytree(random_path, tmp_path / "MODEL")
    for name in ("wiki.txt", "code.txt", "test.txt"):
        shutil.copy(text, tmp_path / name)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for number, snippet in enumerate(snippets, 1):
        exec(compile(snippet, f"docs/python.md, snippet {number}", "exec"), names)
